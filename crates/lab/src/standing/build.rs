//! Making a lab, from nothing to guests with addresses.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::daemon::{self, Who, go_on, wait_ready};
use super::place::{Lock, Place};
use super::rest::Rest;
use super::state::{Phase, State};
use super::{address, guest, management, objects, programs, removal, underlay};
use crate::description::Description;
use crate::{LabError, Namespace, missing_for, output_of, wait_for};

/// How long a daemon may take until it answers.
const DAEMON: Duration = Duration::from_secs(15);
/// How long all hosts may take until they have applied what was asked for.
const APPLIED: Duration = Duration::from_secs(30);
/// Bytes of the longest path of a socket.
const SOCKET_PATH: usize = 107;
/// Tools that a lab runs.
const TOOLS: [&str; 6] = ["dhclient", "unshare", "setsid", "sysctl", "ping", "bridge"];

/// Makes a lab and says what it does. It is whole when this returns; after an error, what is there is for
/// [`super::remove_all`].
pub fn build(place: &Place, description: Description, say: &mut dyn FnMut(&str)) -> Result<State, LabError> {
    if let Some(reason) = missing_for(&TOOLS) {
        return Err(LabError::Refused(format!("a lab {reason}")));
    }
    programs::find_all()?;
    say("namespaces and wires");
    let (_lock, mut state) = prepare(place, description)?;
    say("controller");
    start_controller(place, &mut state)?;
    let rest = Rest::of(place)?;
    say("hosts");
    start_hosts(place, &mut state, &rest)?;
    say("networks, groups and ports");
    state.guests = objects::create(&rest, &state.description)?;
    state.write(place)?;
    say("guests");
    start_guests(place, &state)?;
    wait_for(
        "all hosts to have applied their plans",
        APPLIED,
        || match go_on().and_then(|()| rest.behind()) {
            Ok(behind) => behind.is_empty().then_some(Ok(())),
            Err(error) => Some(Err(error)),
        },
    )??;
    state.phase = Phase::Ready;
    state.write(place)?;
    Ok(state)
}

/// Makes all of a lab but its daemons: folder, namespaces, wires, the guests' interfaces.
pub fn prepare(place: &Place, description: Description) -> Result<(Lock, State), LabError> {
    let (lock, state) = begin(place, description)?;
    wire_up(place, &state)?;
    Ok((lock, state))
}

/// Makes the lab's folder, and writes down what is going to be made.
fn begin(place: &Place, description: Description) -> Result<(Lock, State), LabError> {
    let abandoned = State::read(place).is_ok_and(|state| {
        state.phase == Phase::Building && !state.maker.is_some_and(|maker| maker.is_alive())
    });
    if abandoned {
        removal::remove(place)?;
    }
    sockets_fit(place, &description)?;
    place.make_home()?;
    if !place.namespaces().is_empty() {
        return Err(is_there(place));
    }
    let _home = place.lock_home()?;
    match fs::create_dir(place.folder()) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Err(is_there(place)),
        made => made.map_err(LabError::io(format!("make folder {}", place.folder().display())))?,
    }
    let lock = place.lock()?;
    let state = State::new(description, address::choose(place)?);
    state.write(place)?;
    Ok((lock, state))
}

/// A path of a socket has a bound (unix(7)), which a long path of labs would pass.
fn sockets_fit(place: &Place, lab: &Description) -> Result<(), LabError> {
    let paths = lab
        .hosts
        .names()
        .map(|host| programs::vswitch_socket(place, host));
    match paths.max_by_key(|path| path.as_os_str().len()) {
        Some(path) if path.as_os_str().len() > SOCKET_PATH => Err(LabError::Refused(format!(
            "{} is longer than the {SOCKET_PATH} bytes that a socket's path has: choose a shorter folder for labs \
             (ANET_LABS), or shorter names",
            path.display()
        ))),
        _ => Ok(()),
    }
}

