//! Taking a lab down, whatever is left of it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::daemon::STOPPING;
use super::identity::ProcessIdentity;
use super::place::Place;
use super::state::{Phase, State};
use crate::{LabError, Namespace, output_of};

/// How long a maker that was told to stop may take to take down what it made.
const MAKER: Duration = Duration::from_secs(10);
/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(10);

/// Removes a lab: its processes, namespaces, interface and folder. False where there was nothing of it. Nothing that its
/// files say is relied on but the identity of a maker that is still at work, which is told to stop first.
pub fn remove(place: &Place) -> Result<bool, LabError> {
    if !place.exists() {
        return Ok(false);
    }
    stop_maker(place);
    // Whoever changes it finishes first; what cannot be locked cannot be changed either.
    let lock = place.lock();
    remove_all(place)?;
    drop(lock);
    Ok(true)
}

/// From now on this process makes nothing more.
pub fn stop_making() {
    STOPPING.store(true, Ordering::SeqCst);
}

/// As [`remove`], by the one who holds the lock or does not need it.
pub fn remove_all(place: &Place) -> Result<(), LabError> {
    let started = Instant::now();
    loop {
        let interface = place.interface();
        if Path::new("/sys/class/net").join(&interface).exists() {
            // It may go by itself meanwhile.
            let _ = output_of(Command::new("ip").args(["link", "delete", &interface]));
        }
        let names = place.namespaces();
        if names.is_empty() {
            break;
        }
        let inside = processes_in(&names);
        for process in &inside {
            process.signal(Signal::SIGKILL);
        }
        inside.iter().for_each(|process| wait_end(*process, started));
        // A killed process may have started another one just before.
        if processes_in(&names).is_empty() {
            for name in &names {
                Namespace::standing(name.clone()).remove();
            }
        }
        if started.elapsed() > PATIENCE {
            return Err(LabError::Timeout {
                what: format!("the end of lab `{}` ({})", place.name(), names.join(", ")),
                waited: started.elapsed(),
            });
        }
    }
    match fs::remove_dir_all(place.folder()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(LabError::io(format!(
            "remove {}",
            place.folder().display()
        ))(error)),
        _ => Ok(()),
    }
}

fn stop_maker(place: &Place) {
    let Ok(state) = State::read(place) else { return };
    let Some(maker) = state.maker.filter(|_| state.phase == Phase::Building) else {
        return;
    };
    if Some(maker) == ProcessIdentity::own() {
        return;
    }
    maker.signal(Signal::SIGTERM);
    let started = Instant::now();
    while maker.is_alive() && started.elapsed() < MAKER {
        std::thread::sleep(PAUSE);
    }
    maker.signal(Signal::SIGKILL);
}

fn wait_end(process: ProcessIdentity, started: Instant) {
    while process.is_alive() && started.elapsed() < PATIENCE {
        process.reap();
        std::thread::sleep(PAUSE / 5);
    }
    process.reap();
}

/// Every process in one of these namespaces, ourselves apart.
fn processes_in(names: &[String]) -> Vec<ProcessIdentity> {
    let number = |path: &Path| fs::metadata(path).ok().map(|data| (data.dev(), data.ino()));
    let paths = names.iter().map(|name| Namespace::standing(name.clone()).path());
    let wanted: BTreeSet<(u64, u64)> = paths.filter_map(|path| number(&path)).collect();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let inside = entries.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let own = number(&entry.path().join("ns/net"))?;
        (wanted.contains(&own) && pid != std::process::id()).then_some(pid)
    });
    inside.filter_map(ProcessIdentity::of).collect()
}
