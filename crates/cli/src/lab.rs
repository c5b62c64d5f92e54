//! `anet lab`: its words on the command line. What they mean is the business of [`anet_lab::commands`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anet_lab::commands::{self, Action, Command, Kind};
use clap::{Args, Subcommand, ValueEnum};

/// A whole fabric on this machine: hosts, guests, the real daemons. Needs root.
#[derive(Debug, Args)]
pub struct LabArguments {
    /// The lab that is meant, where several are up.
    #[arg(long, value_name = "NAME", global = true)]
    lab: Option<String>,
    #[command(subcommand)]
    word: Word,
}

#[derive(Debug, Subcommand)]
enum Word {
    /// Make the lab that a file describes, and return when it is ready.
    Up {
        /// The file, such as examples/two-hosts.yaml.
        file: PathBuf,
        /// Stay until Ctrl-C, and take the lab down then.
        #[arg(long)]
        foreground: bool,
        /// Where it cannot be made, leave what there is for a look.
        #[arg(long)]
        keep: bool,
    },
    /// What a lab's daemons and guests are doing.
    Status {
        /// How to print.
        #[arg(short, long, value_enum, default_value = "table")]
        output: Output,
    },
    /// Run a command in a guest, host or machine; its exit status is ours.
    Exec {
        /// Which.
        #[arg(value_name = "GUEST")]
        member: String,
        /// Program and arguments.
        #[arg(required = true, last = true)]
        command: Vec<OsString>,
    },
    /// Move a guest to another host.
    Move {
        /// The guest.
        guest: String,
        /// The host.
        host: String,
    },
    /// Start daemons that do not run, and wait until they answer.
    Start(Daemons),
    /// Ask daemons to end.
    Stop(Daemons),
    /// End daemons by `kill -9`.
    Kill(Daemons),
    /// Let daemons stand still, as a hanging machine would.
    Pause(Daemons),
    /// Let paused daemons go on.
    Resume(Daemons),
    /// Show the last lines that daemons wrote.
    Logs {
        /// Which kind; all unless given.
        #[arg(value_enum)]
        who: Option<Daemon>,
        /// On which host; on all unless given.
        host: Option<String>,
        /// How many lines of each.
        #[arg(short = 'n', long, default_value_t = 20)]
        lines: usize,
    },
    /// Which labs are up.
    List,
    /// Take a lab down, or what is left of one: processes, namespaces, files.
    Down {
        /// Its name; the only one unless given.
        name: Option<String>,
        /// Every lab.
        #[arg(long, conflicts_with = "name")]
        all: bool,
    },
}

#[derive(Debug, Args)]
struct Daemons {
    /// Which kind.
    #[arg(value_enum)]
    who: Daemon,
    /// On which host; on all unless given.
    host: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Daemon {
    Controller,
    Agent,
    Vswitch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

impl From<Daemon> for Kind {
    fn from(daemon: Daemon) -> Self {
        match daemon {
            Daemon::Controller => Self::Controller,
            Daemon::Agent => Self::Agent,
            Daemon::Vswitch => Self::Vswitch,
        }
    }
}

/// Does what is asked and tells what went wrong.
pub fn run(arguments: LabArguments) -> ExitCode {
    match commands::run(arguments.lab.as_deref(), command_of(arguments.word)) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            for line in error.to_string().lines() {
                eprintln!("anet lab: {line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn command_of(word: Word) -> Command {
    let daemons = |action, daemons: Daemons| Command::Daemons {
        action,
        kind: daemons.who.into(),
        host: daemons.host,
    };
    match word {
        Word::Up {
            file,
            foreground,
            keep,
        } => Command::Up {
            file,
            foreground,
            keep,
        },
        Word::Status { output } => Command::Status {
            json: output == Output::Json,
        },
        Word::Exec { member, command } => Command::Exec { member, command },
        Word::Move { guest, host } => Command::Move { guest, host },
        Word::Start(who) => daemons(Action::Start, who),
        Word::Stop(who) => daemons(Action::Stop, who),
        Word::Kill(who) => daemons(Action::Kill, who),
        Word::Pause(who) => daemons(Action::Pause, who),
        Word::Resume(who) => daemons(Action::Resume, who),
        Word::Logs { who, host, lines } => Command::Logs {
            kind: who.map(Kind::from),
            host,
            lines,
        },
        Word::List => Command::List,
        Word::Down { name, all } => Command::Down { name, all },
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        lab: LabArguments,
    }

    fn parse(line: &str) -> Result<(Option<String>, Command), clap::Error> {
        let words = std::iter::once("lab").chain(line.split_whitespace());
        let line = Line::try_parse_from(words)?;
        Ok((line.lab.lab, command_of(line.lab.word)))
    }

    #[test]
    fn lines_become_commands() {
        let (lab, command) = parse("exec --lab demo web-1 -- ping -c 1 10.0.0.1").unwrap();
        assert_eq!(lab.as_deref(), Some("demo"));
        assert_eq!(
            command,
            Command::Exec {
                member: "web-1".to_owned(),
                command: ["ping", "-c", "1", "10.0.0.1"].map(OsString::from).into(),
            }
        );
        let (_, command) = parse("kill vswitch host-2").unwrap();
        assert_eq!(
            command,
            Command::Daemons {
                action: Action::Kill,
                kind: Kind::Vswitch,
                host: Some("host-2".to_owned()),
            }
        );
        let (_, command) = parse("up lab.yaml --foreground").unwrap();
        assert!(matches!(command, Command::Up { foreground: true, keep: false, .. }));
        for wrong in ["kill switch", "exec web-1", "down demo --all", "up"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
