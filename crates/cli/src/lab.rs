//! `anet lab`: whole fabrics on this machine. The words are here; what they do is `anet_lab`'s.

use std::ffi::OsString;
use std::path::PathBuf;

use anet_lab::commands::{self, Action, Command as Asked, Kind};
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::error::CliError;
use crate::noun::text;
use crate::output::Format;

/// Lines of each log that are shown.
const LINES: &str = "100";
const KINDS: [(&str, Kind); 3] = [
    ("controller", Kind::Controller),
    ("agent", Kind::Agent),
    ("vswitch", Kind::Vswitch),
];
const ACTIONS: [(&str, Action, &str); 5] = [
    (
        "start",
        Action::Start,
        "Start daemons, and wait until they answer",
    ),
    ("stop", Action::Stop, "Ask daemons to end"),
    ("kill", Action::Kill, "End daemons by kill -9"),
    (
        "pause",
        Action::Pause,
        "Stop daemons by a signal: they keep all and do nothing",
    ),
    ("resume", Action::Resume, "Let paused daemons go on"),
];

pub(crate) fn command() -> Command {
    let daemons = ACTIONS.map(|(word, _, about)| {
        Command::new(word)
            .about(about)
            .arg(kind().required(true))
            .arg(host())
    });
    Command::new("lab")
        .about("A whole fabric on this machine: hosts and guests are network namespaces")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(up())
        .subcommand(Command::new("status").about("What its parts are doing"))
        .subcommand(exec())
        .subcommand(
            Command::new("move")
                .about("Move a guest to another host")
                .arg(Arg::new("guest").value_name("GUEST").required(true))
                .arg(host().required(true)),
        )
        .subcommands(daemons)
        .subcommand(logs())
        .subcommand(Command::new("list").about("Which labs there are"))
        .subcommand(down())
}

fn kind() -> Arg {
    Arg::new("kind")
        .value_name("KIND")
        .value_parser(PossibleValuesParser::new(KINDS.map(|(word, _)| word)))
        .help("Which daemons")
}

fn host() -> Arg {
    Arg::new("host")
        .value_name("HOST")
        .help("On this host; on all where none is given")
}

fn up() -> Command {
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    Command::new("up")
        .about("Make the lab that a file describes; done when it is ready")
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(switch("foreground", "Stay until Ctrl-C, and take it down then"))
        .arg(switch(
            "keep",
            "Where it cannot be made, leave what there is for a look",
        ))
}

fn exec() -> Command {
    Command::new("exec")
        .about("Run a command in a guest, a host, or a machine of the lab")
        .arg(Arg::new("member").value_name("MEMBER").required(true))
        .arg(
            Arg::new("command")
                .value_name("COMMAND")
                .required(true)
                .num_args(1..)
                .last(true)
                .value_parser(value_parser!(OsString)),
        )
}

fn logs() -> Command {
    Command::new("logs")
        .about("What daemons wrote")
        .arg(kind())
        .arg(host())
        .arg(
            Arg::new("lines")
                .short('n')
                .long("lines")
                .value_name("N")
                .default_value(LINES)
                .value_parser(value_parser!(u64).range(1..=1_000_000))
                .help("The last so many of each"),
        )
}

fn down() -> Command {
    Command::new("down")
        .about("Take a lab down; nothing is left of it")
        .arg(Arg::new("name").value_name("NAME"))
        .arg(
            Arg::new("all")
                .long("all")
                .action(ArgAction::SetTrue)
                .conflicts_with("name")
                .help("All of them"),
        )
}

/// Does what is asked; `global` has the options that stand before the command.
pub(crate) fn run(global: &ArgMatches, matches: &ArgMatches) -> Result<u8, CliError> {
    let lab = global.get_one::<String>("lab").map(String::as_str);
    let format = global.get_one::<Format>("output").copied().unwrap_or_default();
    let (word, inner) = matches.subcommand().unwrap_or(("", matches));
    let asked = asked(word, inner, format)?;
    Ok(commands::run(lab, asked)?)
}

fn asked(word: &str, matches: &ArgMatches, format: Format) -> Result<Asked, CliError> {
    let flag = |name: &str| matches.get_flag(name);
    let owned = |name: &str| text(matches, name).to_string();
    let host = || matches.get_one::<String>("host").cloned();
    Ok(match word {
        "up" => Asked::Up {
            file: matches.get_one::<PathBuf>("file").cloned().unwrap_or_default(),
            foreground: flag("foreground"),
            keep: flag("keep"),
        },
        "status" => Asked::Status {
            json: for_programs(format)?,
        },
        "exec" => Asked::Exec {
            member: owned("member"),
            command: matches.get_many("command").unwrap_or_default().cloned().collect(),
        },
        "move" => Asked::Move {
            guest: owned("guest"),
            host: owned("host"),
        },
        "logs" => Asked::Logs {
            kind: kind_of(matches),
            host: host(),
            lines: usize::try_from(matches.get_one::<u64>("lines").copied().unwrap_or_default())
                .unwrap_or(usize::MAX),
        },
        "list" => Asked::List,
        "down" => Asked::Down {
            name: matches.get_one::<String>("name").cloned(),
            all: flag("all"),
        },
        word => {
            let action = ACTIONS.iter().find(|(known, ..)| *known == word);
            match (action, kind_of(matches)) {
                (Some((_, action, _)), Some(kind)) => Asked::Daemons {
                    action: *action,
                    kind,
                    host: host(),
                },
                _ => return Err(CliError::Usage(format!("`lab {word}` is not a command"))),
            }
        }
    })
}

fn kind_of(matches: &ArgMatches) -> Option<Kind> {
    let word = text(matches, "kind");
    KINDS
        .iter()
        .find(|(known, _)| *known == word)
        .map(|(_, kind)| *kind)
}

fn for_programs(format: Format) -> Result<bool, CliError> {
    match format {
        Format::Table => Ok(false),
        Format::Json => Ok(true),
        Format::Yaml => Err(CliError::Usage("labs have no YAML: give -o json".to_string())),
    }
}

#[cfg(test)]
mod tests {
    use anet_lab::commands::{Action, Command as Asked, Kind};

    use crate::output::Format;

    fn asked(line: &str) -> Asked {
        let words = std::iter::once("anet").chain(line.split(' '));
        let matches = crate::command::command().try_get_matches_from(words).unwrap();
        let (_, lab) = matches.subcommand().unwrap();
        let (word, inner) = lab.subcommand().unwrap();
        super::asked(word, inner, Format::Json).unwrap()
    }

    #[test]
    fn words_become_what_the_lab_is_asked() {
        let up = Asked::Up {
            file: "a.yaml".into(),
            foreground: true,
            keep: false,
        };
        assert_eq!(asked("lab up a.yaml --foreground"), up);
        assert_eq!(asked("lab status"), Asked::Status { json: true });
        let exec = Asked::Exec {
            member: "web1".to_string(),
            command: ["ping", "-c", "1", "10.0.0.1"].map(Into::into).to_vec(),
        };
        assert_eq!(asked("lab exec web1 -- ping -c 1 10.0.0.1"), exec);
        let kill = Asked::Daemons {
            action: Action::Kill,
            kind: Kind::Vswitch,
            host: Some("h1".to_string()),
        };
        assert_eq!(asked("lab kill vswitch h1"), kill);
        let logs = Asked::Logs {
            kind: Some(Kind::Agent),
            host: None,
            lines: 5,
        };
        assert_eq!(asked("lab logs agent -n 5"), logs);
        let down = Asked::Down {
            name: None,
            all: true,
        };
        assert_eq!(asked("lab down --all"), down);
    }
}
