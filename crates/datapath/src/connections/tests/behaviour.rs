//! What the table promises, one promise a test.

use super::*;
use protocol::{ICMP, TCP, UDP};

#[test]
fn both_directions_find_the_same_connection() {
    for n in 0..4 {
        let table = table(8);
        let (zone, tuple) = (zone(5), tuple([TCP, UDP, ICMP, 47][n as usize], n));
        let made = table.create(zone, &tuple, new()).unwrap();
        assert!(made.is_new);
        let there = table.find(zone, &tuple).unwrap();
        let back = table.find(zone, &tuple.reversed()).unwrap();
        assert_eq!((there.id, there.direction), (made.id, Direction::Original));
        assert_eq!((back.id, back.direction), (made.id, Direction::Reply));
        assert_eq!(
            table.find(super::zone(6), &tuple),
            None,
            "another zone is another world"
        );
        let again = table.create(zone, &tuple.reversed(), new()).unwrap();
        assert_eq!(
            (again.id, again.direction, again.is_new),
            (made.id, Direction::Reply, false)
        );
        assert_eq!(table.iter(NOW, Filter::default()).next().unwrap().tuple, tuple);
        check(&table);
    }
}

#[test]
fn tuples_that_differ_in_one_thing_are_different_connections() {
    let table = table(16);
    let plain = tuple(UDP, 0);
    let echo = tuple(ICMP, 0);
    let others = [
        plain,
        Tuple {
            protocol: 136,
            ..plain
        },
        Tuple {
            source: plain.source + 1,
            ..plain
        },
        Tuple {
            destination: plain.destination + 7,
            ..plain
        },
        Tuple {
            source_port: 1,
            ..plain
        },
        Tuple {
            destination_port: 81,
            ..plain
        },
        Tuple { family: 6, ..plain },
        Tuple {
            destination_port: plain.source_port,
            source_port: plain.destination_port,
            ..plain
        },
        echo,
        Tuple {
            icmp_type: 13,
            source_port: 0,
            destination_port: 0,
            ..echo
        },
        Tuple {
            source_port: 1,
            ..echo
        },
        Tuple {
            source_port: echo.destination_port,
            destination_port: echo.source_port,
            ..echo
        },
    ];
    for tuple in others {
        assert!(table.create(zone(1), &tuple, new()).unwrap().is_new, "{tuple:?}");
    }
    check(&table);
}

#[test]
fn a_reopened_table_has_its_connections_and_no_witness() {
    let first = table(8);
    let (zone, tuple) = (zone(5), tuple(TCP, 1));
    let id = first.create(zone, &tuple, new()).unwrap().id;
    assert!(first.set_witnesses(
        id,
        Direction::Original,
        [Witness {
            slot: 3,
            generation: 4
        }; 2]
    ));
    first
        .half(id, Direction::Original)
        .unwrap()
        .touch(NOW, 60, flag::SYN);
    assert_eq!(
        first.tcp_observe(id, Direction::Reply, flag::SYN | flag::ACK),
        Some(TcpState::SynReceived)
    );
    let (second, recovered) = reopen(
        &first,
        Config {
            shards: 64,
            seed: 99,
            ..config()
        },
    );
    assert_eq!(
        recovered,
        Recovered {
            kept: 1,
            discarded: 0
        }
    );
    let found = second.find(zone, &tuple).unwrap();
    assert_eq!(
        (found.id, found.tcp_state, found.witnesses),
        (id, TcpState::SynReceived, None)
    );
    assert_eq!(second.half(id, Direction::Original).unwrap().packets(), 1);
    assert_eq!(second.count_of(GUEST), 1);
    let known = |tuple| first.find(zone, &tuple).unwrap().witnesses;
    let vouched = Witness {
        slot: 3,
        generation: 4,
    };
    assert_eq!(
        (known(tuple), known(tuple.reversed())),
        (Some([vouched; 2]), None)
    );
}

