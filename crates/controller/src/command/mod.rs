//! The daemon's own commands.

pub mod init;
pub mod run;
pub mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::configuration::Options;
use crate::error::StartError;
use crate::files::{DATA, Folder, is_there};

/// Where networks are defined: the API, the store, and the hosts' plans.
#[derive(Debug, Parser)]
#[command(name = "anet-controller", version)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a new controller's data folder: store, certificate authority, administrator's token
    Init(Init),
    /// Run
    Run(Run),
    /// Make a token for the API
    Token(Token),
}

#[derive(Debug, clap::Args)]
struct Init {
    /// Folder to be made
    #[arg(long, value_name = "FOLDER", default_value = DATA)]
    data: PathBuf,
    /// The cluster's id; a random one without
    #[arg(long, value_name = "ID")]
    cluster: Option<String>,
    /// Write what the CLI needs there too [default: /etc/anet/client.json where the data is in its usual place]
    #[arg(long, value_name = "FILE")]
    client_config: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, clap::Args)]
struct Run {
    /// The data folder
    #[arg(long, value_name = "FOLDER", default_value = DATA)]
    data: PathBuf,
    /// Settings; controller.toml of the data folder without
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, clap::Args)]
struct Token {
    /// The data folder
    #[arg(long, value_name = "FOLDER", default_value = DATA)]
    data: PathBuf,
    /// The project it belongs to; none for a token that is the administrator's only
    #[arg(long, value_name = "ID")]
    project: Option<String>,
    /// What it may
    #[arg(long, value_name = "ROLE", default_value = "member", value_parser = ["member", "admin"])]
    role: String,
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let done = match Line::parse().command {
        Command::Init(init) => init::init(
            &Folder::new(&init.data),
            init.cluster,
            init.client_config,
            init.options,
        ),
        Command::Run(run) => started(run),
        Command::Token(token) => token::make(&Folder::new(token.data), token.project.as_deref(), &token.role),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("anet-controller: {error}");
            ExitCode::FAILURE
        }
    }
}

fn started(run: Run) -> Result<(), StartError> {
    let folder = Folder::new(&run.data);
    folder.must_be_made()?;
    let file = match run.config {
        Some(file) => Options::of_file(&file)?,
        None if is_there(&folder.configuration())? => Options::of_file(&folder.configuration())?,
        None => Options::default(),
    };
    run::run(crate::configuration::Configuration::new(
        run.data,
        run.options.or(file),
    )?)
}
