//! `instructions_per_packet_hit`, `instructions_per_packet_miss`: counted by callgrind in the worker's part alone.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::lane::COUNTED;
use super::work::Work;
use crate::error::BenchError;
use crate::figure::Figure;

/// Packets that a count is taken over: whole bursts.
const PACKETS: usize = 4096;

/// Instructions that packets of a kind took.
#[derive(Debug, Clone)]
pub struct Count {
    /// Per packet.
    pub per_packet: f64,
    /// Per packet, by function, with everything that the function called: demangled name, instructions. Functions
    /// that the compiler has merged into their callers are not there.
    pub by_function: Vec<(String, f64)>,
}

impl Count {
    /// Instructions per packet in functions whose name contains `part`; 0 where there is none.
    pub fn of(&self, part: &str) -> f64 {
        let found = self.by_function.iter().find(|(name, _)| name.contains(part));
        found.map_or(0.0, |(_, instructions)| *instructions)
    }
}

/// Measures.
pub fn run() -> Result<Vec<Figure>, BenchError> {
    let program = std::env::current_exe().map_err(BenchError::system("find this program's file"))?;
    let mut figures = Vec::new();
    for work in Work::HITS {
        let counted = count(&program, work)?.per_packet;
        figures.push(Figure::new("instructions_per_packet_hit", counted, "instructions").mode(work.name()));
    }
    for work in Work::MISSES {
        let counted = count(&program, work)?.per_packet;
        figures.push(Figure::new("instructions_per_packet_miss", counted, "instructions").mode(work.name()));
    }
    Ok(figures)
}

/// Runs `program` (an `anet-bench`) under callgrind.
pub fn count(program: &Path, work: Work) -> Result<Count, BenchError> {
    let file = Scratch::new(work);
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(format!("--callgrind-out-file={}", file.0.display()))
        .arg(program)
        .args(["--work", &work.name(), "--packets", &PACKETS.to_string()]);
    run_to_end("valgrind", &mut command)?;
    let mut annotate = Command::new("callgrind_annotate");
    annotate.args(["--inclusive=yes", "--threshold=100"]).arg(&file.0);
    let text = run_to_end("callgrind_annotate", &mut annotate)?;
    read(&text).ok_or_else(|| BenchError::Program {
        program: "callgrind_annotate".to_owned(),
        what: format!("its output was not understood:\n{text}"),
    })
}

fn run_to_end(name: &str, command: &mut Command) -> Result<String, BenchError> {
    let output = command.output().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => BenchError::Missing(format!(
            "{name} is not installed: `apt-get install valgrind` brings it"
        )),
        _ => BenchError::system(format!("start {name}"))(error),
    })?;
    if !output.status.success() {
        return Err(BenchError::Program {
            program: name.to_owned(),
            what: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Lines such as `1,234,567 (12.3%)  ???:anet_datapath::pipeline::walk [/program]`, and the total.
fn read(text: &str) -> Option<Count> {
    let number = |word: &str| word.replace(',', "").parse::<f64>().ok();
    let line_of = |line: &str| {
        let line = line.trim_start();
        let (count, rest) = line.split_once(' ')?;
        let name = rest.split_once(')').map_or(rest, |(_, name)| name).trim();
        Some((name.to_owned(), number(count)? / PACKETS as f64))
    };
    let lines: Vec<(String, f64)> = text.lines().filter_map(line_of).collect();
    let (_, total) = lines.iter().find(|(name, _)| name.contains("PROGRAM TOTALS"))?;
    Some(Count {
        per_packet: *total,
        by_function: lines.clone(),
    })
}

/// A file of callgrind's, removed with this value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(work: Work) -> Self {
        let name = format!("anet-callgrind-{}-{}", std::process::id(), work.name());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It may never have been made.
        _ = std::fs::remove_file(&self.0);
    }
}