#[test]
fn a_closed_connection_is_gone_for_every_holder_of_its_id() {
    let table = table(1);
    let (zone, tuple) = (zone(5), tuple(ICMP, 1));
    let old = table.create(zone, &tuple, new()).unwrap().id;
    let held = table.half(old, Direction::Reply).unwrap();
    assert!(table.close(old, CloseReason::Withdrawn));
    assert!(!table.close(old, CloseReason::Withdrawn));
    let young = table.create(zone, &tuple, new()).unwrap().id;
    assert_eq!(young.slot, old.slot);
    assert!(!table.is_valid(old, Direction::Original) && table.is_valid(young, Direction::Reply));
    assert!(!table.set_witnesses(old, Direction::Original, [Witness::default(); 2]));
    assert_eq!(table.tcp_observe(old, Direction::Original, flag::SYN), None);
    assert_eq!(table.statistics().closed[CloseReason::Withdrawn as usize], 1);

    held.touch(NOW, 60, flag::ACK);
    let copy = table.get(young, NOW).unwrap();
    assert_eq!(
        copy.halves[1].last_seen, None,
        "a late worker of the old connection vouches for nothing"
    );
    assert_eq!(copy.halves[1].tcp_flags, 0);
    assert!(table.get(old, NOW).is_none());
}

#[test]
fn a_half_counts_what_goes_by() {
    let table = table(2);
    let id = table.create(zone(1), &tuple(TCP, 0), new()).unwrap().id;
    let half = table.half(id, Direction::Reply).unwrap();
    assert_eq!((half.owner(), half.packets()), (None, 0));
    half.touch(NOW + SECOND, 1_000, flag::SYN);
    half.claim(0);
    half.touch(NOW + 3 * SECOND, 70_000, flag::ACK);
    let copy = table.get(id, NOW + 4 * SECOND).unwrap().halves[1];
    assert_eq!((copy.packets, copy.bytes, copy.owner), (2, 71_000, Some(0)));
    assert_eq!(copy.tcp_flags, flag::SYN | flag::ACK);
    let seen = copy.last_seen.unwrap();
    assert!(
        (NOW + 3 * SECOND - 2_000_000..=NOW + 3 * SECOND).contains(&seen),
        "{seen}"
    );
}

#[test]
fn a_full_table_keeps_what_is_established_and_gives_up_what_is_half_open() {
    let table = table(8);
    let made: Vec<_> = (0..8)
        .map(|n| table.create(zone(1), &tuple(TCP, n), new()).unwrap().id)
        .collect();
    for &id in &made[1..] {
        table.tcp_observe(id, Direction::Reply, flag::SYN | flag::ACK);
        table.tcp_observe(id, Direction::Original, flag::ACK);
    }
    let late = table.create(zone(1), &tuple(TCP, 8), new()).unwrap().id;
    assert!(
        !table.is_valid(made[0], Direction::Original)
            && made[1..].iter().all(|&id| table.is_valid(id, Direction::Reply))
    );
    table.tcp_observe(late, Direction::Reply, flag::SYN | flag::ACK);
    // The handshake's last ACK went by on the fast path.
    table
        .half(late, Direction::Original)
        .unwrap()
        .touch(NOW, 60, flag::ACK);
    let refused = table.create(zone(1), &tuple(TCP, 9), new());
    assert_eq!(refused, Err(CreateError::TableFull { capacity: 8 }));
    let statistics = table.statistics();
    assert_eq!(
        (statistics.created, statistics.evicted, statistics.refused_full),
        (9, 1, 1)
    );
    assert_eq!(table.count_of(GUEST), 8, "a refused connection costs nothing");
    check(&table);
}

