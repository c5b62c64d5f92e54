//! `anet-sim`: runs seeds of the simulation by hand.

use std::process::ExitCode;

use anet_sim::defect::Defect;
use anet_sim::run::{Size, run};
use clap::Parser;

/// Runs seeds of the simulated fabric; the first one that fails ends it.
#[derive(Debug, Parser)]
#[command(name = "anet-sim", version)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many.
    #[arg(long, default_value_t = 1)]
    count: u64,
    /// Rounds of trouble and quiet in each.
    #[arg(long, default_value_t = Size::default().rounds)]
    rounds: usize,
    /// Hosts.
    #[arg(long, default_value_t = Size::default().hosts)]
    hosts: usize,
    /// Controllers.
    #[arg(long, default_value_t = Size::default().controllers)]
    controllers: usize,
    /// Milliseconds that each time of trouble lasts.
    #[arg(long, default_value_t = Size::default().trouble_ms)]
    trouble_ms: u64,
    /// Plants a defect, by its number.
    #[arg(long)]
    defect: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let size = Size {
        controllers: arguments.controllers.max(1),
        hosts: arguments.hosts.clamp(1, 100),
        rounds: arguments.rounds,
        trouble_ms: arguments.trouble_ms,
    };
    let defect = arguments
        .defect
        .and_then(|number| Defect::PLANTED.get(number).copied());
    for seed in arguments.seed..arguments.seed.saturating_add(arguments.count) {
        match run(seed, size, defect.unwrap_or_default()) {
            Ok(outcome) => println!("seed {seed}: ok, {outcome:?}"),
            Err(violation) => {
                eprintln!("seed {seed}: {violation}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
