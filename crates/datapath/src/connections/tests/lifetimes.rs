//! TCP's states, and how long a silent connection lives.

use super::*;
use Direction::{Original, Reply};
use TcpState::*;
use flag::{ACK, FIN, RST, SYN};
use protocol::{ICMP, TCP, UDP};

/// Plays packets and returns the state after each.
fn play(packets: &[(Direction, u8)]) -> Vec<TcpState> {
    let table = table(2);
    let first = New {
        tcp_flags: packets[0].1,
        ..new()
    };
    let id = table.create(zone(1), &tuple(TCP, 0), first).unwrap().id;
    let mut states = vec![table.find(zone(1), &tuple(TCP, 0)).unwrap().tcp_state];
    states.extend(
        packets[1..]
            .iter()
            .map(|&(direction, flags)| table.tcp_observe(id, direction, flags).unwrap()),
    );
    states
}

#[test]
fn tcp_goes_through_its_states() {
    let handshake = [(Original, SYN), (Reply, SYN | ACK), (Original, ACK)];
    let open = |rest: &[(Direction, u8)]| play(&[&handshake[..], rest].concat())[2..].to_vec();
    assert_eq!(play(&handshake), [SynSent, SynReceived, Established]);
    assert_eq!(
        open(&[
            (Original, FIN | ACK),
            (Reply, ACK),
            (Reply, FIN | ACK),
            (Reply, FIN | ACK),
            (Original, ACK)
        ]),
        [
            Established,
            FinWaitOriginal,
            FinWaitOriginal,
            Closing,
            Closing,
            TimeWait
        ]
    );
    assert_eq!(
        open(&[(Reply, FIN | ACK), (Original, FIN | ACK)]),
        [Established, FinWaitReply, Closing]
    );
    assert_eq!(
        open(&[(Reply, RST), (Original, ACK)]),
        [Established, Closed, Closed]
    );
    assert_eq!(open(&[(Original, SYN), (Reply, SYN | ACK)]), [Established; 3]);
    assert_eq!(
        play(&[(Original, SYN), (Original, SYN), (Reply, RST | ACK)]),
        [SynSent, SynSent, Closed]
    );
    assert_eq!(
        play(&[
            (Original, SYN),
            (Reply, SYN),
            (Original, SYN | ACK),
            (Original, ACK)
        ])[3],
        Established
    );
    assert_eq!(
        play(&[(Original, SYN), (Reply, ACK), (Original, ACK)]),
        [SynSent; 3],
        "no SYN of the responder"
    );
    assert_eq!(
        play(&[(Original, SYN), (Reply, SYN | ACK), (Reply, FIN | ACK)])[2],
        FinWaitReply
    );
}

#[test]
fn only_a_finished_connection_is_reopened_by_a_syn() {
    for (state, expected) in [
        (SynSent, false),
        (Established, false),
        (FinWaitReply, false),
        (TimeWait, true),
        (Closed, true),
    ] {
        assert_eq!(state.reopens(SYN), expected, "{state:?}");
        assert!(!state.reopens(SYN | ACK) && !state.reopens(ACK) && !state.reopens(RST));
    }
}

#[test]
fn a_connection_picked_up_is_established_unless_a_syn_says_otherwise() {
    assert_eq!(TcpState::first(ACK, true), Established);
    assert_eq!(TcpState::first(FIN | ACK, true), FinWaitOriginal);
    assert_eq!(TcpState::first(SYN, true), SynSent);
    assert_eq!(TcpState::first(RST, true), Closed);
}

/// A connection that was brought somewhere lives this many seconds of silence, and not two more.
fn lives(protocol: u8, seconds: u64, bring: impl Fn(&Connections, ConnectionId)) {
    let table = table(2);
    let id = table.create(zone(1), &tuple(protocol, 0), new()).unwrap().id;
    table.half(id, Original).unwrap().touch(NOW, 60, 0);
    bring(&table, id);
    let seen = table
        .get(id, NOW + 100 * SECOND)
        .unwrap()
        .halves
        .iter()
        .filter_map(|h| h.last_seen)
        .max()
        .unwrap();
    let age = |after: u64| table.age(seen + after * SECOND, 100, &Timeouts::default());
    assert_eq!(
        age(seconds - 1).expired,
        0,
        "protocol {protocol} dies before {seconds} s"
    );
    let aged = age(seconds + 1);
    let examined = 2.min(table.walk_end.load(Ordering::Relaxed));
    assert_eq!(
        (aged.examined, aged.expired),
        (examined, 1),
        "protocol {protocol} lives after {seconds} s"
    );
    assert!(table.is_empty() && !table.is_valid(id, Original));
    assert_eq!((table.count_of(GUEST), table.statistics().expired), (0, 1));
}

