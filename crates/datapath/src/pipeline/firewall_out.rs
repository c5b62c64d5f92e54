//! `firewall_out`: does the guest's connection exist, or may it begin?

use anet_model::host_plan::Direction;
use anet_packet::parse::Fragment;
use anet_packet::{Tuple, protocol};

use super::guard::macs;
use super::walk::{Verdict, Walk};
use super::{connection, fragment};
use crate::firewall::Query;
use crate::tables::{Port, Tables, Witness};
use crate::verdict::DropReason;

/// The stage. ARP and ND pass, as do ports without port security.
pub(super) fn stage(walk: &mut Walk<'_, '_>) -> Verdict {
    if walk.layout.fragment != Fragment::None {
        fragment::follow_first(walk);
    }
    let (false, Some(tuple)) = (walk.control, walk.tuple) else {
        return Verdict::Next;
    };
    if let Some(verdict) = connection::related(walk) {
        return verdict;
    }
    if macs(walk).0.is_multicast() {
        // A copy is no packet of a connection, whatever its addresses say: each is held against the rules.
        return match walk.source_port.map(|port| ask_out(walk, port, &tuple)) {
            Some(Err(reason)) => reason.into(),
            _ => Verdict::Next,
        };
    }
    // The mark is taken before the table is asked: a connection made in between shows as a newer mark.
    walk.mark = walk.environment.new_connections.mark(&tuple);
    connection::find(walk, &tuple);
    let Some(port) = walk.source_port.filter(|_| walk.connection.is_none()) else {
        return Verdict::Next;
    };
    match ask_out(walk, port, &tuple) {
        Ok(witness) => {
            walk.source_witness = witness;
            Verdict::Next
        }
        Err(reason) => reason.into(),
    }
}

/// May `port` open a connection with this tuple? The witness of the rule that allows it.
pub(super) fn ask_out(walk: &mut Walk<'_, '_>, port: &Port, tuple: &Tuple) -> Result<Witness, DropReason> {
    let query = query(Direction::Egress, tuple, walk);
    match rule_witness(walk.environment.tables, port, &query) {
        Ok(witness) => {
            walk.record(|_| format!("{} allows it out", rule_name(port, witness)));
            Ok(witness)
        }
        Err(deny) => {
            walk.source_witness = deny;
            walk.record(|_| format!("no rule of port {} allows {} out", port.id, describe(tuple)));
            Err(refusal(walk, DropReason::FirewallEgress))
        }
    }
}

/// May a connection with this tuple be opened to `port`?
pub(super) fn ask_in(walk: &mut Walk<'_, '_>, port: &Port, tuple: &Tuple) -> Result<Witness, DropReason> {
    let query = query(Direction::Ingress, tuple, walk);
    match rule_witness(walk.environment.tables, port, &query) {
        Ok(witness) => {
            walk.record(|_| format!("{} allows it in", rule_name(port, witness)));
            Ok(witness)
        }
        Err(deny) => {
            walk.destination_witness = deny;
            walk.record(|_| format!("no rule of port {} allows {} in", port.id, describe(tuple)));
            Err(refusal(walk, DropReason::FirewallIngress))
        }
    }
}

/// The witness of what allows (a rule, or the port's having no firewall), or of no rule's doing so.
#[inline]
pub(super) fn rule_witness(tables: &Tables, port: &Port, query: &Query) -> Result<Witness, Witness> {
    let witness = |slot| tables.witnesses().witness(slot);
    let Some(firewall) = &port.firewall else {
        return Ok(witness(port.slot_of_port()));
    };
    match (firewall.policy.lookup(query, tables.sets()), query.direction) {
        (Some(ordinal), _) => Ok(witness(port.slot_of_rule(ordinal))),
        (None, Direction::Egress) => Err(witness(port.slot_of_default_deny_out())),
        (None, Direction::Ingress) => Err(witness(port.slot_of_default_deny_in())),
    }
}

fn rule_name(port: &Port, witness: Witness) -> String {
    let Some(firewall) = &port.firewall else {
        return format!("port {} has no firewall, which", port.id);
    };
    let ordinal = witness.slot.wrapping_sub(port.slot_of_rule(0));
    let rule = firewall.rules.get(ordinal as usize).and_then(Option::as_ref);
    rule.map_or_else(
        || format!("a rule of port {}", port.id),
        |id| format!("rule {id} of port {}", port.id),
    )
}

/// A tuple as people write it, seen from the sender.
pub(super) fn describe(tuple: &Tuple) -> String {
    let (from, to) = (tuple.source_address(), tuple.destination_address());
    match tuple.protocol {
        protocol::TCP => format!("TCP {from} -> {to} port {}", tuple.destination_port),
        protocol::UDP => format!("UDP {from} -> {to} port {}", tuple.destination_port),
        protocol::ICMP | protocol::ICMPV6 => format!("ICMP type {} {from} -> {to}", tuple.icmp_type),
        other => format!("IP protocol {other} {from} -> {to}"),
    }
}

/// Why a packet is refused that no rule allows: a fragment without ports might have been allowed with them.
pub(super) fn refusal(walk: &Walk<'_, '_>, reason: DropReason) -> DropReason {
    if walk.knows_ports() {
        reason
    } else {
        DropReason::FragmentWithoutFirst
    }
}

/// What the policy is asked. A later fragment whose first one is not known has no ports, and only rules for any protocol, or for its own by number, match it.
pub(super) fn query(direction: Direction, tuple: &Tuple, walk: &Walk<'_, '_>) -> Query {
    let known = walk.knows_ports();
    let remote = match direction {
        Direction::Egress => tuple.destination_address(),
        Direction::Ingress => tuple.source_address(),
    };
    // A packet is asked about as it is; a connection, found by its answer, as it began.
    let as_it_is = walk.tuple.as_ref() == Some(tuple);
    let icmp = if as_it_is {
        walk.icmp()
    } else {
        Some((tuple.icmp_type, 0))
    };
    Query {
        direction,
        remote,
        protocol: tuple.protocol,
        destination_port: (known && !tuple.is_icmp()).then_some(tuple.destination_port),
        icmp: icmp.filter(|_| known && tuple.is_icmp()),
    }
}
