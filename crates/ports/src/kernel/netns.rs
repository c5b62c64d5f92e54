//! Something done inside a network namespace, by a thread that lives no longer than it takes.
//!
//! A descriptor belongs to the namespace it was opened in, whoever uses it later; so it is enough to open it there. The
//! calling thread never leaves its own namespace.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// Why nothing can be done in a namespace.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// Its file cannot be opened.
    #[error("network namespace {path}: {source}; `ip netns list` shows the names, their files are in /run/netns", path = .path.display())]
    NotThere {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// This process may not enter it, or the file is not a namespace.
    #[error("network namespace {path}: cannot be entered ({source}); it must be a network namespace's file, and CAP_SYS_ADMIN is needed", path = .path.display())]
    NotEntered {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The thread could not be started, or it panicked.
    #[error("network namespace {path}: no thread to enter it: {source}", path = .path.display())]
    NoThread {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

/// Does `work` in the network namespace whose file is `path` (as in `/run/netns/x` or `/proc/PID/ns/net`), or in the
/// caller's own where it is `None`, and returns what it returned.
pub fn inside<T: Send>(path: Option<&Path>, work: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
    let Some(path) = path else { return Ok(work()) };
    let namespace = File::open(path).map_err(|source| NamespaceError::NotThere {
        path: path.to_owned(),
        source,
    })?;
    let no_thread = |source| NamespaceError::NoThread {
        path: path.to_owned(),
        source,
    };
    std::thread::scope(|scope| {
        let visitor = std::thread::Builder::new().name("namespace".to_owned());
        let visit = visitor
            .spawn_scoped(scope, move || enter(&namespace).map(|()| work()))
            .map_err(no_thread)?;
        let result = visit
            .join()
            .map_err(|_| no_thread(io::Error::other("it panicked")))?;
        result.map_err(|source| NamespaceError::NotEntered {
            path: path.to_owned(),
            source,
        })
    })
}

/// Moves the calling thread, which must be about to end, for good.
fn enter(namespace: &File) -> io::Result<()> {
    // SAFETY: changes only which namespace this thread is in; the descriptor is open.
    match unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_is_none_is_an_error_with_advice() {
        let text = inside(Some(Path::new("/run/netns/no-such-namespace")), || ())
            .unwrap_err()
            .to_string();
        assert!(text.contains("ip netns list"), "{text}");
        let text = inside(Some(Path::new("/dev/null")), || ())
            .unwrap_err()
            .to_string();
        assert!(text.contains("cannot be entered"), "{text}");
        assert_eq!(inside(None, || 5).unwrap(), 5);
    }
}
