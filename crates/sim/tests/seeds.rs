//! Seeds of the simulated fabric, and the test of that test: planted defects are found.

use anet_sim::defect::Defect;
use anet_sim::run::{Size, run};
use anet_sim::traffic::Count;

/// Each of them a run of its own; `anet-sim --seed FIRST --count N` runs any number.
const SEEDS: u64 = 100;
/// A planted defect is found within so many.
const TRIES: u64 = 60;

#[test]
fn nothing_that_must_hold_is_broken() {
    let mut all = Count::default();
    let mut restored = 0;
    for seed in 0..SEEDS {
        match run(seed, Size::default(), Defect::None) {
            Ok(outcome) => {
                all.add(&outcome.packets);
                restored += outcome.restored;
            }
            Err(violation) => panic!("{violation}\nreplay: anet-sim --seed {seed}"),
        }
    }
    println!("{SEEDS} seeds: {all}, {restored} restores");
    let missed = all.sent - all.arrived;
    assert!(
        all.arrived > 20 * SEEDS && missed > 50 * SEEDS,
        "the rules do both: {all}"
    );
    assert!(all.stopped > 2 * SEEDS, "changes hit flows that exist: {all}");
    assert!(restored > SEEDS / 4, "stores are restored: {restored} times");
}

#[test]
fn a_larger_fabric_for_longer() {
    let size = Size {
        controllers: 3,
        hosts: 6,
        rounds: 4,
        trouble_ms: 30_000,
    };
    for seed in 10_000..10_005 {
        if let Err(violation) = run(seed, size, Defect::None) {
            panic!(
                "{violation}\nreplay: anet-sim --seed {seed} --controllers 3 --hosts 6 --rounds 4 --trouble-ms 30000"
            );
        }
    }
}

#[test]
fn a_seed_is_the_same_run_each_time() {
    for seed in [3, 8] {
        let once = run(seed, Size::default(), Defect::None);
        assert_eq!(once, run(seed, Size::default(), Defect::None));
        assert!(once.is_ok());
    }
    let fingerprint = |seed| run(seed, Size::default(), Defect::None).map(|outcome| outcome.fingerprint);
    assert_ne!(fingerprint(3), fingerprint(8));
}

#[test]
fn planted_defects_are_found() {
    for defect in Defect::PLANTED {
        let found = (0..TRIES).find_map(|seed| run(seed, Size::default(), defect).err());
        assert!(found.is_some(), "{defect:?} is not found in {TRIES} seeds");
    }
}
