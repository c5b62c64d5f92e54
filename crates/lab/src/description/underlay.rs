//! Who has which address on the underlay.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anet_packet::addr::IpPrefix;

use super::{Description, Host, UnderlayKind};

/// One member's link to the underlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The host or machine.
    pub member: String,
    /// Its address.
    pub address: IpAddr,
    /// Bits of the link's prefix.
    pub length: u8,
    /// The router's address on the link, where the underlay is routed.
    pub router: Option<IpAddr>,
}

impl Description {
    /// The links of all hosts, and then of all machines, in order.
    pub fn links(&self) -> Result<Vec<Link>, String> {
        let range = self.underlay.range();
        let members: Vec<(&str, &Host)> = self.hosts.iter().chain(self.machines.iter()).collect();
        match self.underlay.kind {
            UnderlayKind::Switched => switched(range, &members),
            UnderlayKind::Routed => routed(range, &members),
        }
    }
}

fn switched(range: IpPrefix, members: &[(&str, &Host)]) -> Result<Vec<Link>, String> {
    let taken: Vec<IpAddr> = members.iter().filter_map(|(_, host)| host.address).collect();
    let outside = members
        .iter()
        .find(|(_, host)| host.address.is_some_and(|address| !range.contains(address)));
    if let Some((name, _)) = outside {
        return Err(format!(
            "`{name}`: its address is not of the underlay's range {range}"
        ));
    }
    if let Some(twice) = taken
        .iter()
        .enumerate()
        .find(|(index, address)| taken[..*index].contains(address))
    {
        return Err(format!(
            "two members of the underlay have the address {}",
            twice.1
        ));
    }
    let mut free = (1..).map_while(|offset| nth(range, offset)).filter(|address| {
        // The last address of an IPv4 range is its broadcast address.
        !taken.contains(address) && (address.is_ipv6() || *address != range.last())
    });
    let links = members.iter().map(|(name, host)| {
        let address = host.address.or_else(|| free.next());
        Ok(Link {
            member: (*name).to_owned(),
            address: address.ok_or_else(|| too_small(range, members.len()))?,
            length: range.length(),
            router: None,
        })
    });
    links.collect()
}

fn routed(range: IpPrefix, members: &[(&str, &Host)]) -> Result<Vec<Link>, String> {
    if let Some((name, _)) = members.iter().find(|(_, host)| host.address.is_some()) {
        return Err(format!(
            "`{name}`: on a routed underlay each member has a link of its own, and no address can be asked for"
        ));
    }
    let links = (0u64..).zip(members).map(|(number, (name, _))| {
        let pair = nth(range, 2 * number).zip(nth(range, 2 * number + 1));
        let (router, address) = pair.ok_or_else(|| too_small(range, members.len()))?;
        Ok(Link {
            member: (*name).to_owned(),
            address,
            length: if address.is_ipv4() { 31 } else { 127 },
            router: Some(router),
        })
    });
    links.collect()
}

/// The address at an offset into a range, where it is still in it.
fn nth(range: IpPrefix, offset: u64) -> Option<IpAddr> {
    let address = match range.address() {
        IpAddr::V4(first) => {
            Ipv4Addr::from_bits(first.to_bits().checked_add(offset.try_into().ok()?)?).into()
        }
        IpAddr::V6(first) => Ipv6Addr::from_bits(first.to_bits().checked_add(offset.into())?).into(),
    };
    range.contains(address).then_some(address)
}

fn too_small(range: IpPrefix, members: usize) -> String {
    format!("the underlay's range {range} is too small for {members} hosts and machines")
}

#[cfg(test)]
mod tests {
    use crate::description::parse;

    fn addresses(underlay: &str, members: &str) -> Result<Vec<String>, String> {
        let lab = parse(&format!("name: x\nunderlay: {underlay}\n{members}\n"))?;
        let links = lab.links()?.into_iter();
        Ok(links
            .map(|link| match link.router {
                Some(router) => format!("{} {}/{} {router}", link.member, link.address, link.length),
                None => format!("{} {}/{}", link.member, link.address, link.length),
            })
            .collect())
    }

    #[test]
    fn a_switched_underlay_gives_what_is_free() {
        let seen = addresses(
            "{}",
            "hosts: {a: , b: {address: 192.0.2.1}, c: }\nmachines: {m: }",
        );
        assert_eq!(
            seen.unwrap(),
            [
                "a 192.0.2.2/24",
                "b 192.0.2.1/24",
                "c 192.0.2.3/24",
                "m 192.0.2.4/24"
            ]
        );
        let seen = addresses("{ipv6: 2001:db8::/64}", "hosts: {a: , b: }");
        assert_eq!(seen.unwrap(), ["a 2001:db8::1/64", "b 2001:db8::2/64"]);
    }

    #[test]
    fn a_routed_underlay_has_a_pair_for_each() {
        let seen = addresses("{kind: routed}", "hosts: {a: , b: }");
        assert_eq!(
            seen.unwrap(),
            ["a 192.0.2.1/31 192.0.2.0", "b 192.0.2.3/31 192.0.2.2"]
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (underlay, members, word) in [
            ("{ipv4: 192.0.2.0/30}", "hosts: {a: , b: , c: }", "too small"),
            (
                "{kind: routed, ipv4: 192.0.2.0/31}",
                "hosts: {a: , b: }",
                "too small",
            ),
            ("{}", "hosts: {a: {address: 10.0.0.1}}", "range"),
            (
                "{}",
                "hosts: {a: {address: 192.0.2.9}, b: {address: 192.0.2.9}}",
                "two members",
            ),
            ("{kind: routed}", "hosts: {a: {address: 192.0.2.9}}", "own"),
        ] {
            let error = addresses(underlay, members).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
