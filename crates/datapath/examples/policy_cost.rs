//! Prints what a lookup in a policy costs, by number of rules and shape: nanoseconds, the written bound, memory, compile time.
//!
//! `cargo run --release -p anet-datapath --example policy_cost`

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use anet_datapath::firewall::{AddressSets, Policy, PolicyTooLarge, Query};
use anet_model::host_plan::{AddressSetId, Direction, Family, PortRange, Protocol, Remote, Rule};
use anet_packet::addr::IpPrefix;

/// Packets asked about, more than fit a branch predictor.
const QUERIES: usize = 1 << 16;
const LOOKUPS: usize = 1 << 18;

/// The same sequence in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(end)) as u32
    }
}

/// A kind of rule list, and the rule at a place of it.
struct Shape {
    name: &'static str,
    family: Family,
    rule: fn(u32, &mut Random) -> (Protocol, Remote),
}

const SHAPES: [Shape; 9] = [
    Shape {
        name: "mixed",
        family: Family::Ipv4,
        rule: mixed,
    },
    Shape {
        name: "mixed IPv6",
        family: Family::Ipv6,
        rule: mixed_ipv6,
    },
    Shape {
        name: "a host and a port each",
        family: Family::Ipv4,
        rule: |n, _| (tcp(n as u16, n as u16), Remote::Prefix(host(n))),
    },
    Shape {
        name: "one port, many hosts",
        family: Family::Ipv4,
        rule: |n, _| (tcp(80, 80), Remote::Prefix(host(n))),
    },
    Shape {
        name: "16 sets, many ports",
        family: Family::Ipv4,
        rule: |n, _| (tcp(n as u16, n as u16), set(n % 16)),
    },
    Shape {
        name: "256 sets, all ports",
        family: Family::Ipv4,
        rule: |n, _| (tcp(0, u16::MAX), set(n % 256)),
    },
    Shape {
        name: "nested prefixes and ranges",
        family: Family::Ipv6,
        rule: nested,
    },
    Shape {
        name: "half of all ranges overlap",
        family: Family::Ipv4,
        rule: |n, _| (tcp(2 * n as u16, 2 * n as u16 + 32_767), Remote::Any),
    },
    Shape {
        name: "256 sets, deepest IPv6",
        family: Family::Ipv6,
        rule: |n, _| (tcp(0, u16::MAX), set(n % 256)),
    },
];

/// What a busy tenant has: hosts, networks, a few groups, single ports and ranges.
fn mixed(n: u32, random: &mut Random) -> (Protocol, Remote) {
    let port = random.below(65_000) as u16;
    let protocol = match n % 8 {
        0 => Protocol::Udp(PortRange {
            first: port,
            last: port,
        }),
        1 => Protocol::Icmp {
            kind: Some(8),
            code: None,
        },
        2 => tcp(port, port.saturating_add(500)),
        _ => tcp(port, port),
    };
    let address = Ipv4Addr::from_bits(0x0a00_0000 | random.below(1 << 20)).into();
    let remote = match n % 5 {
        0 => set(n % 3),
        1 => Remote::Prefix(IpPrefix::containing(address, 16 + (n % 12) as u8).expect("a legal length")),
        _ => Remote::Prefix(IpPrefix::host(address)),
    };
    (protocol, remote)
}

fn mixed_ipv6(n: u32, random: &mut Random) -> (Protocol, Remote) {
    let (protocol, remote) = mixed(n, random);
    let Remote::Prefix(prefix) = remote else {
        return (protocol, remote);
    };
    let length = if prefix.is_host() {
        128
    } else {
        32 + prefix.length()
    };
    (
        protocol,
        Remote::Prefix(IpPrefix::containing(ipv6_of(prefix.address()), length).expect("a legal length")),
    )
}

/// Each address is in 129 prefixes and each of them has rules of many ports, of which the packet's matches none.
fn nested(n: u32, _: &mut Random) -> (Protocol, Remote) {
    let inside = Ipv6Addr::from_bits(0xfd00 << 112).into();
    let prefix = IpPrefix::containing(inside, (n % 129) as u8).expect("a legal length");
    (tcp(1024 + (n / 129) as u16, 60_000), Remote::Prefix(prefix))
}

fn tcp(first: u16, last: u16) -> Protocol {
    Protocol::Tcp(PortRange { first, last })
}

fn host(n: u32) -> IpPrefix {
    IpPrefix::host(Ipv4Addr::from_bits(0x0a00_0000 + n).into())
}

