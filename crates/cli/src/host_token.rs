//! `anet host token`: with what a host joins.

use anet_api::hosts::{HostToken, HostTokenRequest, TOKENS_PATH};
use clap::{Arg, ArgMatches, Command, value_parser};

use crate::error::CliError;
use crate::noun::text;
use crate::{Session, output};

pub(crate) fn command() -> Command {
    Command::new("token")
        .about("Make a token with which one host can join, once: `anet-agent join TOKEN` on the host")
        .arg(
            Arg::new("name")
                .value_name("NAME")
                .conflicts_with("host")
                .help("The only name that a host may join as with it"),
        )
        .arg(
            Arg::new("host")
                .long("host")
                .value_name("NAME")
                .help("The same, as a flag"),
        )
        .arg(
            Arg::new("valid-for")
                .long("valid-for")
                .value_name("SECONDS")
                .value_parser(value_parser!(u64))
                .help("How long it is of use [default: a day]"),
        )
}

pub(crate) fn run(session: &mut Session<'_>, matches: &ArgMatches) -> Result<u8, CliError> {
    let named = ["name", "host"].map(|argument| text(matches, argument));
    let request = HostTokenRequest {
        host: named
            .into_iter()
            .find(|name| !name.is_empty())
            .map(str::to_string),
        valid_for_s: matches.get_one("valid-for").copied(),
    };
    let token: HostToken = session.client.post(TOKENS_PATH, &request)?;
    if !output::for_programs(session, &token)? {
        // Alone on its line, so that it can be piped.
        writeln!(session.out, "{}", output::line(&token.token))?;
    }
    Ok(0)
}
