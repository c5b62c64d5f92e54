//! `anet-sim`: runs seeds of the simulation by hand.

use std::process::ExitCode;

use anet_sim::defect::Defect;
use anet_sim::log::Log;
use anet_sim::run::{Size, run_with};
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
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..Defect::PLANTED.len() as i64))]
    defect: Option<u8>,
}

impl Arguments {
    /// The command that runs one seed again.
    fn replay(&self, seed: u64, size: Size) -> String {
        let Size {
            controllers,
            hosts,
            rounds,
            trouble_ms,
        } = size;
        let size = format!(
            "--controllers {controllers} --hosts {hosts} --rounds {rounds} --trouble-ms {trouble_ms}"
        );
        let defect = self.defect.map(|number| format!(" --defect {number}"));
        format!("anet-sim --seed {seed} {size}{}", defect.unwrap_or_default())
    }
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
        .and_then(|number| Defect::PLANTED.get(usize::from(number)).copied());
    for seed in arguments.seed..arguments.seed.saturating_add(arguments.count) {
        let log = Log::default();
        match run_with(seed, size, defect.unwrap_or_default(), &log) {
            Ok(outcome) => println!("seed {seed}: ok, {outcome}"),
            Err(violation) => {
                log.lines().iter().for_each(|line| eprintln!("{line}"));
                eprintln!("seed {seed}: {violation}");
                eprintln!("replay: {}", arguments.replay(seed, size));
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
