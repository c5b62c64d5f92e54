//! What the table promises, one promise a test.

use anet_packet::protocol::{ICMP, TCP, UDP};
use anet_packet::tcp::flag;

use super::*;

#[test]
fn both_directions_find_the_same_connection() {
    let table = table(8);
    let (zone, tuple) = (zone(5), tuple(UDP, 1));
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
    assert_eq!(table.len(), 1);
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
    let (second, recovered) = Connections::open(copy(&first.words), config()).unwrap();
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
        (id, TcpState::SynReceived, [None, None])
    );
    assert_eq!(second.half(id, Direction::Original).unwrap().packets(), 1);
    assert_eq!(second.count_of(PortIdentity::from_raw(1)), 1);
    assert!(first.half(id, Direction::Original).unwrap().witnesses().is_some());
}

#[test]
fn a_closed_connection_is_gone_for_every_holder_of_its_id() {
    let table = table(1);
    let (zone, tuple) = (zone(5), tuple(ICMP, 1));
    let old = table.create(zone, &tuple, new()).unwrap().id;
    assert!(table.close(old, CloseReason::Withdrawn));
    assert!(!table.close(old, CloseReason::Withdrawn));
    let young = table.create(zone, &tuple, new()).unwrap().id;
    assert_eq!(young.slot, old.slot);
    assert!(!table.is_valid(old, Direction::Original) && table.is_valid(young, Direction::Reply));
    assert!(!table.set_witnesses(old, Direction::Original, [Witness::default(); 2]));
    assert_eq!(table.tcp_observe(old, Direction::Original, flag::SYN), None);
    assert_eq!(table.statistics().closed[CloseReason::Withdrawn as usize], 1);
}
