//! DPDK's environment: started once in a process, when the first port asks for it.

use std::ffi::{CString, c_char, c_int};
use std::fs;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use anet_memory::buffer::Origin;

use super::DpdkError;
use super::buffer::Lender;
use super::shim::Shim;

/// Further arguments for EAL, see [`set_arguments`].
static ARGUMENTS: OnceLock<Vec<String>> = OnceLock::new();
static STATE: Mutex<State> = Mutex::new(State::NotYet);

enum State {
    NotYet,
    Running(&'static Environment),
    /// EAL cannot be started twice in one process.
    Failed(DpdkError),
}

/// Says what EAL is to be told beside what it is told anyhow, in its own words (`--no-huge`, `-d plugin.so`). Once, before
/// the first port is opened; later calls have no effect.
pub fn set_arguments(arguments: Vec<String>) {
    let _ = ARGUMENTS.set(arguments);
}

/// The running environment. Lives as long as the process.
#[derive(Debug)]
pub struct Environment {
    pub(super) shim: &'static Shim,
    lender: &'static Lender,
}

impl Environment {
    /// Starts DPDK where that has not been done. What is missing on the machine is asked again at the next call.
    pub fn get() -> Result<&'static Self, DpdkError> {
        let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Running(environment) => return Ok(environment),
            State::Failed(error) => return Err(error.clone()),
            State::NotYet => {}
        }
        let arguments = ARGUMENTS.get().cloned().unwrap_or_default();
        let wants_pages = !arguments.iter().any(|argument| argument == "--no-huge");
        let shim = Shim::load()?;
        if wants_pages && free_huge_pages(Path::new("/sys/kernel/mm/hugepages")) == 0 {
            return Err(DpdkError::NoHugePages);
        }
        match start(shim, arguments) {
            Ok(environment) => {
                *state = State::Running(environment);
                Ok(environment)
            }
            Err(error) => {
                *state = State::Failed(error.clone());
                Err(error)
            }
        }
    }

    /// DPDK's name and version.
    pub fn version(&self) -> String {
        self.shim.version()
    }

    /// Where the shim was found.
    pub fn shim_path(&self) -> &Path {
        &self.shim.path
    }

    /// Where buffers over mbufs go back to.
    pub(super) fn lender(&self) -> &'static Lender {
        self.lender
    }

    /// The same, as buffers have it.
    pub(super) fn origin(&self) -> std::ptr::NonNull<Origin> {
        self.lender.origin()
    }
}

/// Runs EAL's start on a thread of its own, because it binds the thread that calls it to processors.
fn start(shim: Shim, further: Vec<String>) -> Result<&'static Environment, DpdkError> {
    let shim: &'static Shim = Box::leak(Box::new(shim));
    let arguments = arguments(further);
    let run = move || {
        let arguments: Option<Vec<CString>> = arguments
            .into_iter()
            .map(|argument| CString::new(argument).ok())
            .collect();
        let Some(arguments) = arguments else {
            return Err("an argument holds a zero byte".to_owned());
        };
        // EAL keeps and permutes them: they are never freed.
        let mut pointers: Vec<*mut c_char> = arguments.into_iter().map(CString::into_raw).collect();
        pointers.push(std::ptr::null_mut());
        let pointers = pointers.leak();
        // SAFETY: `argc` strings that live for ever, with a null behind them, as `main` has them.
        let code = unsafe { (shim.start)(pointers.len() as c_int - 1, pointers.as_mut_ptr()) };
        match code {
            0 => Ok(()),
            code => Err(shim.reason(code)),
        }
    };
    let thread = std::thread::Builder::new()
        .name("dpdk".to_owned())
        .spawn(run)
        .map_err(|error| DpdkError::NotStarted {
            reason: error.to_string(),
        })?;
    let done = thread
        .join()
        .unwrap_or_else(|_| Err("its start panicked".to_owned()));
    done.map_err(|reason| DpdkError::NotStarted { reason })?;
    let lender = Box::leak(Box::new(Lender::new(shim)));
    Ok(Box::leak(Box::new(Environment { shim, lender })))
}

/// What EAL is told: no files, no second process, no device that nobody asked for, and not to bind threads. What the
/// user says comes last and wins.
fn arguments(further: Vec<String>) -> Vec<String> {
    let says = |name: &str| further.iter().any(|argument| argument.starts_with(name));
    // Without huge pages EAL knows only its older memory mode, which `--in-memory` excludes.
    let memory = if says("--no-huge") {
        "--no-shconf"
    } else {
        "--in-memory"
    };
    let mut all: Vec<String> = ["anet-vswitch", memory, "--no-telemetry"]
        .map(str::to_owned)
        .to_vec();
    if !says("--lcores") && !says("-l") && !says("-c") {
        all.push(format!("--lcores=0@({})", allowed_processors()));
    }
    if !says("--file-prefix") {
        all.push(format!("--file-prefix=anet-{}", std::process::id()));
    }
    if !says("--no-pci") && !says("-a") && !says("--allow") {
        // An address that no device has: the bus is scanned, devices come when a port asks for them.
        let has_pci = Path::new("/sys/bus/pci/devices").exists();
        all.push(if has_pci { "-a=0000:00:00.0" } else { "--no-pci" }.replace("-a=", "--allow="));
    }
    all.extend(further);
    all
}

/// The processors that this process may use, as EAL writes them.
fn allowed_processors() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    line.map_or_else(|| "0".to_owned(), |list| list.trim().to_owned())
}

/// Free huge pages of every size.
fn free_huge_pages(sizes: &Path) -> u64 {
    let entries = fs::read_dir(sizes).into_iter().flatten().flatten();
    let free = |size: fs::DirEntry| fs::read_to_string(size.path().join("free_hugepages")).ok();
    entries
        .filter_map(free)
        .filter_map(|text| text.trim().parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_says_comes_last_and_replaces_ours() {
        let plain = arguments(Vec::new());
        assert_eq!(plain[..3], ["anet-vswitch", "--in-memory", "--no-telemetry"]);
        assert!(
            plain.iter().any(|argument| argument.starts_with("--lcores=0@(")),
            "{plain:?}"
        );
        let own = ["--no-pci", "-l", "1", "--file-prefix", "x"].map(str::to_owned);
        let all = arguments(own.to_vec());
        assert_eq!(all[3..], own, "nothing of ours contradicts it");
    }

    #[test]
    fn huge_pages_of_all_sizes_count() {
        let folder = std::env::temp_dir().join(format!("anet-pages-{}", std::process::id()));
        assert_eq!(free_huge_pages(&folder), 0, "no such folder");
        for (size, free) in [("hugepages-2048kB", "3\n"), ("hugepages-1048576kB", "1\n")] {
            fs::create_dir_all(folder.join(size)).unwrap();
            fs::write(folder.join(size).join("free_hugepages"), free).unwrap();
        }
        assert_eq!(free_huge_pages(&folder), 4);
        fs::remove_dir_all(&folder).unwrap();
    }
}
