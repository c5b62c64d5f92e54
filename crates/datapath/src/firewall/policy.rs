//! The rules of one list of security groups, compiled: [`Policy`], and the question to it: [`Query`].

use std::cmp::Reverse;
use std::net::IpAddr;

use anet_model::host_plan::{AddressSetId, Direction, Family, Protocol, Remote, Rule};

use super::address_bits::{AddressBits, bounds};
use super::address_sets::AddressSets;
use super::cost::{Cost, MAX_POLICY_BYTES, MAX_RULES, MAX_SETS, PolicyTooLarge};
use super::layer4::Layer4;
use super::remote::{RemotePrefixBuilder, RemotePrefixes};

/// What a rule is asked about: the first packet of a connection, in the direction seen from the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// Into or out of the guest.
    pub direction: Direction,
    /// The far side: the source of a packet into the guest, the destination of one out of it. Tells the family too.
    pub remote: IpAddr,
    /// The final protocol, behind all IPv6 extension headers.
    pub protocol: u8,
    /// The destination port of TCP and UDP; `None` where the packet has none or does not show it (a later fragment).
    pub destination_port: Option<u16>,
    /// Type and code of ICMP and ICMPv6; `None` where the packet does not show them.
    pub icmp: Option<(u8, u8)>,
}

/// The rules of the security groups of a port, compiled for lookup. Ports with the same list of groups share one.
///
/// As in Neutron, rules only allow. An ICMP rule matches protocol 1 in IPv4 and 58 in IPv6; `Number` matches every packet
/// of the protocol, `Number(6)` all of TCP. TCP, UDP and ICMP rules, also those of all ports or types, never match a packet that
/// does not show its port or type. A rule that cannot be met (a prefix of the other family, a range that ends before
/// it begins, an ICMP code without a type, a set that is not there) matches nothing.
#[derive(Debug, Default)]
pub struct Policy {
    ipv4: [Classifier<u32>; 2],
    ipv6: [Classifier<u128>; 2],
}

impl Policy {
    /// Compiles rules, given in the order in which they are to be found, each with the slot that names it in verdicts.
    ///
    /// `set_index` says where [`AddressSets`] keeps the set of an id, `None` where there is no such set.
    /// Cost: R log R for R rules, and R / 64 words for each different port range.
    pub fn compile<'a>(
        rules: impl IntoIterator<Item = (u32, &'a Rule)>,
        mut set_index: impl FnMut(&AddressSetId) -> Option<u32>,
    ) -> Result<Self, PolicyTooLarge> {
        let (mut ipv4, mut ipv6) = (
            [Sorter::default(), Sorter::default()],
            [Sorter::default(), Sorter::default()],
        );
        for (position, (slot, rule)) in (0..).zip(rules) {
            let named = Named { position, slot };
            let direction = direction_index(rule.direction);
            match rule.family {
                Family::Ipv4 => ipv4
                    .get_mut(direction)
                    .map(|s| s.add(named, rule, &mut set_index)),
                Family::Ipv6 => ipv6
                    .get_mut(direction)
                    .map(|s| s.add(named, rule, &mut set_index)),
            };
        }
        let mut policy = Self::default();
        let left = |policy: &Self| MAX_POLICY_BYTES.saturating_sub(policy.bytes());
        let directions = [Direction::Ingress, Direction::Egress].into_iter();
        for ((direction, ipv4), (index, ipv6)) in directions.zip(ipv4).zip(ipv6.into_iter().enumerate()) {
            policy.ipv4[index] = ipv4.compile(direction, Family::Ipv4, left(&policy))?;
            policy.ipv6[index] = ipv6.compile(direction, Family::Ipv6, left(&policy))?;
        }
        Ok(policy)
    }

    /// The slot of the first rule that allows, `None` where none does. Takes at most [`Self::cost`]; never allocates.
    #[inline]
    pub fn lookup(&self, query: &Query, sets: &AddressSets) -> Option<u32> {
        let direction = direction_index(query.direction);
        match query.remote {
            IpAddr::V4(a) => self.ipv4.get(direction)?.lookup(a.to_bits(), query, sets),
            IpAddr::V6(a) => self.ipv6.get(direction)?.lookup(a.to_bits(), query, sets),
        }
    }

    /// The most that a lookup can take, over directions and families.
    pub fn cost(&self) -> Cost {
        let ipv4 = self.ipv4.iter().map(|c| c.cost(AddressSets::MAX_PROBES_IPV4));
        let ipv6 = self.ipv6.iter().map(|c| c.cost(AddressSets::MAX_PROBES_IPV6));
        ipv4.chain(ipv6).fold(Cost::default(), Cost::max)
    }

    /// Bytes of memory, at most [`MAX_POLICY_BYTES`].
    pub fn bytes(&self) -> usize {
        let tables = self.ipv4.iter().map(Classifier::bytes).sum::<usize>()
            + self.ipv6.iter().map(Classifier::bytes).sum::<usize>();
        size_of::<Self>() + tables
    }
}

fn direction_index(direction: Direction) -> usize {
    match direction {
        Direction::Ingress => 0,
        Direction::Egress => 1,
    }
}

/// A rule's place in the compiled order, and its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    position: u32,
    slot: u32,
}

/// The rules of one direction and family.
#[derive(Debug)]
struct Classifier<K> {
    layer4: Layer4,
    prefixes: RemotePrefixes<K>,
    /// By the position of their first rule.
    sets: Box<[RemoteSet]>,
    /// By bit.
    rules: Box<[Named]>,
}

