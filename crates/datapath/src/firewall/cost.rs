//! What a policy may cost: the bounds that keep every lookup short, and the error of a policy beyond them.

use anet_model::host_plan::{Direction, Family};

/// Most rules of one direction and family.
pub const MAX_RULES: u32 = 16_384;
/// Most different address sets of one direction and family.
pub const MAX_SETS: u32 = 256;
/// Most bytes of a compiled policy.
pub const MAX_POLICY_BYTES: usize = 64 << 20;

/// What the dearest lookup of a policy can take, whatever a packet says.
///
/// With R rules of one direction and family, S different sets in them, and D prefixes that hold the same address
/// (D <= 33 for IPv4 and <= 129 for IPv6; a rule for anybody counts as the prefix of length 0), a lookup takes
/// - at most 3 table reads for protocol and port or ICMP type and code,
/// - `interval_steps` = ceil(log2(2 P + 2)) steps of a binary search, with P different prefixes, P <= R: at most 16,
/// - `words` = (D + S) x (2 + T) words, with T = ceil(R / 4,096) <= 4: two words of rules and the summary,
/// - `address_probes` = S x 5 (IPv4) or S x 17 (IPv6) hash probes; a set without prefixes (hosts only) takes one.
///
/// No term grows with the rules but by its logarithm and by T.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Hash probes in address sets.
    pub address_probes: u32,
    /// Steps of the binary search for the remote address.
    pub interval_steps: u32,
    /// 64-bit words of bitmaps read.
    pub words: u32,
}

impl Cost {
    /// The higher of each part.
    pub(super) fn max(self, other: Self) -> Self {
        Self {
            address_probes: self.address_probes.max(other.address_probes),
            interval_steps: self.interval_steps.max(other.interval_steps),
            words: self.words.max(other.words),
        }
    }
}

/// Why rules were not compiled: a lookup or its memory would pass a bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyTooLarge {
    /// More than [`MAX_RULES`] rules.
    #[error(
        "the port's security groups have {found} {direction:?} {family:?} rules, more than {MAX_RULES}: \
         put addresses that share ports into one address group, or join ranges"
    )]
    Rules {
        /// Of which direction.
        direction: Direction,
        /// Of which family.
        family: Family,
        /// How many.
        found: usize,
    },
    /// More than [`MAX_SETS`] different sets.
    #[error(
        "the {direction:?} {family:?} rules of the port's security groups name {found} different remote groups and \
         address groups, more than {MAX_SETS}: join groups"
    )]
    Sets {
        /// Of which direction.
        direction: Direction,
        /// Of which family.
        family: Family,
        /// How many.
        found: usize,
    },
    /// More than [`MAX_POLICY_BYTES`] of memory.
    #[error(
        "the port's security groups need more than {MAX_POLICY_BYTES} bytes when compiled ({found} after {intervals} \
         different port ranges of {direction:?} {family:?} rules): use fewer overlapping port ranges"
    )]
    Memory {
        /// Of which direction the rules were that passed the bound.
        direction: Direction,
        /// Of which family.
        family: Family,
        /// Bytes when compiling stopped.
        found: usize,
        /// Different sets of matching rules by then.
        intervals: usize,
    },
}
