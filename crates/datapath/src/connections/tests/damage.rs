//! Words as a crash, a bad disk or an enemy leaves them.

use proptest::prelude::*;

use super::*;
use crate::connections::layout::{ENTRY, HEADER, LINE, MAGIC};

const CAPACITY: u32 = 40;

fn filled(connections: u32) -> Connections {
    let table = table(CAPACITY);
    for n in 0..connections {
        let protocol = [protocol::TCP, protocol::UDP, protocol::ICMP][n as usize % 3];
        let id = table
            .create(zone(n % 3 + 1), &tuple(protocol, n), new())
            .unwrap()
            .id;
        table
            .half(id, Direction::Original)
            .unwrap()
            .touch(NOW, 60, flag::SYN);
        table.set_witnesses(
            id,
            Direction::Reply,
            [Witness {
                slot: n,
                generation: n,
            }; 2],
        );
    }
    table
}

#[derive(Debug, Clone, Copy)]
enum Blow {
    Flip(u8),
    Zero,
    Set(u64),
}

impl Blow {
    fn strike(self, word: &AtomicU64) -> bool {
        let before = word.load(Ordering::Relaxed);
        let after = match self {
            Blow::Flip(bit) => before ^ 1 << (bit % 64),
            Blow::Zero => 0,
            Blow::Set(value) => value,
        };
        word.store(after, Ordering::Relaxed);
        after != before
    }
}

fn blow() -> impl Strategy<Value = Blow> {
    prop_oneof![
        any::<u8>().prop_map(Blow::Flip),
        Just(Blow::Zero),
        any::<u64>().prop_map(Blow::Set)
    ]
}

