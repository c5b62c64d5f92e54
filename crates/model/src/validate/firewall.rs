//! Security groups, rules and address sets.

use super::{Check, Checker, Subject, at_most, wrong};
use crate::host_plan::{
    AddressSetId, Direction, Family, PortRange, Protocol, Remote, Rule, RuleId, SecurityGroupId,
};
use crate::limits;

impl Checker<'_> {
    pub(super) fn check_address_set(self, id: &AddressSetId) -> Check {
        let Some(set) = self.plan.address_sets.get(id) else {
            return Ok(());
        };
        at_most("members", set.members.len(), limits::MEMBERS_PER_ADDRESS_SET)
    }

    pub(super) fn check_security_group(self, id: &SecurityGroupId) -> Check {
        let Some(group) = self.plan.security_groups.get(id) else {
            return Ok(());
        };
        at_most("rules", group.rules.len(), limits::RULES_PER_PORT)
    }

    pub(super) fn check_rule(self, subject: &Subject, group: &SecurityGroupId, id: &RuleId) -> Check {
        let Some(rule) = self.plan.security_groups.get(group).and_then(|g| g.rules.get(id)) else {
            return Ok(());
        };
        if let Some(other) = self.index.rule_ids.earlier(id, subject) {
            return wrong(
                "id",
                format!("{other} has the same id"),
                "an id of its own in the plan",
            );
        }
        check_protocol(rule)?;
        self.check_remote(rule)
    }

    fn check_remote(self, rule: &Rule) -> Check {
        match &rule.remote {
            Remote::Any => Ok(()),
            Remote::Prefix(prefix) if Family::of(prefix.address()) == rule.family => Ok(()),
            Remote::Prefix(prefix) => wrong(
                "remote",
                format!("{prefix} is not of the rule's family"),
                format!("an {} prefix", rule.family),
            ),
            Remote::Set(set) if self.plan.address_sets.contains_key(set) => Ok(()),
            Remote::Set(set) => wrong(
                "remote",
                format!("there is no address set {set}"),
                "an address set of the plan",
            ),
        }
    }
}

fn check_protocol(rule: &Rule) -> Check {
    match rule.protocol {
        Protocol::Tcp(PortRange { first, last }) | Protocol::Udp(PortRange { first, last })
            if first > last =>
        {
            wrong(
                "ports",
                format!("{first}-{last} is upside down"),
                "FIRST-LAST with FIRST <= LAST",
            )
        }
        Protocol::Icmp {
            kind: None,
            code: Some(code),
        } => wrong(
            "code",
            format!("code {code} has no type"),
            "a type beside the code",
        ),
        Protocol::Number(number) => check_number(number, rule.family),
        _ => Ok(()),
    }
}

/// A protocol with a name of its own has one way to be written, so that equal rules are equal.
fn check_number(number: u8, family: Family) -> Check {
    let name = match (number, family) {
        (6, _) => "tcp",
        (17, _) => "udp",
        (1, Family::Ipv4) | (58, Family::Ipv6) => "icmp",
        _ => return Ok(()),
    };
    wrong("protocol", format!("{number} has a name"), format!("`{name}`"))
}

impl std::fmt::Display for Family {
    /// `IPv4` or `IPv6`, as Neutron writes ether types.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Family::Ipv4 { "IPv4" } else { "IPv6" })
    }
}

impl std::fmt::Display for Direction {
    /// `ingress` or `egress`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Direction::Ingress {
            "ingress"
        } else {
            "egress"
        })
    }
}
