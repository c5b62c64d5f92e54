//! The network between agents and controllers: messages on their way, and what can go wrong with them.
//!
//! A stream is a number; what is said on it travels as the bytes that really go over it, so that the codec is part of every run.
//! Beyond what a stream does, messages may come twice and overtake each other, as through brokers. A stream that loses a message is
//! lost itself, some time later.

use std::collections::BTreeMap;

use crate::chance::Chance;

/// Names a stream.
pub type StreamId = u64;

/// Who is to get a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The controller at the stream's one end.
    Controller,
    /// The agent at its other.
    Agent,
}

/// Something on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parcel {
    /// A message.
    Message(Vec<u8>),
    /// The other side has closed the stream.
    Closed,
}

/// How often something goes wrong, in a thousand messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble {
    /// Lost.
    pub lost: u16,
    /// Comes twice.
    pub repeated: u16,
    /// Comes late, so that others overtake it.
    pub late: u16,
    /// Milliseconds that a message takes at least.
    pub delay_ms: u64,
}

impl Trouble {
    /// All goes well.
    pub const NONE: Trouble = Trouble {
        lost: 0,
        repeated: 0,
        late: 0,
        delay_ms: 1,
    };
}

/// The longest that a late message is late, in milliseconds.
const LATEST_MS: usize = 3_000;

/// Messages under way, in the order in which they arrive.
#[derive(Debug)]
pub struct Network {
    chance: Chance,
    /// What goes wrong from now on.
    pub trouble: Trouble,
    under_way: BTreeMap<(u64, u64), (StreamId, Side, Parcel)>,
    count: u64,
    /// When the last message of each direction arrives that is not late: a stream keeps its order.
    last: BTreeMap<(StreamId, Side), u64>,
    cut: Vec<(usize, usize)>,
}

impl Network {
    /// One without trouble.
    pub fn new(chance: Chance) -> Self {
        Self {
            chance,
            trouble: Trouble::NONE,
            under_way: BTreeMap::new(),
            count: 0,
            last: BTreeMap::new(),
            cut: Vec::new(),
        }
    }

    /// Cuts a host off from a controller.
    pub fn cut(&mut self, host: usize, controller: usize) {
        self.cut.push((host, controller));
    }

    /// Joins everything again.
    pub fn heal(&mut self) {
        self.cut.clear();
        self.trouble = Trouble::NONE;
    }

    /// True where the two reach each other.
    pub fn reach(&self, host: usize, controller: usize) -> bool {
        !self.cut.contains(&(host, controller))
    }

    /// Sends a message.
    pub fn send(&mut self, now_ms: u64, stream: StreamId, to: Side, bytes: Vec<u8>) {
        if self.chance.per_thousand(self.trouble.lost) {
            let at = now_ms + self.chance.below(LATEST_MS) as u64;
            self.queue(at, stream, Side::Controller, Parcel::Closed);
            return self.queue(at, stream, Side::Agent, Parcel::Closed);
        }
        if self.chance.per_thousand(self.trouble.repeated) {
            self.post(now_ms, stream, to, Parcel::Message(bytes.clone()));
        }
        self.post(now_ms, stream, to, Parcel::Message(bytes));
    }

    /// Closes a stream: the other side hears of it behind what was sent before.
    pub fn close(&mut self, now_ms: u64, stream: StreamId, to: Side) {
        let at = self.in_order(now_ms, stream, to);
        self.queue(at, stream, to, Parcel::Closed);
    }

    /// Forgets what is under way on a stream, as when its process dies.
    pub fn forget(&mut self, stream: StreamId) {
        self.under_way.retain(|_, (other, _, _)| *other != stream);
    }

    /// What has arrived by now, the next of it.
    pub fn arrived(&mut self, now_ms: u64) -> Option<(StreamId, Side, Parcel)> {
        let first = self.under_way.first_entry()?;
        (first.key().0 <= now_ms).then(|| first.remove())
    }

    fn post(&mut self, now_ms: u64, stream: StreamId, to: Side, parcel: Parcel) {
        let at = match self.chance.per_thousand(self.trouble.late) {
            true => now_ms + self.chance.below(LATEST_MS) as u64,
            false => self.in_order(now_ms, stream, to),
        };
        self.queue(at, stream, to, parcel);
    }

    fn in_order(&mut self, now_ms: u64, stream: StreamId, to: Side) -> u64 {
        let last = self.last.entry((stream, to)).or_default();
        let spread = self.chance.below(5) as u64;
        *last = (*last).max(now_ms + self.trouble.delay_ms + spread);
        *last
    }

    fn queue(&mut self, at: u64, stream: StreamId, to: Side, parcel: Parcel) {
        self.count += 1;
        self.under_way.insert((at, self.count), (stream, to, parcel));
    }
}
