//! Which TAPs the switch has made: a small file beside the connection file, so that an interface whose port left the plan
//! while nobody ran is found and removed at the next start.
//!
//! One line for an interface: the boot, the number of its namespace, its own number there, its name, and the namespace's
//! file. The numbers say which interface it is, so that another one of the same name is never taken for ours. A line is
//! written before the interface is made to stay, and a whole file replaces the one before: a kill at any moment leaves no
//! interface that nobody knows of. What the file says is believed as far as it names what is really there, and only where
//! nobody else can write it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anet_ports::PortError;
use anet_ports::kernel::tap::{self, TapIdentity};

use crate::{clock, log};

/// Bytes of the file that are read: far more than the ports of a host need.
const BYTES_MAXIMUM: u64 = 4 << 20;
/// How often the removal of one that somebody holds is tried: a process that was killed lets go a moment later.
const ATTEMPTS: u32 = 10;

/// An interface that was made here.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Made {
    identity: TapIdentity,
    interface: String,
    netns: Option<String>,
}

/// See the module's page.
#[derive(Debug)]
pub struct TapList {
    path: PathBuf,
    boot: u64,
    made: Vec<Made>,
    /// The file has lines that mean nothing any more.
    stale: bool,
    attempts: u32,
}

impl TapList {
    /// The list in the file at `path`; empty where there is none, or none that can be believed.
    pub fn load(path: PathBuf) -> Self {
        let boot = clock::name();
        let (text, readable) = match read(&path) {
            Ok(text) => (text, true),
            Err(error) => {
                let path = path.display();
                log::line(format_args!(
                    "list of TAPs {path}: {error}; interfaces that an earlier run left behind are not removed"
                ));
                (String::new(), false)
            }
        };
        let mut made: Vec<Made> = Vec::new();
        for line in text.split_inclusive('\n') {
            if let Some(entry) = parse(line, boot) {
                made.retain(|known| known.identity != entry.identity);
                made.push(entry);
            }
        }
        let lines: String = made.iter().map(|entry| line_of(boot, entry)).collect();
        let stale = !readable || lines != text;
        Self {
            path,
            boot,
            made,
            stale,
            attempts: 0,
        }
    }

    /// An interface was made here and is about to stay.
    pub fn add(&mut self, interface: &str, netns: Option<&str>, identity: TapIdentity) {
        let entry = Made {
            identity,
            interface: interface.to_owned(),
            netns: netns.map(str::to_owned),
        };
        let same = |known: &Made| {
            known.identity == identity || (&known.interface, &known.netns) == (&entry.interface, &entry.netns)
        };
        self.made.retain(|known| !same(known));
        let line = line_of(self.boot, &entry);
        self.made.push(entry);
        // What is not written down stays for ever where its port goes while nobody runs: no reason to leave a guest alone.
        let written = match self.stale {
            true => self.write_all(),
            false => append(&self.path, &line),
        };
        self.tell(written);
    }

    /// True where the interface was made here, now or in an earlier run.
    pub fn has(&self, identity: TapIdentity) -> bool {
        self.made.iter().any(|entry| entry.identity == identity)
    }

    /// An interface goes.
    pub fn forget(&mut self, identity: TapIdentity) {
        let before = self.made.len();
        self.made.retain(|entry| entry.identity != identity);
        self.stale |= self.made.len() != before;
    }

    /// Writes down what was forgotten. A file that is late by that does no harm.
    pub fn save(&mut self) {
        if self.stale {
            let written = self.write_all();
            self.tell(written);
        }
    }

    /// Removes what was made here and is not among the interfaces that are wanted. True where somebody holds one of them, so
    /// that it is to be tried again.
    pub fn remove_unwanted(&mut self, is_wanted: impl Fn(&str, Option<&str>) -> bool) -> bool {
        self.attempts += 1;
        let last = self.attempts >= ATTEMPTS;
        let mut held = false;
        let unwanted = |entry: &Made| !is_wanted(&entry.interface, entry.netns.as_deref());
        for entry in self.made.clone().into_iter().filter(unwanted) {
            let name = &entry.interface;
            match remove(&entry) {
                Ok(removed) => {
                    self.forget(entry.identity);
                    if removed {
                        log::line(format_args!(
                            "interface {name}{} was made by an earlier run and is in the plan no more: removed",
                            place_of(&entry)
                        ));
                    }
                }
                Err(error) if last => log::line(format_args!("{error} (in the plan no more; left as it is)")),
                Err(_) => held = true,
            }
        }
        self.save();
        held
    }

    fn write_all(&mut self) -> io::Result<()> {
        let lines: String = self.made.iter().map(|entry| line_of(self.boot, entry)).collect();
        let fresh = with_suffix(&self.path, ".new");
        // One that a kill left.
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options.open(&fresh)?.write_all(lines.as_bytes())?;
        std::fs::rename(&fresh, &self.path)?;
        self.stale = false;
        Ok(())
    }

    fn tell(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            // The next time, all of it.
            self.stale = true;
            let path = self.path.display();
            log::line(format_args!("list of TAPs {path} cannot be written: {error}"));
        }
    }
}

