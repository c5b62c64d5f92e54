//! The address sets that rules name: members of remote security groups and address groups.
//!
//! Host members are in a hash set. The others are in a hash table of *blocks*: a block is all that a set has between
//! two byte boundaries of the address, as one bit for each of the 510 prefixes that can end there. So a lookup makes at
//! most one probe per byte of the address (and only for bytes where the set has a prefix), however many lengths are used.
//!
//! Contents depend on the operations alone and never on the seed, so that two copies which get the same operations agree.

use std::net::IpAddr;

use anet_packet::addr::IpPrefix;
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::address_bits::AddressBits;

/// The highest legal index of a set. Indexes are slots that the caller hands out densely; the table grows to the highest used.
pub const MAX_SET_INDEX: u32 = (1 << 20) - 1;

/// Why a member was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressSetError {
    /// The index is above [`MAX_SET_INDEX`].
    #[error("address set index {found} is above {MAX_SET_INDEX}: reuse the indexes of sets that are gone")]
    IndexTooHigh {
        /// The index given.
        found: u32,
    },
}

/// All address sets of a host, by a small index that the caller hands out.
///
/// Cost: `insert` and `remove` touch one hash table entry, `clear` the members of one set, [`Self::contains`] makes at
/// most [`Self::MAX_PROBES_IPV4`] or [`Self::MAX_PROBES_IPV6`] hash probes.
#[derive(Debug, Clone)]
pub struct AddressSets {
    sets: Vec<AddressSet>,
    seed: u64,
}

impl AddressSets {
    /// Most hash probes of a lookup of an IPv4 address: the host and 4 blocks.
    pub const MAX_PROBES_IPV4: u32 = 5;
    /// Most hash probes of a lookup of an IPv6 address: the host and 16 blocks.
    pub const MAX_PROBES_IPV6: u32 = 17;

    /// No sets. `seed` is a secret that keeps tenants from choosing addresses that collide in the hash tables.
    pub fn new(seed: u64) -> Self {
        Self {
            sets: Vec::new(),
            seed,
        }
    }

    /// Adds a member. `Ok(false)` where the set has it already.
    pub fn insert(&mut self, set: u32, member: IpPrefix) -> Result<bool, AddressSetError> {
        if set > MAX_SET_INDEX {
            return Err(AddressSetError::IndexTooHigh { found: set });
        }
        let index = set as usize;
        if self.sets.len() <= index {
            let seed = self.seed;
            self.sets.resize_with(index + 1, || AddressSet::new(seed));
        }
        Ok(self.sets.get_mut(index).is_some_and(|s| s.insert(member)))
    }

    /// Takes a member out. False where the set does not have it.
    pub fn remove(&mut self, set: u32, member: IpPrefix) -> bool {
        self.sets.get_mut(set as usize).is_some_and(|s| s.remove(member))
    }

    /// Empties a set and gives its memory back, so that its index can be used again.
    pub fn clear(&mut self, set: u32) {
        if let Some(s) = self.sets.get_mut(set as usize) {
            *s = AddressSet::new(self.seed);
        }
    }

    /// True where a member of the set holds `address`. A set nobody filled is empty.
    #[inline]
    pub fn contains(&self, set: u32, address: IpAddr) -> bool {
        self.sets.get(set as usize).is_some_and(|s| match address {
            IpAddr::V4(a) => s.ipv4.contains(a.to_bits()),
            IpAddr::V6(a) => s.ipv6.contains(a.to_bits()),
        })
    }

    /// Members of a set.
    pub fn len(&self, set: u32) -> usize {
        self.sets
            .get(set as usize)
            .map_or(0, |s| s.ipv4.count + s.ipv6.count)
    }

    /// True where a set has no member.
    pub fn is_empty(&self, set: u32) -> bool {
        self.len(set) == 0
    }
}

/// One set: its members by family.
#[derive(Debug, Clone)]
struct AddressSet {
    ipv4: Members<u32>,
    ipv6: Members<u128>,
}

impl AddressSet {
    fn new(seed: u64) -> Self {
        Self {
            ipv4: Members::new(seed),
            ipv6: Members::new(seed),
        }
    }

    fn insert(&mut self, member: IpPrefix) -> bool {
        match member.address() {
            IpAddr::V4(a) => self.ipv4.insert(a.to_bits(), member.length()),
            IpAddr::V6(a) => self.ipv6.insert(a.to_bits(), member.length()),
        }
    }

    fn remove(&mut self, member: IpPrefix) -> bool {
        match member.address() {
            IpAddr::V4(a) => self.ipv4.remove(a.to_bits(), member.length()),
            IpAddr::V6(a) => self.ipv6.remove(a.to_bits(), member.length()),
        }
    }
}

