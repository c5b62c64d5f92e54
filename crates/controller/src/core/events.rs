//! What happened that a person may want to know: a bounded list, in memory only, which readers follow by sequence number.
//!
//! Whoever can reach the controller can be refused, as often as they like. So refusals of one subject are merged: the first one is told at
//! once, the others are counted, and the count is told after a while. And refusals have a bounded part of the list, so that they displace
//! each other, and never what hosts did.

use std::collections::{BTreeMap, VecDeque};

use anet_model::intent::HostId;

/// The most events that are kept.
pub const EVENTS_MAXIMUM: usize = 4_096;
/// The most refusals among them.
pub const REFUSALS_MAXIMUM: usize = 1_024;
/// After this time, in milliseconds, it is told how often a refusal came again; each time that it did, the next span is longer.
const MERGED_FIRST_MS: i64 = 10_000;
/// How much longer.
const MERGED_GROWTH: i64 = 6;
/// The longest span.
const MERGED_MOST_MS: i64 = 600_000;
/// Subjects of refusals that are told apart at a time; all others are one.
const SUBJECTS_MAXIMUM: usize = 64;

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
    refusals: usize,
    merged: BTreeMap<String, Merged>,
}

/// Refusals of a subject since one was told.
#[derive(Debug, Clone)]
struct Merged {
    since_ms: i64,
    span_ms: i64,
    count: u64,
    /// The last of them.
    host: Option<HostId>,
    message: String,
}

impl Events {
    /// Adds one; equal refusals are merged.
    pub fn add(&mut self, at_ms: i64, kind: EventKind, host: Option<&HostId>, message: impl Into<String>) {
        let message = message.into();
        match kind {
            EventKind::Refused => {
                let subject = host.map_or_else(|| message.clone(), |host| format!("{host} {message}"));
                self.refuse(at_ms, &subject, host, message);
            }
            kind => self.push(at_ms, kind, host, &message),
        }
    }

    /// Adds a refusal; those of one subject are merged, whatever they say.
    pub fn refuse(&mut self, at_ms: i64, subject: &str, host: Option<&HostId>, message: impl Into<String>) {
        self.settle(at_ms);
        let message = message.into();
        let known = self.merged.contains_key(subject) || self.merged.len() < SUBJECTS_MAXIMUM;
        let subject = if known { subject } else { "" };
        if let Some(merged) = self.merged.get_mut(subject) {
            merged.count += 1;
            merged.host = host.cloned();
            merged.message = message;
            return;
        }
        self.push(at_ms, EventKind::Refused, host, &message);
        let merged = Merged {
            since_ms: at_ms,
            span_ms: MERGED_FIRST_MS,
            count: 0,
            host: host.cloned(),
            message,
        };
        self.merged.insert(subject.to_owned(), merged);
    }

    /// Time passes: what was merged long enough is told.
    pub fn settle(&mut self, at_ms: i64) {
        // A clock that was set back ends a span too.
        let over = |merged: &Merged| !(0..merged.span_ms).contains(&at_ms.saturating_sub(merged.since_ms));
        if !self.merged.values().any(over) {
            return;
        }
        for (subject, mut merged) in std::mem::take(&mut self.merged) {
            if !over(&merged) {
                self.merged.insert(subject, merged);
            } else if merged.count > 0 {
                let seconds = at_ms.saturating_sub(merged.since_ms).max(0) / 1_000;
                let text = format!(
                    "{} more in {seconds} s; the last one: {}",
                    merged.count, merged.message
                );
                self.push(at_ms, EventKind::Refused, merged.host.as_ref(), &text);
                merged.since_ms = at_ms;
                merged.span_ms = merged.span_ms.saturating_mul(MERGED_GROWTH).min(MERGED_MOST_MS);
                merged.count = 0;
                self.merged.insert(subject, merged);
            }
        }
    }

