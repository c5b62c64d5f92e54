//! `cargo run -p anet-xtask -- test`: runs every test of the workspace and sums up.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("test") => anet_xtask::test_run::run(&arguments[1..]),
        _ => {
            eprintln!("usage: cargo run -p anet-xtask -- test [ARGUMENTS FOR cargo test]");
            ExitCode::from(2)
        }
    }
}
