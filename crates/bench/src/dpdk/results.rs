//! What the generator says while a program runs: counters of each queue, in a file that is mapped into the program
//! (`generator/results.h` has the layout).

/// Bytes of the header, and of each queue.
const PAGE: usize = 4096;
const MAGIC: u64 = 0x3144_4e45_474e_4541;
const ERROR: (usize, usize) = (512, 256);
const POOL: (usize, usize) = (768, 64);
const FAILURES: (usize, usize) = (16, 24);
const SAMPLE_LENGTH: usize = 40;
const SAMPLE: (usize, usize) = (41 * 8, 256);
const LATENCY: (usize, usize) = (128, 256);

/// What a failure means, in the order of `enum failure`.
const FAILURE_WORDS: [&str; 10] = [
    "outer Ethernet addresses",
    "outer IP header",
    "outer IP checksum",
    "outer IP addresses",
    "outer UDP header",
    "VXLAN header",
    "a length",
    "other bytes than were generated",
    "a flow that no rule allows",
    "out on the side it came from",
];

/// How far the generator is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// For the devices.
    Waiting,
    /// Asked to stand still.
    Paused,
    /// Each flow once.
    Establishing,
    /// The measured order.
    Running,
    /// It does not understand what it is told.
    Refused,
}

/// Which way packets go through a queue, seen from the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Generated, received by the program.
    In,
    /// Sent by the program.
    Out,
}

/// One device's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Which way.
    pub way: Way,
    /// On the underlay's device, else the guest's.
    pub underlay: bool,
    /// Time stamp counter at the last burst.
    pub tsc: u64,
    /// Packets so far.
    pub packets: u64,
    /// Bytes so far.
    pub bytes: u64,
    /// Of flows that no rule allows: generated, or come out (only when checked).
    pub forbidden: u64,
    /// Come out, none of ours (only when checked).
    pub foreign: u64,
    /// Bursts for which the program's pool had no buffers.
    pub no_buffer: u64,
    /// Come out wrong (only when checked), by kind.
    pub failures: Vec<u64>,
    /// The beginning of the first frame that came out wrong.
    pub sample: Vec<u8>,
    /// How many sampled packets took how long, see [`cycles_of_bucket`].
    pub latency: Vec<u64>,
}

/// All of it at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Cycles of the time stamp counter in a second.
    pub tsc_hz: u64,
    /// Of the configuration in force.
    pub generation: u64,
    /// How far it is.
    pub phase: Phase,
    /// Why a configuration was refused, or empty.
    pub error: String,
    /// The program's pool that packets are taken from.
    pub pool: String,
    /// All queues that were found.
    pub queues: Vec<Queue>,
}

