//! What `anet lab` can be asked: one file for each.
//!
//! Words on a command line are the business of whoever calls this; here they are [`Command`]s.

mod daemons;
mod down;
mod exec;
mod logs;
mod report;
mod up;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::LabError;
use crate::standing::{Place, State, move_guest};

/// Something that is asked of labs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make the lab that a file describes.
    Up {
        /// The file.
        file: PathBuf,
        /// Stay until Ctrl-C, and take the lab down then.
        foreground: bool,
        /// Where it cannot be made, leave what there is for a look.
        keep: bool,
    },
    /// What a lab's parts are doing.
    Status {
        /// For programs.
        json: bool,
    },
    /// Run a command in a guest, host or machine.
    Exec {
        /// Which.
        member: String,
        /// Program and arguments.
        command: Vec<OsString>,
    },
    /// Move a guest to another host.
    Move {
        /// The guest.
        guest: String,
        /// The host.
        host: String,
    },
    /// Do something to daemons.
    Daemons {
        /// What.
        action: Action,
        /// Which kind.
        kind: Kind,
        /// On which host; on all where nothing is said. Not for the controller.
        host: Option<String>,
    },
    /// Show what daemons wrote.
    Logs {
        /// Which kind; all where nothing is said.
        kind: Option<Kind>,
        /// On which host; on all where nothing is said.
        host: Option<String>,
        /// How many lines of each.
        lines: usize,
    },
    /// Which labs there are.
    List,
    /// Take labs down.
    Down {
        /// Which; the only one where nothing is said.
        name: Option<String>,
        /// All of them.
        all: bool,
    },
}

/// What can be done to a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start it, and wait until it answers.
    Start,
    /// Ask it to end.
    Stop,
    /// `kill -9`.
    Kill,
    /// Stop it by a signal, so that it does nothing and keeps everything.
    Pause,
    /// Let it go on.
    Resume,
}

/// A kind of daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `anet-controller`.
    Controller,
    /// `anet-agent`.
    Agent,
    /// `anet-vswitch`.
    Vswitch,
}

/// Does what is asked, of the lab of that name or of the only one. What there is to say goes to standard output; the answer is
/// the program's exit status.
pub fn run(lab: Option<&str>, command: Command) -> Result<u8, LabError> {
    if !crate::is_root() {
        return Err(LabError::Refused(
            "labs need root, for network namespaces: sudo anet lab …".to_owned(),
        ));
    }
    match command {
        Command::Up {
            file,
            foreground,
            keep,
        } => up::up(&file, foreground, keep),
        Command::Status { json } => report::status(&Place::choose(lab)?, json),
        Command::Exec { member, command } => exec::exec(&Place::choose(lab)?, &member, &command),
        Command::Move { guest, host } => {
            let place = Place::choose(lab)?;
            let _lock = place.lock()?;
            let moved = move_guest(&place, &mut State::read(&place)?, &guest, &host)?;
            tell(format_args!(
                "{guest} {} {host}",
                if moved { "is now on" } else { "is already on" }
            ));
            Ok(0)
        }
        Command::Daemons { action, kind, host } => {
            daemons::act(&Place::choose(lab)?, action, kind, host.as_deref())
        }
        Command::Logs { kind, host, lines } => logs::logs(&Place::choose(lab)?, kind, host.as_deref(), lines),
        Command::List => report::list(),
        Command::Down { name, all } => down::down(name.as_deref().or(lab), all),
    }
}

/// Writes a line to standard output. A reader that went away (`| head`) has seen what it wanted.
fn tell(line: std::fmt::Arguments<'_>) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
