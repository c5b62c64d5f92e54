//! Rows: what was tried, expected, seen.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anet_lab::LabError;

/// Set when the program was told to stop: what is seen from then on says nothing, because it is being taken down.
pub static STOPPED: AtomicBool = AtomicBool::new(false);

/// Lines of a log that are shown.
const LOG_LINES: usize = 20;

/// One thing to show on a subject `S`.
pub struct Row<S> {
    /// What is tried.
    pub tried: &'static str,
    /// What should be seen.
    pub expected: &'static str,
    /// Does it.
    pub run: fn(&mut S) -> Result<Seen, LabError>,
}

/// What was seen, and whether that is what was expected.
pub struct Seen {
    /// For people.
    pub text: String,
    /// As expected?
    pub ok: bool,
}

impl Seen {
    /// An observation.
    pub fn new(ok: bool, text: impl Into<String>) -> Self {
        Self {
            ok,
            text: text.into(),
        }
    }

    /// Several observations, each of which has to be right.
    pub fn all(parts: impl IntoIterator<Item = Seen>) -> Self {
        let parts: Vec<Seen> = parts.into_iter().collect();
        let texts: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
        Self {
            ok: !parts.is_empty() && parts.iter().all(|part| part.ok),
            text: texts.join("; "),
        }
    }
}

/// The table so far, printed as it grows.
pub struct Report {
    started: Instant,
    rows: usize,
    failures: usize,
}

impl Report {
    /// An empty table; the clock runs since `started`.
    pub fn new(started: Instant) -> Self {
        Self {
            started,
            rows: 0,
            failures: 0,
        }
    }

    /// Says what the next rows are about.
    pub fn heading(&self, text: &str) {
        println!("{}{text}\n", if self.rows == 0 { "" } else { "\n" });
    }

    /// Runs a row and prints it. An error is a failure like any other.
    pub fn add<S>(&mut self, row: &Row<S>, subject: &mut S) {
        let outcome = (row.run)(subject);
        self.show(row.tried, row.expected, outcome);
    }

    /// Prints what was seen.
    pub fn show(&mut self, tried: &str, expected: &str, outcome: Result<Seen, LabError>) {
        while STOPPED.load(Ordering::Relaxed) {
            std::thread::park();
        }
        let seen = outcome.unwrap_or_else(|error| Seen::new(false, error.to_string()));
        self.rows += 1;
        self.failures += usize::from(!seen.ok);
        println!(
            "{:>2}. {:<4} {tried}",
            self.rows,
            if seen.ok { "ok" } else { "FAIL" },
        );
        println!("         expected: {expected}");
        println!(
            "         seen:     {}",
            seen.text.trim().replace('\n', "\n                   ")
        );
    }

    /// How many rows failed.
    pub fn failures(&self) -> usize {
        self.failures
    }

    /// The end of what a daemon said, for a look at what went wrong.
    pub fn show_log(&self, name: &str, log: &str) {
        let lines: Vec<&str> = log.lines().collect();
        eprintln!("--- last lines of {name} ---");
        lines[lines.len().saturating_sub(LOG_LINES)..]
            .iter()
            .for_each(|line| eprintln!("{line}"));
    }

    /// Prints the sum.
    pub fn close(self) -> ExitCode {
        let took = self.started.elapsed().as_secs_f32();
        println!(
            "\n{} rows, {} ok, {} FAIL, {took:.0} s",
            self.rows,
            self.rows - self.failures,
            self.failures
        );
        if self.failures == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