impl Snapshot {
    /// `None` for bytes that are no results (yet).
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let header = bytes.get(..PAGE)?;
        if word(header, 0)? != MAGIC {
            return None;
        }
        let count = usize::try_from(word(header, 4)?).ok()?;
        let pages = bytes[PAGE..].chunks_exact(PAGE).take(count);
        Some(Self {
            tsc_hz: word(header, 1)?,
            generation: word(header, 2)?,
            phase: phase(word(header, 3)?)?,
            error: text(header, ERROR),
            pool: text(header, POOL),
            queues: pages.filter_map(queue).collect(),
        })
    }

    /// Packets that went `way`.
    pub fn packets(&self, way: Way) -> u64 {
        self.of(way).map(|queue| queue.packets).sum()
    }

    /// Packets of flows that no rule allows.
    pub fn forbidden(&self, way: Way) -> u64 {
        self.of(way).map(|queue| queue.forbidden).sum()
    }

    /// Come out, none of ours.
    pub fn foreign(&self) -> u64 {
        self.of(Way::Out).map(|queue| queue.foreign).sum()
    }

    /// Bursts without a buffer.
    pub fn no_buffer(&self) -> u64 {
        self.of(Way::In).map(|queue| queue.no_buffer).sum()
    }

    /// Packets per second that came out between `before` and this: of each queue by its own clock, and their sum.
    pub fn rate_since(&self, before: &Self) -> f64 {
        let pairs = self.of(Way::Out).zip(before.of(Way::Out));
        let rate = |(now, then): (&Queue, &Queue)| {
            let cycles = now.tsc.saturating_sub(then.tsc);
            let packets = now.packets.saturating_sub(then.packets);
            // A queue whose first burst fell into the time has no beginning to measure from.
            if cycles == 0 || then.tsc == 0 {
                0.0
            } else {
                packets as f64 * self.tsc_hz as f64 / cycles as f64
            }
        };
        pairs.map(rate).sum()
    }

    /// The time that `share` (0 to 1) of the sampled packets took at most since `before`, in nanoseconds; `None` without any.
    pub fn latency_since(&self, before: &Self, share: f64) -> Option<f64> {
        let mut buckets = [0; LATENCY.1];
        for (now, then) in self.of(Way::Out).zip(before.of(Way::Out)) {
            for (sum, (now, then)) in buckets.iter_mut().zip(now.latency.iter().zip(&then.latency)) {
                *sum += now.saturating_sub(*then);
            }
        }
        let all: u64 = buckets.iter().sum();
        let wanted = (all as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bucket = buckets.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        Some(cycles_of_bucket(bucket) as f64 * 1e9 / self.tsc_hz as f64)
    }

    /// What came out wrong, in words; `None` where nothing did.
    pub fn wrong(&self) -> Option<String> {
        let mut words = Vec::new();
        for queue in self.of(Way::Out) {
            let kinds = queue.failures.iter().enumerate().filter(|(_, count)| **count > 0);
            for (kind, count) in kinds {
                let what = FAILURE_WORDS.get(kind).copied().unwrap_or("unknown");
                let side = if queue.underlay { "underlay" } else { "guest" };
                words.push(format!("{count} to the {side}: {what}"));
            }
            if !queue.sample.is_empty() {
                let hex: String = queue.sample.iter().map(|byte| format!("{byte:02x}")).collect();
                words.push(format!("the first such frame: {hex}"));
            }
        }
        (!words.is_empty()).then(|| words.join("; "))
    }

    fn of(&self, way: Way) -> impl Iterator<Item = &Queue> {
        self.queues.iter().filter(move |queue| queue.way == way)
    }
}

/// The highest number of cycles that a bucket stands for: eight buckets for each power of two.
pub fn cycles_of_bucket(bucket: usize) -> u64 {
    match bucket {
        0..8 => bucket as u64,
        _ => (9 + (bucket as u64 & 7)) * (1 << (bucket / 8 - 1)) - 1,
    }
}

fn word(page: &[u8], index: usize) -> Option<u64> {
    let bytes = page.get(index * 8..index * 8 + 8)?;
    Some(u64::from_ne_bytes(bytes.try_into().ok()?))
}

fn words(page: &[u8], (from, count): (usize, usize)) -> Option<Vec<u64>> {
    (from..from + count).map(|index| word(page, index)).collect()
}

