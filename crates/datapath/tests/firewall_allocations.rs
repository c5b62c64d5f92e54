//! A lookup never allocates, whatever the rules and the packet.

use std::net::IpAddr;

use anet_datapath::firewall::{AddressSets, Policy, Query};
use anet_memory::allocation_count::{CountingAllocator, allocations_of_this_thread};
use anet_model::host_plan::{AddressSetId, Direction, Family, PortRange, Protocol, Remote, Rule};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn rules() -> Vec<Rule> {
    let id = AddressSetId::new("set").expect("a legal id");
    let set = || Remote::Set(id.clone());
    let prefix = |n: u16| {
        Remote::Prefix(
            format!("10.{}.{}.0/24", n >> 8, n & 0xff)
                .parse()
                .expect("a legal prefix"),
        )
    };
    let rule = |n: u16| Rule {
        direction: Direction::Ingress,
        family: if n % 3 == 2 { Family::Ipv6 } else { Family::Ipv4 },
        protocol: if n.is_multiple_of(5) {
            Protocol::Any
        } else {
            Protocol::Tcp(PortRange {
                first: n,
                last: n + 9,
            })
        },
        remote: if n.is_multiple_of(3) { prefix(n) } else { set() },
    };
    (0..2_000).map(rule).collect()
}

#[test]
fn a_lookup_does_not_allocate() {
    let rules = rules();
    let policy = Policy::compile((0..).zip(&rules), |_| Some(0)).unwrap();
    let mut sets = AddressSets::new(1);
    for member in ["10.0.0.1/32", "10.0.0.0/20", "fd00::1/128", "fd00:1::/32"] {
        sets.insert(0, member.parse().unwrap()).unwrap();
    }
    let remotes: [IpAddr; 5] =
        ["10.0.0.1", "10.0.18.9", "11.0.0.1", "fd00:1::5", "fd02::"].map(|a| a.parse().unwrap());
    let before = allocations_of_this_thread();
    assert!(before > 0, "the counting allocator is in use");
    let mut allowed = 0;
    for destination_port in (0..2_100).map(Some).chain([None]) {
        for remote in remotes {
            let query = Query {
                direction: Direction::Ingress,
                remote,
                protocol: 6,
                destination_port,
                icmp: None,
            };
            allowed += u32::from(policy.lookup(&query, &sets).is_some());
        }
    }
    assert_eq!(allocations_of_this_thread(), before);
    assert!(allowed > 1_000, "{allowed}");
}