    fn push(&mut self, at_ms: i64, kind: EventKind, host: Option<&HostId>, message: &str) {
        let refused = |event: &Event| event.kind == EventKind::Refused;
        if kind == EventKind::Refused && self.refusals == REFUSALS_MAXIMUM {
            if let Some(oldest) = self.list.iter().position(refused) {
                self.list.remove(oldest);
            }
        } else {
            self.refusals += usize::from(kind == EventKind::Refused);
        }
        if self.list.len() == EVENTS_MAXIMUM {
            let gone = self.list.pop_front();
            self.refusals -= usize::from(gone.is_some_and(|gone| refused(&gone)));
        }
        self.last += 1;
        self.list.push_back(Event {
            sequence: self.last,
            at_ms,
            kind,
            host: host.cloned(),
            message: one_line(message),
        });
    }

    /// Those behind a sequence number that are still kept.
    pub fn since(&self, sequence: u64) -> impl Iterator<Item = &Event> {
        let first = self.list.partition_point(|event| event.sequence <= sequence);
        self.list.range(first..)
    }

    /// The newest one's sequence number.
    pub const fn last(&self) -> u64 {
        self.last
    }
}

impl std::fmt::Display for Event {
    /// As a line of a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.kind.name())?;
        if let Some(host) = &self.host {
            write!(f, "host {host}: ")?;
        }
        f.write_str(&self.message)
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
            events.add(0, EventKind::HostTrouble, None, format!("{number}"));
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

    fn texts(events: &Events) -> Vec<&str> {
        events.since(0).map(|event| event.message.as_str()).collect()
    }

    #[test]
    fn refusals_of_one_subject_are_told_once_and_then_counted() {
        let mut events = Events::default();
        for number in 0..4_200 {
            events.refuse(1_000 + number / 2, "join", None, format!("host h{number}"));
        }
        assert_eq!(texts(&events), ["host h0"]);
        events.settle(10_999);
        assert_eq!(events.last(), 1, "not yet");
        events.settle(11_000);
        assert_eq!(
            texts(&events)[1..],
            ["4199 more in 10 s; the last one: host h4199"]
        );
        events.refuse(12_000, "join", None, "again");
        events.settle(70_999);
        assert_eq!(events.last(), 2, "the next span is longer");
        events.settle(71_000);
        assert_eq!(texts(&events)[2..], ["1 more in 60 s; the last one: again"]);
        events.settle(2_000_000);
        events.refuse(2_000_000, "join", None, "much later");
        assert_eq!(texts(&events)[3..], ["much later"]);
    }

    #[test]
    fn equal_refusals_are_merged_and_others_are_not() {
        let mut events = Events::default();
        let host: HostId = "h1".parse().unwrap();
        for _ in 0..3 {
            events.add(5, EventKind::Refused, None, "a");
            events.add(5, EventKind::Refused, Some(&host), "a");
            events.add(5, EventKind::Refused, Some(&host), "b");
            events.add(5, EventKind::HostTrouble, Some(&host), "b");
        }
        assert_eq!(texts(&events), ["a", "a", "b", "b", "b", "b"]);
        events.settle(0);
        assert_eq!(events.last(), 9, "a clock that was set back hides nothing");
    }

    #[test]
    fn strangers_wash_out_nothing_but_each_other() {
        let mut events = Events::default();
        events.add(0, EventKind::HostJoined, None, "before all");
        for number in 0..100_000_i64 {
            events.refuse(number * 1_000, &format!("{number}"), None, format!("{number}"));
        }
        assert_eq!(events.since(0).next().unwrap().message, "before all");
        assert!(events.since(0).count() <= REFUSALS_MAXIMUM + 1);
        assert!(events.merged.len() <= SUBJECTS_MAXIMUM + 1);
        for number in 0..EVENTS_MAXIMUM {
            events.add(0, EventKind::HostTrouble, None, format!("{number}"));
        }
        assert_eq!((events.refusals, events.since(0).count()), (0, EVENTS_MAXIMUM));
    }
}