/// An address set, and the bits of the rules that name it.
#[derive(Debug)]
struct RemoteSet {
    set: u32,
    first_bit: u32,
    end_bit: u32,
    first_position: u32,
}

impl<K> Default for Classifier<K> {
    fn default() -> Self {
        Self {
            layer4: Layer4::default(),
            prefixes: RemotePrefixes::default(),
            sets: [].into(),
            rules: [].into(),
        }
    }
}

impl<K: AddressBits> Classifier<K> {
    #[inline]
    fn lookup(&self, remote: K, query: &Query, sets: &AddressSets) -> Option<u32> {
        let layer4 = self
            .layer4
            .rules(query.protocol, query.destination_port, query.icmp);
        let mut best = Named {
            position: u32::MAX,
            slot: u32::MAX,
        };
        for prefix in self.prefixes.holding(remote) {
            if let Some(bit) = layer4.first_in(prefix.bits()) {
                best = best.min(*self.rules.get(bit as usize)?);
            }
        }
        for named in &self.sets {
            if named.first_position > best.position {
                break;
            }
            // The set is asked last: its memory is the least likely to be in a cache.
            if let Some(bit) = layer4.first_in(named.first_bit..named.end_bit) {
                let rule = *self.rules.get(bit as usize)?;
                if rule < best && sets.contains(named.set, query.remote) {
                    best = rule;
                }
            }
        }
        (best.position != u32::MAX).then_some(best.slot)
    }

    fn cost(&self, probes_of_a_set: u32) -> Cost {
        let sets = self.sets.len() as u32;
        let words = 2 + self.layer4.summary_words() as u32;
        Cost {
            address_probes: sets * probes_of_a_set,
            interval_steps: self.prefixes.steps(),
            words: (self.prefixes.depth() + sets) * words,
        }
    }

    fn bytes(&self) -> usize {
        self.layer4.bytes() + self.prefixes.bytes() + size_of_val(&*self.sets) + size_of_val(&*self.rules)
    }
}

/// The remote of a rule. Its order is the order of bits: prefixes by first address and the wider first, then sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum RemoteKey<K> {
    Prefix(K, Reverse<K>),
    Set(u32),
}

/// Rules of one direction and family on their way into a [`Classifier`].
struct Sorter<K> {
    rules: Vec<(RemoteKey<K>, Named, Protocol)>,
    /// Also those that match nothing.
    found: usize,
}

impl<K> Default for Sorter<K> {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            found: 0,
        }
    }
}

impl<K: AddressBits> Sorter<K> {
    fn add(&mut self, named: Named, rule: &Rule, set_index: &mut impl FnMut(&AddressSetId) -> Option<u32>) {
        self.found += 1;
        let remote = match &rule.remote {
            Remote::Any => Some(RemoteKey::Prefix(K::ZERO, Reverse(K::ALL_ONES))),
            Remote::Prefix(prefix) => {
                bounds(*prefix).map(|(first, last)| RemoteKey::Prefix(first, Reverse(last)))
            }
            Remote::Set(id) => set_index(id).map(RemoteKey::Set),
        };
        if let Some(remote) = remote
            && self.found <= MAX_RULES as usize
        {
            self.rules.push((remote, named, rule.protocol));
        }
    }

    fn compile(
        mut self,
        direction: Direction,
        family: Family,
        memory: usize,
    ) -> Result<Classifier<K>, PolicyTooLarge> {
        if self.found > MAX_RULES as usize {
            return Err(PolicyTooLarge::Rules {
                direction,
                family,
                found: self.found,
            });
        }
        self.rules
            .sort_unstable_by_key(|(remote, named, _)| (*remote, *named));
        let (prefixes, sets) = self.remotes();
        if sets.len() > MAX_SETS as usize {
            return Err(PolicyTooLarge::Sets {
                direction,
                family,
                found: sets.len(),
            });
        }
        let protocols: Vec<Protocol> = self.rules.iter().map(|(_, _, protocol)| *protocol).collect();
        let rules = self.rules.iter().map(|(_, named, _)| *named).collect();
        let too_large = |found, intervals| PolicyTooLarge::Memory {
            direction,
            family,
            found,
            intervals,
        };
        let layer4 = Layer4::compile(&protocols, family, memory)
            .map_err(|e| too_large(MAX_POLICY_BYTES - memory + e.bytes, e.intervals))?;
        let classifier = Classifier {
            layer4,
            prefixes,
            sets,
            rules,
        };
        let bytes = classifier.bytes();
        if bytes > memory {
            Err(too_large(MAX_POLICY_BYTES - memory + bytes, 0))
        } else {
            Ok(classifier)
        }
    }

    /// The bits of each prefix and of each set.
    fn remotes(&self) -> (RemotePrefixes<K>, Box<[RemoteSet]>) {
        let (mut prefixes, mut sets) = (RemotePrefixBuilder::new(), Vec::new());
        let mut first_bit = 0;
        for same in self.rules.chunk_by(|a, b| a.0 == b.0) {
            let end_bit = first_bit + same.len() as u32;
            match same.first() {
                Some((RemoteKey::Prefix(first, last), ..)) => {
                    prefixes.push(*first, *last, first_bit..end_bit)
                }
                Some((RemoteKey::Set(set), named, _)) => {
                    sets.push(RemoteSet {
                        set: *set,
                        first_bit,
                        end_bit,
                        first_position: named.position,
                    });
                }
                None => {}
            }
            first_bit = end_bit;
        }
        sets.sort_unstable_by_key(|s| s.first_position);
        (prefixes.finish(), sets.into())
    }
}
