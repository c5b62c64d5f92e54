//! What happened that a person may want to know: a bounded list, in memory only, which readers follow by sequence number.

use std::collections::VecDeque;

use anet_model::intent::HostId;

/// The most events that are kept.
pub const EVENTS_MAXIMUM: usize = 4_096;

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// A host's session began.
    HostConnected,
    /// A host's session ended.
    HostDisconnected,
    /// A host joined.
    HostJoined,
    /// Somebody was refused: a certificate, a version, an identity, a token.
    Refused,
    /// Two agents speak for one host.
    TwoIdentities,
    /// An agent refused a changeset.
    ChangesetRefused,
    /// A host's plan was not what it should be, and is sent anew.
    Repaired,
    /// The store is behind what a host has: history begins anew.
    IncarnationMinted,
    /// A host cannot do its work.
    HostTrouble,
    /// A host can again.
    HostRecovered,
    /// The store's watch lost something, and all was read anew.
    WatchRepaired,
}

impl EventKind {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            EventKind::HostConnected => "host-connected",
            EventKind::HostDisconnected => "host-disconnected",
            EventKind::HostJoined => "host-joined",
            EventKind::Refused => "refused",
            EventKind::TwoIdentities => "two-hosts-with-one-identity",
            EventKind::ChangesetRefused => "changeset-refused",
            EventKind::Repaired => "plan-repaired",
            EventKind::IncarnationMinted => "incarnation-minted",
            EventKind::HostTrouble => "host-trouble",
            EventKind::HostRecovered => "host-recovered",
            EventKind::WatchRepaired => "watch-repaired",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Counts up from 1.
    pub sequence: u64,
    /// When, in milliseconds since 1970 (UTC).
    pub at_ms: i64,
    /// What kind.
    pub kind: EventKind,
    /// The host it is about.
    pub host: Option<HostId>,
    /// What happened and what to do, in one line.
    pub message: String,
}

/// The list.
#[derive(Debug, Clone, Default)]
pub struct Events {
    list: VecDeque<Event>,
    last: u64,
}

impl Events {
    /// Adds one.
    pub fn add(&mut self, at_ms: i64, kind: EventKind, host: Option<&HostId>, message: impl Into<String>) {
        self.last += 1;
        if self.list.len() == EVENTS_MAXIMUM {
            self.list.pop_front();
        }
        self.list.push_back(Event {
            sequence: self.last,
            at_ms,
            kind,
            host: host.cloned(),
            message: one_line(&message.into()),
        });
    }

    /// Those behind a sequence number that are still kept.
    pub fn since(&self, sequence: u64) -> impl Iterator<Item = &Event> {
        self.list.iter().filter(move |event| event.sequence > sequence)
    }

    /// The newest one's sequence number.
    pub const fn last(&self) -> u64 {
        self.last
    }
}

/// Texts come from agents too: what is shown stays one line of bounded length.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 1_024;
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_and_sequence_numbers_stay() {
        let mut events = Events::default();
        for number in 0..EVENTS_MAXIMUM + 10 {
            events.add(0, EventKind::Refused, None, format!("{number}"));
        }
        assert_eq!(events.since(0).count(), EVENTS_MAXIMUM);
        assert_eq!(events.since(0).next().unwrap().sequence, 11);
        assert_eq!(events.since(events.last() - 1).count(), 1);
        assert_eq!(events.since(events.last()).count(), 0);
    }

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        let mut events = Events::default();
        events.add(
            0,
            EventKind::Refused,
            None,
            format!("a\nb\u{1b}[31m{}", "x".repeat(5_000)),
        );
        let message = &events.since(0).next().unwrap().message;
        assert!(message.starts_with("a b [31mxx") && message.chars().count() == 1_024);
    }
}