fn set(index: u32) -> Remote {
    Remote::Set(AddressSetId::new(&format!("{index}")).expect("a legal id"))
}

/// The IPv6 address that stands for an IPv4 one here.
fn ipv6_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(a) => Ipv6Addr::from_bits(0xfd00 << 112 | u128::from(a.to_bits()) << 64).into(),
        IpAddr::V6(_) => address,
    }
}

/// Sets of 1,000 hosts and 10 networks, those from 16 on also with IPv6 prefixes of many lengths.
fn filled_sets() -> AddressSets {
    let mut sets = AddressSets::new(0x5eed);
    let mut random = Random(2);
    for set in 0..256 {
        for n in 0..1_010 {
            let address = Ipv4Addr::from_bits(0x0a10_0000 | random.below(1 << 22)).into();
            let member = if n < 1_000 {
                IpPrefix::host(address)
            } else {
                IpPrefix::containing(address, 24).expect("a legal length")
            };
            sets.insert(set, member).expect("a legal index");
        }
        // The costliest set: it has to be asked at every byte of an address, and in vain.
        for byte in (0..16).filter(|_| set >= 16) {
            let member =
                IpPrefix::containing(Ipv6Addr::UNSPECIFIED.into(), 8 * byte + 1).expect("a legal length");
            sets.insert(set, member).expect("a legal index");
        }
    }
    sets
}

/// Packets of random addresses and ports out of those the rules are about.
fn queries(rules: &[(u32, Rule)], family: Family) -> Vec<Query> {
    let mut random = Random(3);
    let one = |_| {
        let (_, near) = &rules[random.below(rules.len() as u32) as usize];
        let remote = match &near.remote {
            Remote::Prefix(p) if !p.is_host() || random.below(2) == 0 => p.address(),
            _ => Ipv4Addr::from_bits(0x0a00_0000 | random.below(1 << 22)).into(),
        };
        let destination_port = match near.protocol {
            Protocol::Tcp(range) if random.below(2) == 0 => range.first,
            _ => random.below(65_536) as u16,
        };
        let remote = if family == Family::Ipv6 {
            ipv6_of(remote)
        } else {
            remote
        };
        Query {
            direction: Direction::Ingress,
            remote,
            protocol: 6,
            destination_port: Some(destination_port),
            icmp: None,
        }
    };
    (0..QUERIES).map(one).collect()
}

fn compiled(rules: &[(u32, Rule)]) -> Result<Policy, PolicyTooLarge> {
    Policy::compile(rules.iter().map(|(slot, rule)| (*slot, rule)), |id| {
        id.as_str().parse().ok()
    })
}

fn measure(shape: &Shape, count: u32, sets: &AddressSets) -> Result<(), PolicyTooLarge> {
    let mut random = Random(1);
    let rule = |n| {
        let (protocol, remote) = (shape.rule)(n, &mut random);
        (
            n,
            Rule {
                direction: Direction::Ingress,
                family: shape.family,
                protocol,
                remote,
            },
        )
    };
    let rules: Vec<(u32, Rule)> = (0..count).map(rule).collect();
    let began = Instant::now();
    let policy = compiled(&rules)?;
    let compile_ms = began.elapsed().as_secs_f64() * 1e3;
    let queries = queries(&rules, shape.family);
    let (mut best, mut allowed) = (f64::MAX, 0);
    for _ in 0..3 {
        let began = Instant::now();
        allowed = (0..LOOKUPS / QUERIES)
            .map(|_| {
                queries
                    .iter()
                    .filter(|q| policy.lookup(black_box(q), sets).is_some())
                    .count()
            })
            .sum();
        best = best.min(began.elapsed().as_secs_f64() * 1e9 / LOOKUPS as f64);
    }
    let (cost, allowed) = (policy.cost(), 100 * allowed / LOOKUPS);
    println!(
        "{:28} {count:6} rules {best:7.1} ns {allowed:3} % allowed; at most {:4} steps {:5} words {:5} probes; {:9} bytes, {compile_ms:6.1} ms",
        shape.name,
        cost.interval_steps,
        cost.words,
        cost.address_probes,
        policy.bytes()
    );
    Ok(())
}

fn main() -> Result<(), PolicyTooLarge> {
    let sets = filled_sets();
    for shape in &SHAPES {
        for count in [10, 100, 1_000, 10_000] {
            measure(shape, count, &sets)?;
        }
    }
    Ok(())
}
