//! DPDK's environment: started once in a process, when the first port asks for it.

use std::ffi::{CString, c_char, c_int};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anet_memory::buffer::Origin;

use super::DpdkError;
use super::buffer::Lender;
use super::shim::Shim;

/// Further arguments for EAL, see [`set_arguments`].
static ARGUMENTS: OnceLock<Vec<String>> = OnceLock::new();
/// How long DPDK may take to start.
const PATIENCE: Duration = Duration::from_secs(10);
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
    check_arguments(&further)?;
    let shim: &'static Shim = Box::leak(Box::new(shim));
    let arguments = arguments(further);
    let (tell, told) = std::sync::mpsc::channel();
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
    let named = std::thread::Builder::new().name("dpdk".to_owned());
    let thread = named.spawn(move || {
        let _ = tell.send(run());
    });
    thread.map_err(|error| DpdkError::NotStarted {
        reason: error.to_string(),
    })?;
    // It takes a second at most; with some arguments it waits for ever for another process.
    let silent = |_| Err(format!("it is not ready after {} s", PATIENCE.as_secs()));
    let done = told.recv_timeout(PATIENCE).unwrap_or_else(silent);
    done.map_err(|reason| DpdkError::NotStarted { reason })?;
    // What EAL made there in spite of all that it is told, under the name that it has from us.
    let _ = fs::remove_dir_all(format!("/var/run/dpdk/anet-{}", std::process::id()));
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
    let chooses = ["--no-pci", "-a", "--allow", "-b", "--block"];
    if !chooses.into_iter().any(says) {
        // An address that no device has: the bus is scanned, devices come when a port asks for them.
        let has_pci = Path::new("/sys/bus/pci/devices").exists();
        all.push(if has_pci { "-a=0000:00:00.0" } else { "--no-pci" }.replace("-a=", "--allow="));
    }
    all.extend(further);
    all
}

/// Refuses what would end this process or never return, and plug-ins that EAL distrusts, which it does not explain.
fn check_arguments(further: &[String]) -> Result<(), DpdkError> {
    let refuse = |argument: &str, why: &str| DpdkError::NotStarted {
        reason: format!("`{argument}`: {why}"),
    };
    let mut plug_in = false;
    for argument in further {
        if std::mem::replace(&mut plug_in, argument == "-d") {
            check_plug_in(Path::new(argument))?;
        }
        match argument.as_str() {
            "-h" | "--help" => return Err(refuse(argument, "a running switch has no help to give")),
            other if other.starts_with("--proc-type") => {
                return Err(refuse(
                    other,
                    "the switch shares its devices with no other process",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// EAL loads nothing that lies below a folder that everybody may write to.
fn check_plug_in(path: &Path) -> Result<(), DpdkError> {
    let distrusted = |reason| DpdkError::Distrusted {
        path: path.to_owned(),
        reason,
    };
    let real = path
        .canonicalize()
        .map_err(|error| distrusted(error.to_string()))?;
    let writable = |folder: &Path| fs::metadata(folder).is_ok_and(|found| found.mode() & 0o002 != 0);
    match real.ancestors().skip(1).find(|folder| writable(folder)) {
        Some(folder) => Err(distrusted(format!(
            "everybody may write to {}; copy it to a folder that only root may write to (`install -d -m 700`)",
            folder.display()
        ))),
        None => Ok(()),
    }
}

/// The processors that this process may use, as EAL writes them.
fn allowed_processors() -> String {
    let allowed = anet_memory::cpu::allowed().unwrap_or_default();
    let list: Vec<String> = allowed.iter().map(ToString::to_string).collect();
    if list.is_empty() {
        "0".to_owned()
    } else {
        list.join(",")
    }
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
    fn what_would_end_or_freeze_the_process_is_refused() {
        for wrong in ["-h", "--help", "--proc-type=secondary", "--proc-type"] {
            let refused = check_arguments(&["-m".to_owned(), "9".to_owned(), wrong.to_owned()]).unwrap_err();
            assert!(refused.to_string().contains(&format!("`{wrong}`")), "{refused}");
        }
        assert_eq!(check_arguments(&["--no-huge".to_owned()]), Ok(()));
    }

    #[test]
    fn a_plug_in_that_everybody_could_have_put_there_is_refused_with_the_folder() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("anet-plug-ins-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("x.so"), "").unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        let arguments = ["-d".to_owned(), folder.join("x.so").display().to_string()];
        let refused = check_arguments(&arguments).unwrap_err().to_string();
        fs::remove_dir_all(&folder).unwrap();
        assert!(
            refused.contains("everybody may write to") && refused.contains("x.so"),
            "{refused}"
        );
        let missing = check_arguments(&["-d".to_owned(), "/nowhere/x.so".to_owned()]).unwrap_err();
        assert!(missing.to_string().contains("/nowhere/x.so"), "{missing}");
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