#[test]
fn a_port_has_its_budget_and_no_other_pays_for_it() {
    let table = table(64);
    let busy = New {
        limit: 3,
        picked_up: true,
        tcp_flags: flag::ACK,
        ..new()
    };
    let made: Vec<_> = (0..3)
        .map(|n| table.create(zone(1), &tuple(TCP, n), busy).unwrap().id)
        .collect();
    let refused = table.create(zone(1), &tuple(TCP, 3), busy);
    assert_eq!(refused, Err(CreateError::PortBudget { limit: 3 }));
    let inbound = New {
        originator: PortIdentity::REMOTE,
        responder: GUEST,
        ..busy
    };
    assert_eq!(
        table.create(zone(1), &tuple(TCP, 3), inbound),
        Err(CreateError::PortBudget { limit: 3 })
    );
    let other = New {
        originator: PortIdentity::from_raw(2),
        responder: GUEST,
        ..busy
    };
    assert!(
        table.create(zone(1), &tuple(TCP, 4), other).is_ok(),
        "the originator pays"
    );
    let transit = New {
        originator: PortIdentity::REMOTE,
        limit: 0,
        ..busy
    };
    assert!(
        table.create(zone(1), &tuple(TCP, 5), transit).is_ok(),
        "no local port, no budget"
    );
    assert!(table.close(made[0], CloseReason::Operator));
    assert!(table.create(zone(1), &tuple(TCP, 3), busy).is_ok());
    assert_eq!((table.count_of(GUEST), table.statistics().refused_budget), (3, 2));
    check(&table);
}

#[test]
fn a_flooded_port_gives_up_its_own_half_open_connections_only() {
    let table = table(64);
    let others = table
        .create(
            zone(1),
            &tuple(UDP, 99),
            New {
                originator: PortIdentity::from_raw(2),
                ..new()
            },
        )
        .unwrap()
        .id;
    let limited = New { limit: 4, ..new() };
    for n in 0..40 {
        table.create(zone(1), &tuple(TCP, n), limited).unwrap();
    }
    assert_eq!(
        (table.count_of(GUEST), table.len(), table.statistics().evicted),
        (4, 5, 36)
    );
    assert!(table.is_valid(others, Direction::Original));
    check(&table);
}

#[test]
fn a_filter_wants_all_that_it_says() {
    let table = table(64);
    for n in 0..20 {
        let new = New {
            responder: PortIdentity::from_raw(u64::from(n % 2) + 8),
            ..new()
        };
        table
            .create(zone(n % 4 + 1), &tuple([TCP, UDP][n as usize / 10], n), new)
            .unwrap();
    }
    let count = |filter| table.iter(NOW, filter).count();
    let all = Filter::default();
    assert_eq!(count(all), 20);
    assert_eq!(
        count(Filter {
            zone: Some(zone(2)),
            ..all
        }),
        5
    );
    assert_eq!(
        count(Filter {
            protocol: Some(UDP),
            ..all
        }),
        10
    );
    assert_eq!(
        count(Filter {
            port: Some(PortIdentity::from_raw(9)),
            ..all
        }),
        10
    );
    assert_eq!(
        count(Filter {
            port: Some(GUEST),
            protocol: Some(TCP),
            zone: Some(zone(1)),
            ..all
        }),
        3
    );
    assert_eq!(
        count(Filter {
            address: Some(tuple(TCP, 1).destination_address()),
            ..all
        }),
        10
    );
}

#[test]
fn ids_that_nobody_gave_out_are_nobodys() {
    let table = table(2);
    table.create(zone(1), &tuple(UDP, 0), new()).unwrap();
    for slot in [0, 1, 2, u32::MAX] {
        let id = ConnectionId { slot, sequence: 77 };
        assert!(table.half(id, Direction::Original).is_none() && table.get(id, NOW).is_none());
        assert!(!table.close(id, CloseReason::Operator));
        assert_eq!(table.tcp_observe(id, Direction::Original, flag::RST), None);
    }
}

#[test]
fn a_port_has_the_same_identity_in_every_process() {
    assert_eq!(PortIdentity::of("port-1").get(), 3_248_350_752_740_457_981);
    assert_ne!(PortIdentity::of("port-1"), PortIdentity::of("port-2"));
    assert!(!PortIdentity::of("").is_remote());
}