/// The members of one family.
#[derive(Debug, Clone)]
struct Members<K> {
    hosts: HashSet<K, FixedState>,
    /// By byte index and the address's bytes before it.
    blocks: HashMap<(u8, K), Block, FixedState>,
    /// Blocks for each byte index.
    blocks_of_byte: [u32; 16],
    /// A bit for each byte index that has a block.
    bytes_used: u16,
    /// The prefix of length 0 is a member.
    everything: bool,
    /// XORed into every key: the hash function's own seeds are not all secret.
    secret: K,
    count: usize,
}

impl<K: AddressBits> Members<K> {
    fn new(seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        Self {
            hosts: HashSet::with_hasher(hasher.clone()),
            blocks: HashMap::with_hasher(hasher),
            blocks_of_byte: [0; 16],
            bytes_used: 0,
            everything: false,
            secret: K::secret(seed),
            count: 0,
        }
    }

    fn contains(&self, address: K) -> bool {
        if self.everything || (!self.hosts.is_empty() && self.hosts.contains(&(address ^ self.secret))) {
            return true;
        }
        let mut bytes = self.bytes_used;
        while bytes != 0 {
            let byte = bytes.trailing_zeros() as u8;
            bytes &= bytes - 1;
            if self
                .blocks
                .get(&self.block_key(address, byte))
                .is_some_and(|b| b.covers(address.byte(byte)))
            {
                return true;
            }
        }
        false
    }

    fn insert(&mut self, address: K, length: u8) -> bool {
        let new = if length == 0 {
            !std::mem::replace(&mut self.everything, true)
        } else if length == K::BITS {
            self.hosts.insert(address ^ self.secret)
        } else {
            self.insert_in_block(address, length)
        };
        self.count += usize::from(new);
        new
    }

    fn remove(&mut self, address: K, length: u8) -> bool {
        let found = if length == 0 {
            std::mem::replace(&mut self.everything, false)
        } else if length == K::BITS {
            self.hosts.remove(&(address ^ self.secret))
        } else {
            self.remove_from_block(address, length)
        };
        self.count -= usize::from(found);
        found
    }

    fn insert_in_block(&mut self, address: K, length: u8) -> bool {
        let byte = (length - 1) / 8;
        let key = self.block_key(address, byte);
        let block = self.blocks.entry(key).or_default();
        let (was_empty, new) = (
            block.is_empty(),
            block.insert(address.byte(byte), length - 8 * byte),
        );
        if was_empty && let Some(blocks) = self.blocks_of_byte.get_mut(usize::from(byte)) {
            *blocks += 1;
            self.bytes_used |= 1 << byte;
        }
        new
    }

    fn remove_from_block(&mut self, address: K, length: u8) -> bool {
        let byte = (length - 1) / 8;
        let key = self.block_key(address, byte);
        let Some(block) = self.blocks.get_mut(&key) else {
            return false;
        };
        let found = block.remove(address.byte(byte), length - 8 * byte);
        if block.is_empty() {
            self.blocks.remove(&key);
            if let Some(blocks) = self.blocks_of_byte.get_mut(usize::from(byte)) {
                *blocks -= 1;
                self.bytes_used &= !(u16::from(*blocks == 0) << byte);
            }
        }
        found
    }

    fn block_key(&self, address: K, byte: u8) -> (u8, K) {
        (byte, address.truncated(8 * byte) ^ self.secret)
    }
}

/// The prefixes of a set that end within one byte, below the same bytes: 2 of one bit, 4 of two bits ... 256 of eight.
#[derive(Debug, Clone, Default)]
struct Block([u64; 8]);

impl Block {
    fn is_empty(&self) -> bool {
        self.0 == [0; 8]
    }

    fn covers(&self, byte: u8) -> bool {
        (1..=8).any(|length| {
            let (word, mask) = Self::bit(byte, length);
            self.0.get(word).is_some_and(|w| w & mask != 0)
        })
    }

    fn insert(&mut self, byte: u8, length: u8) -> bool {
        let (word, mask) = Self::bit(byte, length);
        let Some(w) = self.0.get_mut(word) else {
            return false;
        };
        let new = *w & mask == 0;
        *w |= mask;
        new
    }

    fn remove(&mut self, byte: u8, length: u8) -> bool {
        let (word, mask) = Self::bit(byte, length);
        let Some(w) = self.0.get_mut(word) else {
            return false;
        };
        let found = *w & mask != 0;
        *w &= !mask;
        found
    }

    /// Word and mask of the prefix of `length` bits (1 to 8) of `byte`: those of one bit first, those of eight last.
    fn bit(byte: u8, length: u8) -> (usize, u64) {
        let bit = (1_usize << length) - 2 + usize::from(u16::from(byte) >> (8 - length));
        (bit / 64, 1 << (bit % 64))
    }
}
