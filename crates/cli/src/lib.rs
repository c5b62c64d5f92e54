//! `anet`: what operators and users type. It asks the API and shows the answer; it knows and decides nothing by itself.
//!
//! [`command`] has the words of the command line, most of them made of the API's table of attributes; [`noun`] is what can be
//! done with each kind of object; [`output`] how answers look. Exit status: 0 done; 1 not done, with one line that says why; 2 not
//! understood.

mod command;
mod error;
mod events;
mod flag;
mod health;
mod host_token;
mod lab;
mod noun;
mod output;
mod resolve;
mod trace;
mod value;

use std::ffi::OsString;
use std::io::Write;

use anet_api::client::{Client, Configuration, Place};
use clap::ArgMatches;
use clap::error::ErrorKind;

use error::CliError;
use output::Format;

/// Runs a command line; `arguments` begin with the program's name. Answers the exit status.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, errors: &mut dyn Write) -> u8 {
    let matches = match command::command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return not_understood(&error, out, errors),
    };
    match dispatch(&matches, out) {
        Ok(status) => status,
        // Whoever reads the answer has seen enough.
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => 0,
        Err(error) => {
            // There is nobody left to tell where this fails.
            let _ = writeln!(errors, "anet: {}", output::line(&error.to_string()));
            error.status()
        }
    }
}

fn not_understood(error: &clap::Error, out: &mut dyn Write, errors: &mut dyn Write) -> u8 {
    let text = error.render().to_string();
    let (written, status) = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => (out.write_all(text.as_bytes()), 0),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => (errors.write_all(text.as_bytes()), 2),
        _ => (writeln!(errors, "anet: {}", first_paragraph(&text)), 2),
    };
    // There is nobody left to tell where this fails.
    drop(written);
    status
}

/// What is wrong, on one line; how the command is used is its help's to say.
fn first_paragraph(text: &str) -> String {
    let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    let words = lines.collect::<Vec<_>>().join(" ");
    let what = words.strip_prefix("error: ").unwrap_or(&words);
    let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    let tip = tip.map(|tip| format!("; {tip}")).unwrap_or_default();
    format!("{}{}; --help shows more", output::line(what), output::line(&tip))
}

/// What a command has to work with.
struct Session<'a> {
    client: Client,
    format: Format,
    out: &'a mut dyn Write,
}

fn dispatch(matches: &ArgMatches, out: &mut dyn Write) -> Result<u8, CliError> {
    let (word, inner) = matches.subcommand().unwrap_or(("", matches));
    if word == "lab" {
        return lab::run(matches, inner);
    }
    let place = Place {
        file: matches.get_one::<std::path::PathBuf>("config").cloned(),
        lab: matches.get_one::<String>("lab").cloned(),
    };
    let mut session = Session {
        client: Client::new(&Configuration::discover(&place)?)?,
        format: matches.get_one::<Format>("output").copied().unwrap_or_default(),
        out,
    };
    match word {
        "trace" => trace::run(&mut session, inner),
        "health" => health::run(&mut session),
        "events" => events::run(&mut session, inner),
        word => noun::run(&mut session, word, inner),
    }
}