#[test]
fn silence_ends_a_connection_by_what_was_seen_of_it() {
    let touch = |table: &Connections, id, direction, after: u64, flags| {
        table
            .half(id, direction)
            .unwrap()
            .touch(NOW + after * SECOND, 60, flags);
        table.tcp_observe(id, direction, flags);
    };
    let open = |table: &Connections, id| {
        touch(table, id, Reply, 0, SYN | ACK);
        touch(table, id, Original, 0, ACK);
    };
    lives(TCP, 120, |_, _| ());
    lives(TCP, 60, |t, id| touch(t, id, Reply, 1, SYN | ACK));
    lives(TCP, 432_000, open);
    lives(TCP, 432_000, |t, id| {
        touch(t, id, Reply, 0, SYN | ACK);
        t.half(id, Original).unwrap().touch(NOW, 60, ACK);
    });
    lives(TCP, 240, |t, id| {
        open(t, id);
        touch(t, id, Reply, 5, FIN | ACK);
    });
    lives(TCP, 60, |t, id| {
        open(t, id);
        touch(t, id, Reply, 5, FIN | ACK);
        touch(t, id, Original, 5, FIN | ACK);
    });
    lives(TCP, 120, |t, id| {
        open(t, id);
        touch(t, id, Reply, 5, FIN | ACK);
        touch(t, id, Original, 5, FIN | ACK);
        touch(t, id, Reply, 5, ACK);
    });
    lives(TCP, 10, |t, id| touch(t, id, Reply, 0, RST));
    lives(UDP, 30, |_, _| ());
    lives(UDP, 30, |t, id| touch(t, id, Original, 50, 0));
    lives(UDP, 120, |t, id| touch(t, id, Reply, 1, 0));
    lives(UDP, 300, |t, id| {
        touch(t, id, Reply, 1, 0);
        touch(t, id, Original, 3, 0);
    });
    lives(ICMP, 60, |_, _| ());
    lives(47, 600, |t, id| touch(t, id, Reply, 0, 0));
}

#[test]
fn ageing_takes_small_steps_and_gets_everywhere() {
    let table = table(100);
    for n in 0..100 {
        table.create(zone(1), &tuple(UDP, n), new()).unwrap();
    }
    let steps: Vec<Aged> = (0..15)
        .map(|_| table.age(NOW + 31 * SECOND, 7, &Timeouts::default()))
        .collect();
    assert!(steps.iter().all(|step| step.examined == 7 && step.expired <= 7));
    assert!(table.is_empty());
    check(&table);
}

/// A host's idle connections must cost next to nothing: ageing reads none that cannot be over.
#[test]
fn ageing_reads_only_what_may_be_over() {
    let table = table(100);
    let ids: Vec<ConnectionId> = (0..90)
        .map(|n| table.create(zone(1), &tuple(TCP, n), new()).unwrap().id)
        .collect();
    for &id in &ids {
        table.half(id, Reply).unwrap().touch(NOW, 60, SYN | ACK);
        table.tcp_observe(id, Reply, SYN | ACK);
        table.tcp_observe(id, Original, ACK);
    }
    let age = |seconds: u64| {
        let aged = table.age(NOW + seconds * SECOND, 200, &Timeouts::default());
        (aged.read, aged.expired)
    };
    let used = table.walk_end.load(Ordering::Relaxed);
    assert_eq!(age(1), (used, 0));
    assert!((2..61).all(|seconds| age(seconds) == (0, 0)));
    assert_eq!(age(62), (used, 0), "each minute");
    // What shortens a life is seen at once, and its end on time.
    table.tcp_observe(ids[7], Original, RST);
    table
        .half(ids[7], Original)
        .unwrap()
        .touch(NOW + 70 * SECOND, 60, RST);
    assert_eq!(age(71), (1, 0));
    assert!((72..80).all(|seconds| age(seconds) == (0, 0)));
    assert_eq!(age(81), (1, 1));
    // A connection that takes the place of another is looked at in its own time.
    let late = New {
        now: NOW + 82 * SECOND,
        ..new()
    };
    let id = table.create(zone(1), &tuple(UDP, 200), late).unwrap().id;
    assert_eq!(age(83).0, 1);
    assert_eq!((age(111), table.is_valid(id, Original)), ((0, 0), true));
    assert_eq!((age(113), table.is_valid(id, Original)), ((1, 1), false));
}

#[test]
fn timeouts_that_became_shorter_hold_within_a_minute() {
    let table = table(2);
    table.create(zone(1), &tuple(47, 0), new()).unwrap();
    assert_eq!(table.age(NOW, 9, &Timeouts::default()).expired, 0);
    let shorter = Timeouts {
        other: SECOND,
        ..Timeouts::default()
    };
    assert_eq!(table.age(NOW + 61 * SECOND, 9, &shorter).expired, 1);
}

#[test]
fn times_of_another_clock_become_now() {
    let table = table(2);
    let id = table
        .create(
            zone(1),
            &tuple(UDP, 0),
            New {
                now: NOW + 9_000 * SECOND,
                ..new()
            },
        )
        .unwrap()
        .id;
    table
        .half(id, Original)
        .unwrap()
        .touch(NOW + 10_000 * SECOND, 60, 0);
    let (table, _) = reopen(&table, config());
    let copy = table.get(id, NOW).unwrap();
    assert!(copy.created <= NOW && copy.halves[0].last_seen.unwrap() <= NOW);
    assert_eq!(table.age(NOW + 31 * SECOND, 9, &Timeouts::default()).expired, 1);
}

#[test]
fn a_timeout_of_years_is_none_that_wraps() {
    let timeouts = Timeouts {
        udp_unreplied: u64::MAX,
        ..Timeouts::default()
    };
    let table = table(2);
    table.create(zone(1), &tuple(UDP, 0), new()).unwrap();
    let day = 86_400 * SECOND;
    assert!((0..25).all(|days| table.age(NOW + days * day, 9, &timeouts).expired == 0));
}
