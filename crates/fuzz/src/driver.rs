//! Feeds a target: its corpus first, then mutations of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs};

/// Bytes of the longest input that is made.
pub const LONGEST: usize = 8192;
/// An input that takes longer than this is a failure as well.
const SLOWEST: Duration = Duration::from_secs(2);

/// A source of choices: the same seed, the same inputs.
pub struct Random(u64);

impl Random {
    /// Seeded.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// splitmix64.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.draw() % n as u64) as usize
    }
}

/// Feeds `target` the files of its corpus and the `seeds`, then mutations of both until the time is over.
///
/// # Panics
/// Where an input fails; it is written to the target's corpus before.
pub fn run(name: &str, seeds: Vec<Vec<u8>>, target: fn(&[u8])) {
    let folder = folder(name);
    let mut inputs = corpus(&folder);
    inputs.extend(seeds);
    inputs.push(Vec::new());
    for input in &inputs {
        check(&folder, input, target);
    }
    let number = |name: &str| env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let seconds = number("ANET_FUZZ_SECONDS").unwrap_or(2);
    let mut random = Random::new(number("ANET_FUZZ_SEED").unwrap_or(1));
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut count = 0u64;
    while Instant::now() < end {
        let input = mutated(&mut random, &inputs);
        check(&folder, &input, target);
        count += 1;
    }
    println!(
        "fuzz: {name}: {} kept inputs, {count} mutations in {seconds} s",
        inputs.len()
    );
}

/// Where a target's corpus is kept.
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name)
}

/// The inputs in a folder, in the order of their names.
pub fn corpus(folder: &Path) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.sort();
    files.iter().filter_map(|file| fs::read(file).ok()).collect()
}

fn check(folder: &Path, input: &[u8], target: fn(&[u8])) {
    let started = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| target(input)));
    let took = started.elapsed();
    if outcome.is_ok() && took < SLOWEST {
        return;
    }
    let sum = input.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    let file = folder.join(format!("failed-{sum:016x}"));
    let kept = fs::create_dir_all(folder).and_then(|()| fs::write(&file, input));
    panic!("an input failed after {took:?}: {} ({kept:?})", file.display());
}

fn mutated(random: &mut Random, inputs: &[Vec<u8>]) -> Vec<u8> {
    let mut input = inputs[random.below(inputs.len())].clone();
    for _ in 0..=random.below(6) {
        mutate(random, &mut input, inputs);
    }
    input.truncate(LONGEST);
    input
}

fn mutate(random: &mut Random, input: &mut Vec<u8>, inputs: &[Vec<u8>]) {
    const TELLING: [u8; 12] = [0, 1, 2, 6, 17, 58, 0x45, 0x60, 0x7f, 0x80, 0xfe, 0xff];
    let at = random.below(input.len() + 1);
    match (random.below(9), input.get_mut(at)) {
        (0 | 1, Some(byte)) => *byte ^= 1 << random.below(8),
        (2, Some(byte)) => *byte = TELLING[random.below(TELLING.len())],
        (3, Some(byte)) => *byte = random.draw() as u8,
        (4, Some(byte)) => *byte = byte.wrapping_add(random.below(5) as u8).wrapping_sub(2),
        (5, _) => input.truncate(at),
        (6, _) => {
            let end = (at + random.below(40)).min(input.len());
            input.drain(at..end);
        }
        (7, _) => {
            let other = &inputs[random.below(inputs.len())];
            let start = random.below(other.len() + 1);
            let end = (start + random.below(200)).min(other.len());
            input.splice(at..at, other[start..end].iter().copied());
        }
        _ => {
            let bytes: Vec<u8> = (0..random.below(9)).map(|_| random.draw() as u8).collect();
            input.splice(at..at, bytes);
        }
    }
}