/// Uses a table in every way, after which it must agree with itself.
fn exercise(table: &Connections) {
    check(table);
    for n in 1_000..1_040 {
        let _ = table.create(zone(9), &tuple(protocol::UDP, n), new());
    }
    table.age(NOW + 25 * 86_400 * SECOND, CAPACITY, &Timeouts::default());
    check(table);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_entries_are_discarded_and_no_others(
        connections in 1..CAPACITY,
        blows in prop::collection::vec((any::<u32>(), 0..ENTRY, blow()), 1..20),
    ) {
        let table = filled(connections);
        let slots: Vec<u32> = table.iter(NOW, Filter::default()).map(|copy| copy.id.slot).collect();
        let words = copy(&table.words);
        let (mut touched, mut damaged) = (Vec::new(), Vec::new());
        for (slot, word, blow) in blows {
            let slot = slots[slot as usize % slots.len()];
            if blow.strike(&words[HEADER + slot as usize * ENTRY + word]) {
                touched.push(slot);
                // Behind the first word of a half lies what no checksum can cover: it is written without a lock.
                let covered = word < LINE || word % LINE == 0;
                if covered {
                    damaged.push(slot);
                }
            }
        }
        let (reopened, recovered) = Connections::open(words, config()).unwrap();
        prop_assert_eq!(recovered.kept as usize, reopened.len());
        // Of several blows, all may hit what tells a discarded entry from a free one.
        let once = touched.iter().all(|slot| touched.iter().filter(|other| *other == slot).count() == 1);
        prop_assert!(recovered.kept + recovered.discarded == connections || !once);
        for before in table.iter(NOW, Filter::default()) {
            let slot = before.id.slot;
            let after = reopened.get(before.id, NOW);
            if !touched.contains(&slot) {
                prop_assert_eq!(after, Some(before));
            } else if damaged.iter().filter(|d| **d == slot).count() == 1 {
                prop_assert_eq!(after, None);
            }
        }
        exercise(&reopened);
    }

    #[test]
    fn rubbish_is_opened_without_a_panic(
        rubbish in prop::collection::vec(any::<u64>(), words_for(3)..words_for(6)),
        with_header in any::<bool>(),
    ) {
        let words = words_of(rubbish.into_iter());
        if with_header {
            let good = table(((words.len() - HEADER) / ENTRY) as u32);
            words.iter().zip(good.words.iter()).take(4).for_each(|(to, from)| to.store(from.load(Ordering::Relaxed), Ordering::Relaxed));
        }
        match Connections::open(words, config()) {
            Ok((table, recovered)) => {
                prop_assert!(recovered.kept == 0 && with_header);
                exercise(&table);
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}

#[test]
fn a_kill_at_any_store_of_a_creation_leaves_a_table_or_a_free_entry() {
    let before = filled(5);
    let after = copy(&before.words);
    let (late, _) = Connections::open(copy(&before.words), config()).unwrap();
    let made = late.create(zone(4), &tuple(protocol::UDP, 77), new()).unwrap();
    let entry = HEADER + made.id.slot as usize * ENTRY;
    // The order of the stores: the commit word as withdrawn, the key, the halves, the commit word.
    let withdrawn = std::iter::once((entry, u64::from(made.id.sequence) << 32));
    let all = (entry + 1..entry + ENTRY)
        .chain([entry])
        .map(|i| (i, late.words[i].load(Ordering::Relaxed)));
    for (step, (at, value)) in withdrawn.chain(all).enumerate() {
        after[at].store(value, Ordering::Relaxed);
        let (table, recovered) = Connections::open(copy(&after), config()).unwrap();
        assert_eq!(
            (recovered.kept, recovered.discarded),
            (if step == ENTRY { 6 } else { 5 }, 0),
            "step {step}"
        );
        exercise(&table);
    }
}

#[test]
fn the_high_water_mark_survives_the_loss_of_either_copy_and_of_both() {
    let table = filled(30);
    for lost in [vec![4], vec![5], vec![4, 5]] {
        let words = copy(&table.words);
        lost.iter().for_each(|&at| words[at].store(3, Ordering::Relaxed));
        let (reopened, recovered) = Connections::open(words, config()).unwrap();
        assert_eq!(
            recovered,
            Recovered {
                kept: 30,
                discarded: 0
            }
        );
        exercise(&reopened);
    }
}

#[test]
fn what_is_no_table_of_ours_is_refused_with_the_reason() {
    let open = |words: Words| Connections::open(words, config()).unwrap_err();
    assert_eq!(
        open(words(0)),
        OpenError::TooSmall {
            needed: words_for(1),
            found: 8
        }
    );
    let foreign = words(2);
    foreign[0].store(0x7f45_4c46, Ordering::Relaxed);
    assert_eq!(
        open(foreign),
        OpenError::NotAConnectionTable { found: 0x7f45_4c46 }
    );
    let table = filled(2);
    let newer = copy(&table.words);
    newer[1].store(9, Ordering::Relaxed);
    assert_eq!(open(newer), OpenError::OtherVersion { found: 9, known: 1 });
    let values = table.words.iter().map(|word| word.load(Ordering::Relaxed));
    let longer = words_of(values.chain([0; 2 * ENTRY]).collect::<Vec<_>>().into_iter());
    assert_eq!(
        open(longer),
        OpenError::OtherCapacity {
            found: u64::from(CAPACITY),
            fits: CAPACITY as usize + 2
        }
    );
    assert_eq!(table.words[0].load(Ordering::Relaxed), MAGIC);
}

#[test]
fn an_entry_copied_to_another_slot_is_discarded() {
    let table = filled(3);
    let words = copy(&table.words);
    let slots: Vec<usize> = table
        .iter(NOW, Filter::default())
        .map(|copy| copy.id.slot as usize)
        .collect();
    for word in 0..ENTRY {
        let value = words[HEADER + slots[0] * ENTRY + word].load(Ordering::Relaxed);
        words[HEADER + slots[2] * ENTRY + word].store(value, Ordering::Relaxed);
    }
    let (_, recovered) = Connections::open(words, config()).unwrap();
    assert_eq!(
        recovered,
        Recovered {
            kept: 2,
            discarded: 1
        }
    );
}
