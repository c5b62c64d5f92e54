//! `demo_seconds`: all of the demo, which has to pass.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Instant;

use crate::error::BenchError;
use crate::figure::Figure;
use crate::statistics::Runs;

/// Lines that are shown of a demo that ended without a row that failed.
const LAST_LINES: usize = 20;

/// Measures it.
pub fn run() -> Result<Vec<Figure>, BenchError> {
    let program = program()?;
    let started = Instant::now();
    let output = Command::new(&program).output();
    let output = output.map_err(BenchError::system(program.display().to_string()))?;
    let took = started.elapsed().as_secs_f64();
    if !output.status.success() {
        return Err(BenchError::Program {
            program: "the demo".to_owned(),
            what: complaint(&output),
        });
    }
    Ok(vec![Figure::of_runs("demo_seconds", Runs::of(vec![took]), "s")])
}

/// The demo beside this program.
fn program() -> Result<PathBuf, BenchError> {
    let own = std::env::current_exe().map_err(BenchError::system("find this program".to_owned()))?;
    let program = own.with_file_name("examples").join("demo");
    match program.exists() {
        true => Ok(program),
        false => Err(BenchError::Missing(format!(
            "{} is not there: make build",
            program.display()
        ))),
    }
}

/// The rows that failed or, where there are none, the last that was said; and what was said of the daemons.
fn complaint(output: &Output) -> String {
    let (said, told) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let mut lines = failed_rows(&said);
    if lines.is_empty() {
        lines = last(&said, LAST_LINES);
    }
    lines.extend(told.lines());
    format!("{}\n{}", output.status, lines.join("\n"))
}

/// Rows of the demo's report that say FAIL, each with what was expected and seen, which is indented below it.
fn failed_rows(report: &str) -> Vec<&str> {
    let mut failed = false;
    let belongs = |line: &&str| {
        let row = line
            .trim_start()
            .split_once(". ")
            .filter(|(number, _)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
        match row {
            Some((_, row)) if line.len() - line.trim_start().len() < 3 => failed = row.starts_with("FAIL"),
            _ => failed &= line.starts_with("   "),
        }
        failed
    };
    report.lines().filter(belongs).collect()
}

fn last(text: &str, count: usize) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "Hosts by themselves

 1. ok   all six guests run `dhclient -4`
         expected: each gets an address
         seen:     blue-11 10.0.0.11
 2. FAIL ping between two guests
         expected: every request answered
         seen:     2 of 3
                   1. ok   of a text that was seen
 3. ok   TCP
         expected: data flows
         seen:     it does

A fabric

10. FAIL the lab
         expected: addresses
         seen:     none

4 rows, 2 ok, 2 FAIL, 3 s
";

    #[test]
    fn rows_that_failed_are_shown_whole_and_others_not() {
        let rows = failed_rows(REPORT).join("\n");
        assert_eq!(
            rows,
            " 2. FAIL ping between two guests
         expected: every request answered
         seen:     2 of 3
                   1. ok   of a text that was seen
10. FAIL the lab
         expected: addresses
         seen:     none"
        );
    }

    #[test]
    fn a_demo_that_has_no_failed_row_is_shown_by_its_end() {
        let output = Command::new("sh")
            .args(["-c", "seq 30; echo no root >&2; exit 1"])
            .output();
        let complaint = complaint(&output.unwrap());
        assert!(complaint.starts_with("exit status: 1\n11\n"), "{complaint}");
        assert!(complaint.ends_with("30\nno root"), "{complaint}");
    }
}
