//! From protocol and port, or ICMP type and code, to the rules that match them: three table reads at most.

use anet_model::host_plan::{Family, PortRange, Protocol};

use super::classes::{Bitmap, ClassBuilder, Classes};

/// IP protocol numbers (IANA) whose rules look behind the IP header.
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// Layer 4 of the rules of one direction and family. The bits of its bitmaps are the rules in the order they were given.
#[derive(Debug, Default)]
pub(super) struct Layer4 {
    classes: Classes,
    /// The class of a packet of each protocol of which only the number is known; empty without rules.
    by_protocol: Box<[u16]>,
    tcp: KeyTable,
    udp: KeyTable,
    icmp: KeyTable,
    icmp_protocol: u8,
}

/// The bitmaps would take more memory than there is left.
#[derive(Debug)]
pub(super) struct OutOfMemory {
    pub(super) bytes: usize,
    pub(super) intervals: usize,
}

impl Layer4 {
    /// The rules that match. A packet without ports (a later fragment) or ICMP type matches by protocol number only.
    #[inline]
    pub(super) fn rules(
        &self,
        protocol: u8,
        destination_port: Option<u16>,
        icmp: Option<(u8, u8)>,
    ) -> Bitmap<'_> {
        let by_key = match protocol {
            TCP => destination_port.and_then(|port| self.tcp.class(port)),
            UDP => destination_port.and_then(|port| self.udp.class(port)),
            p if p == self.icmp_protocol => {
                icmp.and_then(|(kind, code)| self.icmp.class(icmp_key(kind, code)))
            }
            _ => None,
        };
        let class = by_key.or_else(|| self.by_protocol.get(usize::from(protocol)).copied());
        self.classes.get(class.unwrap_or(u16::MAX))
    }

    /// Compiles `rules`, which may take `memory` bytes.
    pub(super) fn compile(rules: &[Protocol], family: Family, memory: usize) -> Result<Self, OutOfMemory> {
        if rules.is_empty() {
            return Ok(Self::default());
        }
        let icmp_protocol = if family == Family::Ipv4 { ICMP } else { ICMPV6 };
        let mut builder = Builder {
            rules,
            classes: ClassBuilder::new(rules.len()),
            memory,
        };
        let by_protocol = builder.by_protocol()?;
        let tcp = builder.keys(TCP, |protocol| match protocol {
            Protocol::Tcp(ports) => port_keys(ports),
            _ => None,
        })?;
        let udp = builder.keys(UDP, |protocol| match protocol {
            Protocol::Udp(ports) => port_keys(ports),
            _ => None,
        })?;
        let icmp = builder.keys(icmp_protocol, icmp_keys)?;
        Ok(Self {
            classes: builder.classes.finish(),
            by_protocol,
            tcp,
            udp,
            icmp,
            icmp_protocol,
        })
    }

    /// Words of a bitmap's summary.
    pub(super) fn summary_words(&self) -> usize {
        self.classes.summary_words()
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        let tables = self.tcp.bytes() + self.udp.bytes() + self.icmp.bytes();
        self.classes.bytes() + size_of_val(&*self.by_protocol) + tables
    }
}

/// ICMP type and code as one number, so that "any code of a type" is an interval as a port range is.
fn icmp_key(kind: u8, code: u8) -> u16 {
    u16::from_be_bytes([kind, code])
}

/// The ports of a rule; `None` for a range that ends before it begins, which matches nothing.
fn port_keys(ports: PortRange) -> Option<(u16, u16)> {
    (ports.first <= ports.last).then_some((ports.first, ports.last))
}

/// Types and codes of an ICMP rule; `None` for other rules and for a code without a type, which matches nothing.
fn icmp_keys(protocol: Protocol) -> Option<(u16, u16)> {
    match protocol {
        Protocol::Icmp {
            kind: None,
            code: None,
        } => Some((0, u16::MAX)),
        Protocol::Icmp {
            kind: Some(kind),
            code: None,
        } => Some((icmp_key(kind, 0), icmp_key(kind, u8::MAX))),
        Protocol::Icmp {
            kind: Some(kind),
            code: Some(code),
        } => Some((icmp_key(kind, code), icmp_key(kind, code))),
        _ => None,
    }
}

/// A class for each of the 65,536 keys: a page per 256 keys, but none where all 256 are of one class.
#[derive(Debug, Default)]
struct KeyTable {
    /// Empty where no rule looks at keys.
    directory: Box<[Page]>,
    pages: Vec<[u16; 256]>,
}

#[derive(Debug, Clone, Copy)]
enum Page {
    /// All keys are of this class.
    Uniform(u16),
    /// Index of a page.
    Mixed(u16),
}