fn text(page: &[u8], (from, length): (usize, usize)) -> String {
    let bytes = page.get(from..from + length).unwrap_or_default();
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn phase(number: u64) -> Option<Phase> {
    Some(match number {
        0 => Phase::Waiting,
        1 => Phase::Paused,
        2 => Phase::Establishing,
        3 => Phase::Running,
        4 => Phase::Refused,
        _ => return None,
    })
}

fn queue(page: &[u8]) -> Option<Queue> {
    let way = match word(page, 0)? {
        1 => Way::In,
        2 => Way::Out,
        _ => return None,
    };
    let sample = usize::try_from(word(page, SAMPLE_LENGTH)?).ok()?.min(SAMPLE.1);
    Some(Queue {
        way,
        underlay: word(page, 1)? == 1,
        tsc: word(page, 3)?,
        packets: word(page, 4)?,
        bytes: word(page, 5)?,
        forbidden: word(page, 8)?,
        foreign: word(page, 9)?,
        no_buffer: word(page, 10)?,
        failures: words(page, FAILURES)?,
        sample: page.get(SAMPLE.0..SAMPLE.0 + sample)?.to_vec(),
        latency: words(page, LATENCY)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of results with these words (page, index, value).
    fn file(pages: usize, words: &[(usize, usize, u64)]) -> Vec<u8> {
        let mut bytes = vec![0; pages * PAGE];
        for (page, index, value) in words {
            let at = page * PAGE + index * 8;
            bytes[at..at + 8].copy_from_slice(&value.to_ne_bytes());
        }
        bytes
    }

    /// One receive queue and one transmit queue.
    fn two_queues(more: &[(usize, usize, u64)]) -> Snapshot {
        let mut words = vec![
            (0, 0, MAGIC),
            (0, 1, 2_000_000_000),
            (0, 2, 5),
            (0, 3, 3),
            (0, 4, 2),
            (1, 0, 1),
            (2, 0, 2),
            (2, 1, 1),
        ];
        words.extend_from_slice(more);
        Snapshot::of_bytes(&file(4, &words)).unwrap()
    }

    #[test]
    fn half_made_files_are_no_results() {
        assert_eq!(Snapshot::of_bytes(&[]), None);
        assert_eq!(Snapshot::of_bytes(&[0; PAGE]), None);
        assert_eq!(
            Snapshot::of_bytes(&file(1, &[(0, 0, MAGIC), (0, 3, 9)])),
            None,
            "unknown phase"
        );
    }

    #[test]
    fn header_and_queues_are_read() {
        let mut bytes = file(2, &[(0, 0, MAGIC), (0, 4, 1), (1, 0, 2), (1, 40, 3)]);
        bytes[ERROR.0..ERROR.0 + 4].copy_from_slice(b"why\0");
        bytes[PAGE + SAMPLE.0..PAGE + SAMPLE.0 + 3].copy_from_slice(&[1, 2, 255]);
        let snapshot = Snapshot::of_bytes(&bytes).unwrap();
        assert_eq!((snapshot.error.as_str(), snapshot.phase), ("why", Phase::Waiting));
        assert_eq!(snapshot.queues[0].sample, [1, 2, 255]);
        assert_eq!(
            two_queues(&[]).queues.len(),
            2,
            "a page that is not in use is no queue"
        );
    }

    #[test]
    fn a_rate_is_of_what_came_out_by_the_queues_own_clock() {
        let before = two_queues(&[(2, 3, 1_000), (2, 4, 100), (1, 4, 100)]);
        let after = two_queues(&[(2, 3, 1_000 + 4_000_000_000), (2, 4, 700), (1, 4, 900)]);
        assert_eq!(after.rate_since(&before), 300.0);
        assert_eq!(after.packets(Way::In) - before.packets(Way::In), 800);
        assert_eq!(before.rate_since(&before), 0.0, "nothing came out");
        let first = two_queues(&[]);
        assert_eq!(after.rate_since(&first), 0.0, "no beginning to measure from");
    }

    #[test]
    fn latency_is_of_the_bucket_that_the_share_lies_in() {
        let before = two_queues(&[(2, 128 + 3, 50)]);
        let after = two_queues(&[(2, 128 + 3, 50), (2, 128 + 20, 90), (2, 128 + 100, 10)]);
        assert_eq!(cycles_of_bucket(7), 7);
        assert_eq!(cycles_of_bucket(8), 8);
        assert_eq!(cycles_of_bucket(16), 17);
        assert_eq!(cycles_of_bucket(20), 25);
        assert_eq!(after.latency_since(&before, 0.5), Some(12.5));
        let slow = cycles_of_bucket(100) as f64 / 2.0;
        assert_eq!(after.latency_since(&before, 0.99), Some(slow));
        assert_eq!(before.latency_since(&before, 0.5), None);
    }

    #[test]
    fn what_is_wrong_is_said_in_words() {
        assert_eq!(two_queues(&[]).wrong(), None);
        let wrong = two_queues(&[(2, 16 + 5, 3), (2, 40, 2)]).wrong().unwrap();
        assert!(wrong.contains("3 to the underlay: VXLAN header"), "{wrong}");
        assert!(wrong.contains("frame: 0000"), "{wrong}");
    }

    #[test]
    fn the_words_for_failures_are_as_many_as_there_are() {
        let header = include_str!("../../generator/results.h");
        let body = header
            .split("enum failure {")
            .nth(1)
            .unwrap()
            .split("};")
            .next()
            .unwrap();
        assert_eq!(body.matches("    FAILURE_").count(), FAILURE_WORDS.len());
    }
}
