//! The table against a map: the same answers whatever happens, in whatever order.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// Time goes by in the table's own grain, so that both sides round alike.
const TICK: u64 = 1 << 20;
const CAPACITY: u32 = 12;
const PORT_LIMIT: u32 = 6;
const PROTOCOLS: [u8; 4] = [protocol::TCP, protocol::UDP, protocol::ICMP, 132];

#[derive(Debug, Clone)]
enum Step {
    Create {
        n: u32,
        reverse: bool,
        port: u64,
        flags: u8,
        picked_up: bool,
    },
    Find {
        n: u32,
        reverse: bool,
    },
    Packet {
        n: u32,
        reverse: bool,
        flags: u8,
    },
    Close {
        n: u32,
    },
    Wait {
        seconds: u64,
    },
    Age {
        budget: u32,
    },
    Reopen {
        seed: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let flags = prop::sample::select(vec![
        0,
        flag::SYN,
        flag::SYN | flag::ACK,
        flag::ACK,
        flag::FIN | flag::ACK,
        flag::RST,
    ]);
    let n = 0..24_u32;
    prop_oneof![
        6 => (n.clone(), any::<bool>(), 0..3_u64, flags.clone(), any::<bool>())
            .prop_map(|(n, reverse, port, flags, picked_up)| Step::Create { n, reverse, port, flags, picked_up }),
        2 => (n.clone(), any::<bool>()).prop_map(|(n, reverse)| Step::Find { n, reverse }),
        8 => (n.clone(), any::<bool>(), flags).prop_map(|(n, reverse, flags)| Step::Packet { n, reverse, flags }),
        1 => n.prop_map(|n| Step::Close { n }),
        3 => prop_oneof![0..40_u64, 0..700_u64, 0..500_000_u64].prop_map(|seconds| Step::Wait { seconds }),
        3 => (0..30_u32).prop_map(|budget| Step::Age { budget }),
        1 => any::<u64>().prop_map(|seed| Step::Reopen { seed }),
    ]
}

/// A connection as the map knows it.
#[derive(Debug, Clone)]
struct Known {
    original: Tuple,
    port: u64,
    state: TcpState,
    created: u64,
    seen: [Option<u64>; 2],
    packets: [u64; 2],
    acknowledged: bool,
}

impl Known {
    fn state(&self) -> TcpState {
        if self.state == TcpState::SynReceived && self.acknowledged {
            TcpState::Established
        } else {
            self.state
        }
    }

    fn silence_allowed(&self) -> u64 {
        let (answered, stream) = (
            self.seen[1].is_some(),
            self.seen[0].is_some_and(|at| at - self.created >= ticks(2)),
        );
        ticks(match (self.original.protocol, self.state()) {
            (protocol::TCP, TcpState::SynSent) => 120,
            (protocol::TCP, TcpState::SynReceived | TcpState::Closing) => 60,
            (protocol::TCP, TcpState::Established) => 432_000,
            (protocol::TCP, TcpState::FinWaitOriginal | TcpState::FinWaitReply) => 240,
            (protocol::TCP, TcpState::TimeWait) => 120,
            (protocol::TCP, _) => 10,
            (protocol::UDP, _) if !answered => 30,
            (protocol::UDP, _) => {
                if stream {
                    300
                } else {
                    120
                }
            }
            (protocol::ICMP, _) => 60,
            _ => 600,
        })
    }

    fn gives_way(&self) -> bool {
        match self.original.protocol {
            protocol::TCP => !matches!(
                self.state(),
                TcpState::Established | TcpState::FinWaitOriginal | TcpState::FinWaitReply
            ),
            _ => self.seen[1].is_none(),
        }
    }

    fn is_over(&self, now: u64) -> bool {
        let last = self
            .seen
            .iter()
            .flatten()
            .copied()
            .max()
            .unwrap_or(0)
            .max(self.created);
        now - last > self.silence_allowed()
    }
}

fn ticks(seconds: u64) -> u64 {
    seconds * SECOND / TICK
}

struct Pair {
    table: Connections,
    known: HashMap<u32, Known>,
    /// In ticks.
    now: u64,
    /// When a port, or (as port 0) the table, had nothing that gives way: it is not looked at again within the tick.
    refused: HashMap<u64, u64>,
}

impl Pair {
    fn tuple(n: u32, reverse: bool) -> Tuple {
        let tuple = tuple(PROTOCOLS[n as usize % 4], n);
        if reverse { tuple.reversed() } else { tuple }
    }

    fn direction(&self, n: u32, packet: &Tuple) -> Option<Direction> {
        let same = self.known.get(&n)?.original == *packet;
        Some(if same {
            Direction::Original
        } else {
            Direction::Reply
        })
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Create {
                n,
                reverse,
                port,
                flags,
                picked_up,
            } => self.create(n, reverse, port, flags, picked_up),
            Step::Find { n, reverse } => {
                let packet = Self::tuple(n, reverse);
                let found = self.table.find(zone(1), &packet);
                assert_eq!(found.map(|f| f.direction), self.direction(n, &packet));
                assert_eq!(found.map(|f| f.tcp_state), self.known.get(&n).map(|k| k.state));
            }
            Step::Packet { n, reverse, flags } => self.packet(n, &Self::tuple(n, reverse), flags),
            Step::Close { n } => {
                let found = self.table.find(zone(1), &Self::tuple(n, false));
                let closed = found.is_some_and(|f| self.table.close(f.id, CloseReason::Operator));
                assert_eq!(closed, self.known.remove(&n).is_some());
            }
            // In all less than a half can tell.
            Step::Wait { seconds } => {
                self.now = (self.now + ticks(seconds)).min(NOW / TICK + ticks(45 * 86_400))
            }
            Step::Age { budget } => self.age(budget),
            Step::Reopen { seed } => {
                let config = Config {
                    shards: 1 << (seed % 4),
                    seed,
                    now: self.now * TICK,
                };
                let (table, recovered) = reopen(&self.table, config);
                assert_eq!(
                    recovered,
                    Recovered {
                        kept: self.known.len() as u32,
                        discarded: 0
                    }
                );
                self.table = table;
                self.refused.clear();
            }
        }
    }

