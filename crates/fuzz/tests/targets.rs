//! Each target for a moment; `ANET_FUZZ_SECONDS` makes it longer.

use anet_fuzz::{driver, targets};

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
