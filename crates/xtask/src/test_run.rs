//! The runner behind `make test`: one build, every test, and a summary that a person and a CI can read.
//!
//! `cargo test` shows each binary's result; this sums them, collects what was skipped and why (lines that begin with
//! `skipped: `, as `anet_lab::skip` prints them), and says what each part took. The last line is
//! `N passed, N failed, N skipped`. The whole output of the tests is kept in `target/test-output.txt`.

mod summary;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

pub use summary::{Part, Summary};

/// Builds and runs the tests that `arguments` choose, as they do for `cargo test`: `-p anet-lab`. All without.
pub fn run(arguments: &[String]) -> ExitCode {
    let all = ["--workspace".to_owned()];
    let arguments = if arguments.is_empty() { &all } else { arguments };
    let started = Instant::now();
    if !compile(arguments) {
        eprintln!("the tests do not compile");
        println!("0 passed, 1 failed, 0 skipped");
        return ExitCode::FAILURE;
    }
    let compile = started.elapsed();
    let mut summary = Summary::default();
    let ended_well = match run_tests(arguments, &mut summary) {
        Ok(ended_well) => ended_well,
        Err(error) => {
            eprintln!("cannot run cargo test: {error}");
            false
        }
    };
    summary.close(ended_well);
    report(&summary, compile);
    if summary.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Everything the tests need, the programs they start included, with the profile of the tests.
fn compile(arguments: &[String]) -> bool {
    let tests = cargo(&["test", "--no-run", "--quiet"]).args(arguments).status();
    let programs = cargo(&["build", "--workspace", "--bins", "--profile", "test", "--quiet"]).status();
    [tests, programs]
        .iter()
        .all(|status| status.as_ref().is_ok_and(std::process::ExitStatus::success))
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(crate::source::repository());
    command
}

fn run_tests(arguments: &[String], summary: &mut Summary) -> std::io::Result<bool> {
    let path = target_folder().join("test-output.txt");
    let mut record = File::create(&path)?;
    // The shell makes one stream of both, so that results stay below the name of their binary.
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec \"$0\" \"$@\" 2>&1"])
        .arg(cargo(&[]).get_program());
    command
        .args(["test", "--no-fail-fast"])
        .args(arguments)
        .args(["--", "--show-output"]);
    command
        .current_dir(crate::source::repository())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
        .env("CARGO_TERM_COLOR", "never")
        .env("CARGO_TERM_PROGRESS_WHEN", "never");
    if let Some(runner) = root_runner() {
        command.env(runner.0, runner.1);
    }
    let mut child = command.spawn()?;
    let output = child
        .stdout
        .take()
        .ok_or_else(|| std::io::Error::other("no output of cargo test"))?;
    let mut before = Instant::now();
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        writeln!(record, "{line}")?;
        let now = Instant::now();
        if summary.read(&line, now - before) {
            println!("{line}");
        }
        before = now;
    }
    Ok(child.wait()?.success())
}

/// Where we are not root, but may be by `sudo` without a question, tests run as root: most of the kernel's want it.
fn root_runner() -> Option<(&'static str, &'static str)> {
    let is_root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout == b"0\n");
    let may = || {
        Command::new("sudo")
            .args(["-n", "true"])
            .stderr(Stdio::null())
            .status()
    };
    let variable = match std::env::consts::ARCH {
        "x86_64" => "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER",
        "aarch64" => "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER",
        _ => return None,
    };
    (!is_root && may().is_ok_and(|status| status.success())).then_some((variable, "sudo -E"))
}

fn target_folder() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    named.unwrap_or_else(|| crate::source::repository().join("target"))
}

fn report(summary: &Summary, compile: Duration) {
    println!();
    for skipped in &summary.skipped {
        println!("{skipped}");
    }
    let parts = [("compile", compile)].into_iter().chain(summary.times());
    let lines = parts.map(|(name, time)| format!("{name} {}\n", time.as_secs()));
    let lines: String = lines.collect();
    print!("time in seconds: {}", lines.trim_end().replace('\n', ", "));
    println!(
        "\n{} passed, {} failed, {} skipped",
        summary.passed,
        summary.failed,
        summary.skipped.len()
    );
    if let Some(path) = std::env::var_os("ANET_TIMES_FILE") {
        let written = File::options().append(true).create(true).open(path);
        if let Err(error) = written.and_then(|mut file| file.write_all(lines.as_bytes())) {
            eprintln!("the file named by ANET_TIMES_FILE was not written: {error}");
        }
    }
}