    fn create(&mut self, n: u32, reverse: bool, port: u64, flags: u8, picked_up: bool) {
        let packet = Self::tuple(n, reverse);
        let new = New {
            originator: PortIdentity::from_raw(port),
            responder: PortIdentity::REMOTE,
            limit: PORT_LIMIT,
            tcp_flags: flags,
            picked_up,
            now: self.now * TICK,
        };
        let made = self.table.create(zone(1), &packet, new);
        if let Some(direction) = self.direction(n, &packet) {
            let made = made.unwrap();
            assert!(!made.is_new && made.direction == direction);
            return;
        }
        let spent = port != 0 && self.count(port) == PORT_LIMIT as usize;
        let full = self.known.len() == CAPACITY as usize;
        let may_go = |k: &Known| k.gives_way() && (!spent || k.port == port);
        match made {
            Ok(made) => {
                assert!(made.is_new && made.direction == Direction::Original);
                if spent || full {
                    self.forget_evicted(may_go);
                }
                let state = if packet.protocol == protocol::TCP {
                    TcpState::first(flags, picked_up)
                } else {
                    TcpState::None
                };
                let (created, seen, packets) = (self.now, [None; 2], [0; 2]);
                self.known.insert(
                    n,
                    Known {
                        original: packet,
                        port,
                        state,
                        created,
                        seen,
                        packets,
                        acknowledged: false,
                    },
                );
            }
            Err(error) => {
                let who = if spent { port } else { 0 };
                let again = self.refused.insert(who, self.now) == Some(self.now);
                assert!(
                    again || !self.known.values().any(may_go),
                    "something could have given way"
                );
                assert_eq!(error == CreateError::PortBudget { limit: PORT_LIMIT }, spent);
                assert!(spent || full);
            }
        }
    }

    fn count(&self, port: u64) -> usize {
        self.known.values().filter(|k| k.port == port).count()
    }

    fn forget_evicted(&mut self, may_go: impl Fn(&Known) -> bool) {
        let gone = |k: &Known| self.table.find(zone(1), &k.original).is_none();
        let evicted: Vec<u32> = self
            .known
            .iter()
            .filter(|(_, k)| gone(k))
            .map(|(n, _)| *n)
            .collect();
        assert_eq!(evicted.len(), 1);
        assert!(
            may_go(&self.known[&evicted[0]]),
            "{:?} was evicted",
            self.known[&evicted[0]]
        );
        self.known.remove(&evicted[0]);
    }

    fn packet(&mut self, n: u32, packet: &Tuple, flags: u8) {
        let (Some(found), Some(direction)) = (self.table.find(zone(1), packet), self.direction(n, packet))
        else {
            assert!(!self.known.contains_key(&n));
            return;
        };
        self.table
            .half(found.id, direction)
            .unwrap()
            .touch(self.now * TICK, 100, flags);
        let state = self.table.tcp_observe(found.id, direction, flags).unwrap();
        let known = self.known.get_mut(&n).unwrap();
        known.seen[direction as usize] = Some(self.now);
        known.packets[direction as usize] += 1;
        known.acknowledged |= direction == Direction::Original && flags & flag::ACK != 0;
        known.state = known.state.after(direction, flags);
        assert_eq!(state, known.state);
    }

    fn age(&mut self, budget: u32) {
        let aged = self.table.age(self.now * TICK, budget, &Timeouts::default());
        assert!(aged.examined <= budget);
        let before = self.known.len();
        let (table, now) = (&self.table, self.now);
        self.known.retain(|_, known| {
            let there = table.find(zone(1), &known.original).is_some();
            assert!(there || known.is_over(now), "{known:?} ended at {now}");
            assert!(
                !there || !known.is_over(now) || budget < CAPACITY,
                "{known:?} lives at {now}"
            );
            there
        });
        assert_eq!(before - self.known.len(), aged.expired as usize);
    }

    fn agree(&self) {
        check(&self.table);
        assert_eq!(self.table.len(), self.known.len());
        for copy in self.table.iter(self.now * TICK, Filter::default()) {
            let known = self
                .known
                .values()
                .find(|k| k.original == copy.tuple)
                .expect("known");
            assert_eq!(copy.tcp_state, known.state());
            assert_eq!(copy.progress.gives_way(), known.gives_way());
            assert_eq!(copy.halves.map(|h| h.packets), known.packets);
            assert_eq!(
                copy.halves.map(|h| h.last_seen),
                known.seen.map(|at| at.map(|at| at * TICK))
            );
            assert_eq!(copy.created, known.created * TICK);
        }
        for port in 1..3 {
            assert_eq!(
                self.table.count_of(PortIdentity::from_raw(port)) as usize,
                self.count(port)
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_does_what_a_map_would(steps in prop::collection::vec(step(), 1..150)) {
        let mut pair = Pair { table: table(CAPACITY), known: HashMap::new(), now: NOW / TICK, refused: HashMap::new() };
        for step in &steps {
            pair.take(step);
            pair.agree();
        }
    }
}