/// The list that goes with a connection file.
pub fn path_beside(connections: &Path) -> PathBuf {
    with_suffix(connections, ".taps")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn remove(entry: &Made) -> Result<bool, PortError> {
    tap::remove(
        entry.netns.as_ref().map(Path::new),
        &entry.interface,
        entry.identity,
    )
}

fn place_of(entry: &Made) -> String {
    entry
        .netns
        .as_ref()
        .map_or_else(String::new, |netns| format!(" in {netns}"))
}

/// The file's text, as far as it is ours alone; empty where there is no file.
fn read(path: &Path) -> io::Result<String> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK);
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        opened => opened?,
    };
    let metadata = file.metadata()?;
    let ours = metadata.uid() == nix::unistd::geteuid().as_raw();
    if !metadata.is_file() || !ours || metadata.mode() & 0o022 != 0 {
        return Err(io::Error::other("it is not a file that only this user can write"));
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAXIMUM).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK);
    let mut file: File = options.open(path)?;
    file.write_all(line.as_bytes())
}

fn line_of(boot: u64, entry: &Made) -> String {
    let TapIdentity { namespace, index } = entry.identity;
    let netns = entry
        .netns
        .as_ref()
        .map_or_else(String::new, |netns| format!(" {netns}"));
    format!("{boot:016x} {namespace} {index} {}{netns}\n", entry.interface)
}

/// A whole line of this boot; `None` for everything else, which is nobody's.
fn parse(line: &str, boot: u64) -> Option<Made> {
    let mut words = line.strip_suffix('\n')?.splitn(5, ' ');
    let mut word = || words.next().filter(|word| !word.is_empty());
    if u64::from_str_radix(word()?, 16).ok()? != boot {
        return None;
    }
    let identity = TapIdentity {
        namespace: word()?.parse().ok()?,
        index: word()?.parse().ok()?,
    };
    let interface = word()?.to_owned();
    let netns = words.next().map(str::to_owned);
    let legal = netns.as_ref().is_none_or(|netns| netns.starts_with('/'));
    legal.then_some(Made {
        identity,
        interface,
        netns,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anet_lab::Folder;

    fn identity(index: u32) -> TapIdentity {
        TapIdentity { namespace: 7, index }
    }

    fn text(list: &TapList) -> String {
        std::fs::read_to_string(&list.path).unwrap()
    }

    #[test]
    fn what_was_made_is_known_to_the_next_run() {
        let folder = Folder::new().unwrap();
        let path = path_beside(&folder.file("connections"));
        let mut list = TapList::load(path.clone());
        assert!(!path.exists(), "nothing made, nothing written");
        list.add("tap0", None, identity(3));
        list.add("eth0", Some("/run/netns/a b"), identity(4));
        list.add("eth1", Some("/run/netns/c"), identity(5));
        let mut next = TapList::load(path.clone());
        assert_eq!(next.made, list.made);
        assert!(!next.stale && next.has(identity(4)) && !next.has(identity(6)));
        // Made again after somebody deleted it.
        next.add("eth0", Some("/run/netns/a b"), identity(9));
        assert!(next.has(identity(9)) && !next.has(identity(4)));
        next.forget(identity(3));
        next.save();
        let last = TapList::load(path);
        assert_eq!((last.made.len(), text(&last).lines().count()), (2, 2));
        assert_eq!(last.made, next.made);
    }

    #[test]
    fn hostile_content_is_passed_over() {
        let folder = Folder::new().unwrap();
        let boot = clock::name();
        let good = format!("{boot:016x} 7 3 tap0\n");
        let other_boot = format!("{:016x} 7 3 tap0\n", boot ^ 1);
        let hostile = format!(
            "{other_boot}\n\0\u{fffd}rubbish\n{boot:016x} -1 3 tap0\n{boot:016x} 7 99999999999 tap0\n\
             {boot:016x} 7 3 tap0 relative/path\n{boot:016x} 7 3\n{good}{good}{boot:016x} 7 4 torn"
        );
        let path = folder.write("c.taps", &hostile).unwrap();
        let mut list = TapList::load(path.clone());
        assert_eq!((list.made.len(), list.stale), (1, true), "{:?}", list.made);
        list.add("tap1", None, identity(5));
        assert_eq!(text(&list), format!("{good}{boot:016x} 7 5 tap1\n"));

        // What others can write, or point elsewhere, is not believed, and is not in the way.
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(TapList::load(path.clone()).made, []);
        let link = folder.file("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let mut list = TapList::load(link.clone());
        assert_eq!(list.made, []);
        list.add("tap2", None, identity(6));
        list.add("tap3", None, identity(7));
        list.save();
        assert_eq!(TapList::load(link).made.len(), 2);
        assert!(!text(&TapList::load(path)).contains("tap2"));
    }

    #[test]
    fn an_interface_that_is_not_there_is_forgotten() {
        let folder = Folder::new().unwrap();
        let mut list = TapList::load(folder.file("c.taps"));
        list.add("no-such-tap", None, identity(3));
        list.add("gone", Some("/run/netns/no-such-namespace"), identity(4));
        list.add("wanted", None, identity(5));
        assert!(!list.remove_unwanted(|interface, _| interface == "wanted"));
        assert_eq!(list.made.len(), 1);
        assert_eq!(TapList::load(list.path.clone()).made, list.made);
    }
}
