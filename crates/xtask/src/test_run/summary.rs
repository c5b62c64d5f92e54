//! Reading what `cargo test -- --show-output` prints.

use std::time::Duration;

/// Kinds of tests, by what they need and cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Part {
    /// Needs nothing of the machine.
    #[default]
    Unit,
    /// Namespaces, TAPs, real tools: all tests of `lab`, and the folders `tests/` of `ports` and `vswitch`
    /// but for the model test, which needs nothing.
    Kernel,
    /// Fuzz targets, briefly.
    Fuzz,
}

impl Part {
    const ALL: [(Part, &'static str); 3] = [
        (Part::Unit, "unit"),
        (Part::Kernel, "kernel"),
        (Part::Fuzz, "fuzz"),
    ];
}

/// The sums so far.
#[derive(Debug, Default)]
pub struct Summary {
    /// Tests that passed (skipped ones not counted).
    pub passed: usize,
    /// Tests that failed, and test binaries that ended without a result.
    pub failed: usize,
    /// What was skipped: `skipped: TEST: REASON`.
    pub skipped: Vec<String>,
    package: String,
    part: Part,
    seconds: [Duration; 3],
    quiet: bool,
}

impl Summary {
    /// Takes the next line, which came `took` after the one before. True where a person wants to see it.
    pub fn read(&mut self, line: &str, took: Duration) -> bool {
        self.seconds[self.part as usize] += took;
        let trimmed = line.trim_start();
        if trimmed.starts_with("skipped: ") {
            self.skipped.push(trimmed.to_owned());
            return false;
        }
        if trimmed.starts_with("Running ") || trimmed.starts_with("Doc-tests ") {
            self.enter(trimmed);
            return false;
        }
        if let Some(result) = line.strip_prefix("test result: ") {
            self.quiet = false;
            return self.add(result);
        }
        self.quiet = match line {
            "successes:" => true,
            "failures:" => false,
            _ => self.quiet,
        };
        if let Some(test) = line.strip_prefix("test ") {
            return self.outcome(test);
        }
        let noise = line.is_empty() || trimmed.starts_with("running ") || trimmed.starts_with("Finished ");
        !self.quiet && !noise
    }

    /// What each part took, for parts that took anything.
    pub fn times(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        let times = Part::ALL
            .iter()
            .map(|(part, name)| (*name, self.seconds[*part as usize]));
        times.filter(|(_, time)| !time.is_zero())
    }

    /// The end: cargo's own verdict counts where no binary reported a failure (one may have crashed), and a skipped
    /// test, which libtest believes to have passed, did not.
    pub fn close(&mut self, ended_well: bool) {
        if !ended_well && self.failed == 0 {
            self.failed = 1;
        }
        let passed_by_skipping = self
            .skipped
            .iter()
            .filter(|line| !line.ends_with(IGNORED))
            .count();
        self.passed = self.passed.saturating_sub(passed_by_skipping);
    }

    /// `Running unittests src/lib.rs (target/debug/deps/anet_lab-0123)`, `Running tests/rules.rs (...)`.
    fn enter(&mut self, line: &str) {
        let mut words = line.split_whitespace().skip(1);
        let subject = words.next().unwrap_or_default();
        if line.starts_with("Doc-tests ") {
            self.package = subject.to_owned();
        } else if subject == "unittests" {
            let program = line.rsplit('/').next().unwrap_or_default();
            self.package = program
                .rsplit_once('-')
                .map_or(program, |(name, _)| name)
                .to_owned();
        }
        let with_ports = matches!(self.package.as_str(), "anet_ports" | "anet_vswitch");
        let kernel = self.package == "anet_lab"
            || (with_ports && subject.starts_with("tests/") && subject != "tests/model.rs");
        self.part = match self.package.as_str() {
            "anet_fuzz" => Part::Fuzz,
            _ if kernel => Part::Kernel,
            _ => Part::Unit,
        };
    }

    /// `ok. 3 passed; 0 failed; 1 ignored; ...`: true where something failed.
    fn add(&mut self, result: &str) -> bool {
        let count = |what: &str| {
            let parts = result.split([';', '.']).map(str::trim);
            parts
                .filter_map(|part| part.strip_suffix(what)?.trim().parse().ok())
                .next()
                .unwrap_or(0usize)
        };
        self.passed += count("passed");
        self.failed += count("failed");
        count("failed") > 0
    }

    /// `name ... ok`, `name ... FAILED`, `name ... ignored, reason`.
    fn outcome(&mut self, test: &str) -> bool {
        let Some((name, outcome)) = test.split_once(" ... ") else {
            return !self.quiet;
        };
        if let Some(reason) = outcome.strip_prefix("ignored") {
            let reason = reason.trim_start_matches(", ");
            self.skipped.push(format!("skipped: {name}: {reason}{IGNORED}"));
        }
        outcome.starts_with("FAILED")
    }
}

/// Marks the tests that libtest itself left out.
const IGNORED: &str = " (ignored)";

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
     Running unittests src/lib.rs (target/debug/deps/anet_packet-0123)

running 3 tests
test a ... ok
test b ... ok
test c ... ignored, needs a printer

successes:

---- a stdout ----
a lot of noise
skipped: a: needs root

successes:
    a
    b

test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.03s

     Running unittests src/lib.rs (target/debug/deps/anet_lab-0123)
test d ... FAILED

failures:

---- d stdout ----
thread 'd' panicked at x.rs:1
test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.03s
     Running unittests src/lib.rs (target/debug/deps/anet_fuzz-0123)
test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.03s
";

    fn read(output: &str, ended_well: bool) -> (Summary, Vec<&str>) {
        let mut summary = Summary::default();
        let shown = output
            .lines()
            .filter(|line| summary.read(line, Duration::from_secs(1)))
            .collect();
        summary.close(ended_well);
        (summary, shown)
    }

    #[test]
    fn results_are_summed_and_skips_are_no_passes() {
        let (summary, _) = read(OUTPUT, false);
        assert_eq!((summary.passed, summary.failed), (5, 1));
        assert_eq!(
            summary.skipped,
            ["skipped: c: needs a printer (ignored)", "skipped: a: needs root"]
        );
    }

    #[test]
    fn failures_are_shown_and_noise_is_not() {
        let (_, shown) = read(OUTPUT, false);
        let text = shown.join("\n");
        assert!(
            text.contains("d ... FAILED") && text.contains("panicked at"),
            "{text}"
        );
        assert!(
            !text.contains("noise") && !text.contains("... ok") && !text.contains("skipped"),
            "{text}"
        );
    }

    #[test]
    fn time_goes_to_the_part_that_ran() {
        let (summary, _) = read(OUTPUT, false);
        let parts: Vec<&str> = summary.times().map(|(name, _)| name).collect();
        assert_eq!(parts, ["unit", "kernel", "fuzz"]);
    }

    #[test]
    fn a_crash_without_a_result_is_a_failure() {
        let crash =
            "error: test failed, to rerun pass `-p anet-x`\n  process didn't exit successfully (signal: 11)";
        let (summary, shown) = read(crash, false);
        assert_eq!((summary.passed, summary.failed), (0, 1));
        assert_eq!(shown.len(), 2);
    }
}
