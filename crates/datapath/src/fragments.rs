//! What the first fragments of packets told: their ports, which later fragments have not.
//!
//! A later fragment is a packet of the connection of its first one, and is judged as such, by today's rules; nothing of a
//! verdict is kept here. A worker has a table of its own: fragments of one packet come in by the same interface, and so
//! by the same worker. It is bounded, and each source has a part of its own, so that nobody's fragments push out
//! somebody else's. Later fragments that come before their first one, or long after it, find nothing.

use std::collections::BTreeMap;

use anet_packet::Tuple;

use crate::interface::Interface;

/// Packets in pieces that are known for one source. When there are more, the oldest is forgotten.
pub const PACKETS: usize = 64;
/// Sources that can have some. When there are more, the one that was silent longest is forgotten.
pub const SOURCES: usize = 256;
/// How long a first fragment is known, in nanoseconds: what a path may delay one piece against another. An identification
/// may come again after its packet's lifetime at the earliest (RFC 791), and then with a first fragment of its own.
pub const LIFETIME: u64 = 5_000_000_000;

/// Which packet a fragment is of, for one source: addresses and protocol (the tuple's ports are zero), identification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PacketName {
    pub(crate) tuple: Tuple,
    pub(crate) identification: u32,
}

#[derive(Debug, Clone, Copy)]
struct First {
    name: PacketName,
    ports: (u16, u16),
    at: u64,
}

/// The packets of one source, in a ring.
#[derive(Debug, Default)]
struct Source {
    firsts: Vec<First>,
    next: usize,
    newest: u64,
}

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    sources: BTreeMap<u32, Source>,
}

impl Fragments {
    /// A first fragment came in by `source`; `ports` are as the layout has them.
    pub(crate) fn note(&mut self, source: Interface, name: PacketName, ports: (u16, u16), now: u64) {
        if self.sources.len() >= SOURCES && !self.sources.contains_key(&source.get()) {
            let silent = self.sources.iter().min_by_key(|(_, source)| source.newest);
            if let Some(silent) = silent.map(|(source, _)| *source) {
                self.sources.remove(&silent);
            }
        }
        let first = First { name, ports, at: now };
        self.sources.entry(source.get()).or_default().put(first);
    }

    /// The ports of the packet that a later fragment is of.
    pub(crate) fn find(&self, source: Interface, name: &PacketName, now: u64) -> Option<(u16, u16)> {
        let firsts = &self.sources.get(&source.get())?.firsts;
        let first = firsts.iter().find(|first| first.name == *name)?;
        (now.saturating_sub(first.at) < LIFETIME).then_some(first.ports)
    }
}

impl Source {
    /// A name is there once: a new packet takes the place of an older one of the same name.
    fn put(&mut self, first: First) {
        self.newest = first.at;
        if let Some(same) = self.firsts.iter_mut().find(|known| known.name == first.name) {
            *same = first;
        } else if self.firsts.len() < PACKETS {
            self.firsts.push(first);
        } else {
            self.firsts[self.next] = first;
            self.next = (self.next + 1) % PACKETS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anet_packet::addr::Mac;
    use anet_packet::parse;
    use anet_packet::testing::FrameBuilder;

    const A: Interface = Interface::port(1);
    const B: Interface = Interface::port(2);

    fn name(identification: u32) -> PacketName {
        let (from, to) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let macs = [Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2])];
        let frame = FrameBuilder::udp(macs[0], macs[1], from, to, (0, 0)).build();
        let layout = parse::layout(&frame, frame.len()).unwrap();
        PacketName {
            tuple: Tuple::of(&frame, &layout).unwrap(),
            identification,
        }
    }

    #[test]
    fn a_packet_is_known_by_its_source_and_name_for_a_while() {
        let mut fragments = Fragments::default();
        assert_eq!(fragments.find(A, &name(1), 0), None);
        fragments.note(A, name(1), (5, 53), 100);
        assert_eq!(fragments.find(A, &name(1), 100), Some((5, 53)));
        assert_eq!(fragments.find(A, &name(2), 100), None);
        assert_eq!(fragments.find(B, &name(1), 100), None, "somebody else's");
        assert_eq!(fragments.find(A, &name(1), 99 + LIFETIME), Some((5, 53)));
        assert_eq!(fragments.find(A, &name(1), 100 + LIFETIME), None);
        // The identification comes again.
        fragments.note(A, name(1), (6, 54), 200);
        assert_eq!(fragments.find(A, &name(1), 200), Some((6, 54)));
    }

    #[test]
    fn a_source_forgets_its_own_oldest_and_nobody_elses() {
        let mut fragments = Fragments::default();
        fragments.note(B, name(0), (1, 1), 0);
        for packet in 0..3 * PACKETS as u32 {
            fragments.note(A, name(packet), (2, 2), 1);
        }
        let known = (0..3 * PACKETS as u32).filter(|packet| fragments.find(A, &name(*packet), 1).is_some());
        let newest: Vec<u32> = (2 * PACKETS as u32..3 * PACKETS as u32).collect();
        assert_eq!(known.collect::<Vec<_>>(), newest);
        assert_eq!(fragments.find(B, &name(0), 1), Some((1, 1)));
    }

    #[test]
    fn there_are_only_so_many_sources() {
        let mut fragments = Fragments::default();
        let port = |n: usize| Interface::port(n as u32);
        for n in 0..2 * SOURCES {
            fragments.note(port(n), name(1), (1, 1), n as u64);
            assert!(fragments.sources.len() <= SOURCES);
        }
        let known = |n: usize| fragments.find(port(n), &name(1), 0).is_some();
        assert!(!known(0) && !known(SOURCES - 1) && known(SOURCES) && known(2 * SOURCES - 1));
    }
}