impl KeyTable {
    #[inline]
    fn class(&self, key: u16) -> Option<u16> {
        let [high, low] = key.to_be_bytes();
        match *self.directory.get(usize::from(high))? {
            Page::Uniform(class) => Some(class),
            Page::Mixed(page) => self.pages.get(usize::from(page))?.get(usize::from(low)).copied(),
        }
    }

    /// From the class of every key.
    fn new(classes: &[u16]) -> Self {
        let (chunks, _) = classes.as_chunks::<256>();
        let mut pages = Vec::new();
        let directory = chunks.iter().map(|chunk| match chunk {
            [first, rest @ ..] if rest.iter().all(|class| class == first) => Page::Uniform(*first),
            _ => {
                pages.push(*chunk);
                Page::Mixed(pages.len() as u16 - 1)
            }
        });
        let directory = directory.collect();
        pages.shrink_to_fit();
        Self { directory, pages }
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.directory) + self.pages.capacity() * size_of::<[u16; 256]>()
    }
}

struct Builder<'a> {
    rules: &'a [Protocol],
    classes: ClassBuilder,
    memory: usize,
}

impl Builder<'_> {
    /// Classes of packets of which only the protocol's number is known.
    fn by_protocol(&mut self) -> Result<Box<[u16]>, OutOfMemory> {
        let mut bitmap = self.bitmap(|protocol| protocol == Protocol::Any);
        let mut classes = vec![self.class(&bitmap)?; 256];
        let numbered = (0..)
            .zip(self.rules)
            .filter_map(|(bit, protocol)| match protocol {
                Protocol::Number(number) => Some((*number, bit)),
                _ => None,
            });
        let mut numbered: Vec<(u8, u32)> = numbered.collect();
        numbered.sort_unstable();
        for same in numbered.chunk_by(|a, b| a.0 == b.0) {
            same.iter().for_each(|(_, bit)| toggle(&mut bitmap, *bit));
            let number = same.first().map_or(0, |(number, _)| usize::from(*number));
            if let Some(class) = classes.get_mut(number) {
                *class = self.class(&bitmap)?;
            }
            same.iter().for_each(|(_, bit)| toggle(&mut bitmap, *bit));
        }
        Ok(classes.into())
    }

    /// The table of a protocol of whose rules `keys` gives the first and last key.
    fn keys(
        &mut self,
        number: u8,
        keys: impl Fn(Protocol) -> Option<(u16, u16)>,
    ) -> Result<KeyTable, OutOfMemory> {
        let intervals = (0..)
            .zip(self.rules)
            .filter_map(|(bit, protocol)| Some((bit, keys(*protocol)?)));
        // A rule's bit changes where its interval begins and behind its end.
        let mut changes: Vec<(u32, u32)> = intervals
            .flat_map(|(bit, (first, last))| [(u32::from(first), bit), (u32::from(last) + 1, bit)])
            .collect();
        if changes.is_empty() {
            return Ok(KeyTable::default());
        }
        changes.sort_unstable();
        let mut bitmap =
            self.bitmap(|protocol| matches!(protocol, Protocol::Any) || protocol == Protocol::Number(number));
        let mut classes = Vec::with_capacity(1 << 16);
        let mut class = self.class(&bitmap)?;
        for here in changes.chunk_by(|a, b| a.0 == b.0) {
            classes.resize(here.first().map_or(0, |(key, _)| *key as usize), class);
            here.iter().for_each(|(_, bit)| toggle(&mut bitmap, *bit));
            class = self.class(&bitmap)?;
        }
        classes.resize(1 << 16, class);
        Ok(KeyTable::new(&classes))
    }

    fn bitmap(&self, matches: impl Fn(Protocol) -> bool) -> Vec<u64> {
        let mut bitmap = vec![0; self.rules.len().div_ceil(64)];
        let bits = (0..).zip(self.rules).filter(|(_, protocol)| matches(**protocol));
        bits.for_each(|(bit, _)| toggle(&mut bitmap, bit));
        bitmap
    }

    fn class(&mut self, bitmap: &[u64]) -> Result<u16, OutOfMemory> {
        let class = self.classes.class(bitmap);
        let (bytes, intervals) = (self.classes.bytes(), self.classes.len());
        if bytes > self.memory {
            Err(OutOfMemory { bytes, intervals })
        } else {
            Ok(class)
        }
    }
}

fn toggle(bitmap: &mut [u64], bit: u32) {
    if let Some(word) = bitmap.get_mut((bit / 64) as usize) {
        *word ^= 1 << (bit % 64);
    }
}
