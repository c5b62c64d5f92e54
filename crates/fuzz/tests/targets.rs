//! Each target for a moment; `ANET_FUZZ_SECONDS` makes it longer.

use anet_fuzz::{driver, targets};

#[test]
fn every_target_has_a_kept_corpus() {
    for target in targets::NAMES {
        let kept = driver::corpus(&driver::folder(target));
        assert!(kept.len() >= 12, "{target} has {} kept inputs", kept.len());
        assert!(
            kept.iter().all(|input| input.len() <= driver::LONGEST),
            "{target}"
        );
    }
}

#[test]
fn parser() {
    driver::run("parser", targets::parser::seeds(), targets::parser::target);
}

#[test]
fn pipeline() {
    driver::run("pipeline", targets::pipeline::seeds(), targets::pipeline::target);
}

#[test]
fn control() {
    driver::run("control", targets::control::seeds(), targets::control::target);
}

#[test]
fn plan_text() {
    driver::run(
        "plan_text",
        targets::plan_text::seeds(),
        targets::plan_text::target,
    );
}

#[test]
fn connection_file() {
    driver::run(
        "connection_file",
        targets::connection_file::seeds(),
        targets::connection_file::target,
    );
}

#[test]
fn api() {
    driver::run("api", targets::api::seeds(), targets::api::target);
}

#[test]
fn segments() {
    driver::run("segments", targets::segments::seeds(), targets::segments::target);
}

#[test]
fn session() {
    driver::run("session", targets::session::seeds(), targets::session::target);
}