fn is_there(place: &Place) -> LabError {
    let name = place.name();
    LabError::Refused(format!(
        "lab `{name}` is there already, or what is left of it: `anet lab down {name}` takes it down"
    ))
}

fn wire_up(place: &Place, state: &State) -> Result<(), LabError> {
    let lab = &state.description;
    let members = lab.hosts.names().chain(lab.machines.names());
    for name in std::iter::once("controller").chain(members) {
        go_on()?;
        place.namespace(name).make()?;
        let folder = place.member_folder(name);
        // The controller makes its own.
        if name != "controller" {
            fs::create_dir(&folder).map_err(LabError::io(format!("make folder {}", folder.display())))?;
        }
    }
    underlay::build(place, lab)?;
    management::build(place, state)?;
    for guest in lab.guests() {
        let folder = place.member_folder(guest.name);
        fs::create_dir(&folder).map_err(LabError::io(format!("make folder {}", folder.display())))?;
        guest::make(place, guest.name)?;
    }
    Ok(())
}

fn start_controller(place: &Place, state: &mut State) -> Result<(), LabError> {
    go_on()?;
    output_of(&mut programs::init_command(place, state)?)?;
    programs::write_client_file(place, state)?;
    start_ready(place, state, &Who::Controller)
}

/// Starts a daemon where it does not run, and waits until it answers.
pub fn start_ready(place: &Place, state: &mut State, who: &Who) -> Result<(), LabError> {
    daemon::start(place, state, who)?;
    let Some(process) = state.process(who) else {
        return Ok(());
    };
    let (name, log) = (who.to_string(), place.log_file(who));
    wait_ready((&name, process, &log), DAEMON, || {
        let answers = match who {
            Who::Controller => Rest::of(place).is_ok_and(|rest| rest.answers()),
            Who::Agent(host) => connects(&programs::agent_socket(place, host)),
            Who::Vswitch(host) => connects(&programs::vswitch_socket(place, host)),
        };
        answers.then_some(())
    })
}

fn connects(socket: &Path) -> bool {
    UnixStream::connect(socket).is_ok()
}

fn start_hosts(place: &Place, state: &mut State, rest: &Rest) -> Result<(), LabError> {
    let links = state.description.links().map_err(LabError::Refused)?;
    let hosts: Vec<String> = state.description.hosts.names().map(str::to_owned).collect();
    for host in &hosts {
        daemon::start(place, state, &Who::Vswitch(host.clone()))?;
    }
    let tunnels = links.iter().map(|link| (link.member.as_str(), link.address));
    let tunnels = tunnels.filter(|(member, _)| hosts.iter().any(|host| host == member));
    each(tunnels, |(host, tunnel)| {
        let token = rest.host_token(host)?;
        programs::join(place, host, &token, &tunnel.to_string())
    })?;
    for host in &hosts {
        start_ready(place, state, &Who::Vswitch(host.clone()))?;
        daemon::start(place, state, &Who::Agent(host.clone()))?;
    }
    for host in hosts {
        start_ready(place, state, &Who::Agent(host))?;
    }
    Ok(())
}

fn start_guests(place: &Place, state: &State) -> Result<(), LabError> {
    each(state.description.guests(), |guest| {
        go_on()?;
        let made = state.guest(guest.name)?;
        let namespace: Namespace = place.namespace(guest.name);
        guest::bring_up(&namespace, made)?;
        programs::attach(place, &made.host, &made.port, &namespace.path())?;
        guest::configure(place, &state.description, guest, made)
    })
}

/// Does the same for each at the same time; the first error, if any.
fn each<T: Send>(
    items: impl Iterator<Item = T>,
    work: impl Fn(T) -> Result<(), LabError> + Sync,
) -> Result<(), LabError> {
    std::thread::scope(|scope| {
        let work = &work;
        let working: Vec<_> = items.map(|item| scope.spawn(move || work(item))).collect();
        let joined = working.into_iter().map(|thread| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        // All of them are waited for, whatever the first one says.
        joined.collect::<Vec<_>>().into_iter().collect()
    })
}
