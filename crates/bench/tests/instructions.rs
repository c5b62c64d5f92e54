//! What a packet may cost, in instructions: a change that makes the way of a packet longer fails here and has to say why.
//!
//! Callgrind counts in the release build what happens between a burst of received packets and their egress lists. The budgets
//! are some 10 to 15 % above what was measured (x86-64, without its newer instruction sets); who adds a stage adds a line.

use std::path::{Path, PathBuf};
use std::process::Command;

use anet_bench::memory_ports::instructions::{Count, count};
use anet_bench::memory_ports::work::Work;

/// What is counted: the whole packet, or one function with all that it calls.
enum Part {
    Whole,
    Function(&'static str),
}

/// A kind of packet, part of its way, instructions per packet at most. See `docs/performance.md`.
#[rustfmt::skip]
const BUDGETS: &[(Work, &str, Part, f64)] = &[
    // A hit: each kind does what the one before it does, and something more.
    (Work::HitDrop,            "key, lookup, witnesses, verdict", Part::Whole, 545.0),
    (Work::HitLocal,           "… and the connection, egress",    Part::Whole, 630.0),
    (Work::HitEncapsulate,     "… and the outer header",          Part::Whole, 755.0),
    (Work::HitDecapsulate,     "… or off with it",                Part::Whole, 860.0),
    // A known flow whose rules have changed (both sides of the connection are asked).
    (Work::RecheckAllowed,     "whole",         Part::Whole, 1590.0),
    (Work::RecheckDenied,      "whole",         Part::Whole, 1050.0),
    // A miss of a known connection, stage by stage.
    (Work::MissKnown,          "whole",         Part::Whole, 3450.0),
    (Work::MissKnown,          "parse",         Part::Function("anet_packet::parse::layout"), 300.0),
    (Work::MissKnown,          "guard",         Part::Function("pipeline::guard::stage"), 510.0),
    (Work::MissKnown,          "respond",       Part::Function("pipeline::respond::stage"), 65.0),
    (Work::MissKnown,          "firewall_out",  Part::Function("pipeline::firewall_out::stage"), 690.0),
    (Work::MissKnown,          "switch",        Part::Function("pipeline::switch::stage"), 190.0),
    (Work::MissKnown,          "firewall_in",   Part::Function("pipeline::firewall_in::stage"), 270.0),
    (Work::MissKnown,          "deliver",       Part::Function("pipeline::deliver::stage"), 60.0),
    (Work::MissKnown,          "flow cache",    Part::Function("FlowCache::insert"), 335.0),
    // The first packet of a connection.
    (Work::MissNew,            "whole",         Part::Whole, 5850.0),
    (Work::MissNew,            "firewall_out",  Part::Function("pipeline::firewall_out::stage"), 850.0),
    (Work::MissNew,            "firewall_in",   Part::Function("pipeline::firewall_in::stage"), 2600.0),
    (Work::MissNewEncapsulate, "whole",         Part::Whole, 5500.0),
];

#[test]
fn no_packet_costs_more_instructions_than_its_budget() {
    let test = "no_packet_costs_more_instructions_than_its_budget";
    let has_valgrind = Command::new("valgrind").arg("--version").output().is_ok();
    if !has_valgrind || !cfg!(target_arch = "x86_64") {
        return anet_lab::skip(
            test,
            "needs valgrind on x86-64; scripts/install-packages installs it",
        );
    }
    let program = release_program();
    let mut counts: Vec<(Work, Count)> = Vec::new();
    let works = Work::HITS.into_iter().chain(Work::RECHECKS).chain(Work::MISSES);
    for work in works {
        let counted = count(&program, work).unwrap_or_else(|error| panic!("{work:?}: {error}"));
        counts.push((work, counted));
    }
    let mut over = Vec::new();
    for (work, name, part, budget) in BUDGETS {
        let counted = counts.iter().find(|(w, _)| w == work).map(|(_, c)| c);
        let used = counted.map_or(0.0, |c| match part {
            Part::Whole => c.per_packet,
            Part::Function(function) => c.of(function),
        });
        println!("{:<22} {name:<34} {used:>7.0} of {budget:>7.0}", work.name());
        if used > *budget {
            over.push(format!(
                "{work:?}, {name}: {used:.0} instructions, and {budget} are allowed"
            ));
        }
        // A function that the compiler has merged into its caller has no count: then its caller's budget holds.
        assert!(
            used > 0.0 || matches!(part, Part::Function(_)),
            "{work:?} was not counted"
        );
    }
    assert!(over.is_empty(), "{}", over.join("\n"));
}

/// The program as it ships, built where this test's own was.
fn release_program() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_anet-bench"))
        .ancestors()
        .nth(2)
        .expect("a program lies in a profile's folder of the target folder");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args([
            "build",
            "--release",
            "--quiet",
            "--package",
            "anet-bench",
            "--target-dir",
        ])
        .arg(target)
        .status();
    assert!(
        built.is_ok_and(|status| status.success()),
        "the release build failed"
    );
    target.join("release/anet-bench")
}
