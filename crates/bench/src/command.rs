//! The command line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use crate::catalogue::{BENCHES, Bench};
use crate::dpdk::figures;
use crate::error::BenchError;
use crate::figure::Figure;
use crate::memory_ports::work::Work;
use crate::undo;

/// Measures aNET and prints one line a figure.
#[derive(Debug, Parser)]
#[command(name = "anet-bench", version)]
struct Arguments {
    /// Only these figures (or benches, see --list), separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "NAME,NAME")]
    only: Vec<String>,
    /// What there is to measure.
    #[arg(long)]
    list: bool,
    /// Where all figures are written to.
    #[arg(long, value_name = "FILE", default_value = "target/bench/results.json")]
    results: PathBuf,
    /// Carries packets of one kind and ends: what is run under callgrind.
    #[arg(long, hide = true, value_name = "KIND")]
    work: Option<Work>,
    /// Measures one program on DPDK devices alone, once, and writes no figures: `ours`, `ovs` or `testpmd`.
    #[arg(long, value_name = "PROGRAM")]
    look_at: Option<String>,
    /// How many packets `--work` carries.
    #[arg(long, hide = true, default_value_t = 3200)]
    packets: usize,
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(work) = arguments.work {
        return match work.run(arguments.packets) {
            Ok(_) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("anet-bench: {error}");
                ExitCode::FAILURE
            }
        };
    }
    undo::on_signals();
    if let Some(program) = arguments.look_at {
        return look_at(&program);
    }
    if arguments.list {
        for bench in BENCHES {
            println!("{}: {}", bench.name, bench.figures.join(", "));
        }
        return ExitCode::SUCCESS;
    }
    let chosen = match choose(&arguments.only) {
        Ok(chosen) => chosen,
        Err(unknown) => {
            eprintln!("anet-bench: there is no figure {unknown}; --list names them all");
            return ExitCode::FAILURE;
        }
    };
    measure(&chosen, &arguments.results)
}

fn look_at(program: &str) -> ExitCode {
    match figures::look_at(program) {
        Ok(lines) => {
            lines.iter().for_each(|line| println!("{line}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("anet-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn choose(only: &[String]) -> Result<Vec<&'static Bench>, String> {
    let is_meant = |bench: &Bench, name: &str| bench.name == name || bench.figures.contains(&name);
    if let Some(unknown) = only
        .iter()
        .find(|name| !BENCHES.iter().any(|b| is_meant(b, name)))
    {
        return Err(unknown.clone());
    }
    let wanted = |bench: &&Bench| only.is_empty() || only.iter().any(|name| is_meant(bench, name));
    Ok(BENCHES.iter().filter(wanted).collect())
}

/// On a thread of its own: some benches keep to one processor, and so would all that they start and all that come after them.
fn on_its_own(bench: &Bench) -> Result<Vec<Figure>, BenchError> {
    let outcome = std::thread::scope(|scope| scope.spawn(bench.run).join());
    outcome.unwrap_or_else(|_| Err(BenchError::Void("it panicked".to_owned())))
}

fn measure(benches: &[&'static Bench], results: &Path) -> ExitCode {
    let mut figures = Vec::new();
    let mut failed = false;
    for bench in benches {
        let started = Instant::now();
        match on_its_own(bench) {
            Ok(measured) => {
                measured.iter().for_each(|figure| println!("{figure}"));
                figures.extend(measured);
            }
            Err(error) => {
                failed = true;
                eprintln!("anet-bench: {} was not measured: {error}", bench.name);
            }
        }
        eprintln!(
            "anet-bench: {} took {:.1} s",
            bench.name,
            started.elapsed().as_secs_f64()
        );
    }
    if let Err(error) = write(results, &figures) {
        eprintln!("anet-bench: {} was not written: {error}", results.display());
        failed = true;
    }
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn write(path: &Path, figures: &[Figure]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let lines: Vec<String> = figures.iter().map(|f| format!("  {}", f.to_json())).collect();
    fs::write(path, format!("[\n{}\n]\n", lines.join(",\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bench_that_keeps_to_one_processor_keeps_no_other_one_there() {
        let processors = || std::thread::available_parallelism().map(usize::from).unwrap_or(1);
        let before = processors();
        let kept = Bench {
            name: "kept",
            figures: &[],
            run: || {
                anet_memory::cpu::pin(0).map_err(BenchError::system("keep to one processor"))?;
                Ok(Vec::new())
            },
        };
        assert!(on_its_own(&kept).is_ok());
        assert_eq!(processors(), before);
    }

    #[test]
    fn a_figure_or_a_bench_is_chosen_by_name() {
        assert_eq!(choose(&[]).map(|all| all.len()), Ok(BENCHES.len()));
        let one = choose(&["two_workers_vs_one".to_owned()]).map(|c| c.len());
        assert_eq!(one, Ok(1));
        assert_eq!(
            choose(&["nonsense".to_owned()]).map(|c| c.len()),
            Err("nonsense".to_owned())
        );
    }
}
