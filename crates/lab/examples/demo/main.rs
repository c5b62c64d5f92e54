//! `make demo`: hosts by themselves, and then a whole fabric with its controller, all on this machine, with the real
//! daemons and real tools.
//!
//! Each row says what was tried, what was expected and what was seen. The exit code is 1 if any row failed. Nothing
//! stays behind, also after a failure or Ctrl-C.

mod fabric;
mod one_switch;
mod report;

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anet_lab::{LabError, is_root, on_stop, standing, sweep, sweep_own};
use report::Report;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--sweep") {
        println!(
            "removed {} leftovers of runs that were killed",
            sweep() + fabric::sweep()
        );
        return ExitCode::SUCCESS;
    }
    if !is_root() {
        eprintln!("the demo needs root, for network namespaces: sudo make demo");
        return ExitCode::FAILURE;
    }
    if let Err(error) = clean_up_on_signals() {
        eprintln!("signals cannot be caught ({error}): Ctrl-C would leave namespaces behind");
        return ExitCode::FAILURE;
    }
    sweep();
    fabric::sweep();
    let mut report = Report::new(Instant::now());
    // `one-switch` and `fabric` choose a part.
    let wanted = |part: &str| words.is_empty() || words.iter().any(|word| word == part);
    let parts: [(&str, Part); 2] = [
        ("one-switch", one_switch::demonstrate),
        ("fabric", fabric::demonstrate),
    ];
    for (_, demonstrate) in parts.iter().filter(|(name, _)| wanted(name)) {
        if let Err(error) = demonstrate(&mut report) {
            report.show("to build it", "it stands", Err(error));
        }
    }
    report.close()
}

/// Builds something and adds what it shows to the report.
type Part = fn(&mut Report) -> Result<(), LabError>;

/// On Ctrl-C and its like everything of ours is removed and the program ends.
fn clean_up_on_signals() -> Result<(), LabError> {
    on_stop(|signal| {
        report::STOPPED.store(true, Ordering::Relaxed);
        eprintln!("\nstopped by {signal}; cleaning up");
        standing::stop_making();
        fabric::remove_own();
        sweep_own();
        std::process::exit(130);
    })
}
