//! The plan file: read at start, and again whenever it was replaced or rewritten.

use std::fs::{File, Metadata};
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anet_model::host_plan::{HostPlan, Tunnel};
use anet_wire::plan_text::{self, TEXT_BYTES_MAXIMUM};

/// What tells one state of the file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// See the module's page.
#[derive(Debug)]
pub struct PlanFile {
    path: PathBuf,
    /// Takes the place of the plan's own tunnel.
    tunnel: Option<SocketAddr>,
    seen: Option<Stamp>,
}

/// Why a plan file gives no plan: lines that begin with the file's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PlanFileError(String);

impl PlanFile {
    /// The file at `path`, whose plan gets this tunnel endpoint where one is given.
    pub fn new(path: PathBuf, tunnel: Option<SocketAddr>) -> Self {
        Self {
            path,
            tunnel,
            seen: None,
        }
    }

    /// The plan in the file at start, where it must be there.
    pub fn first(&mut self) -> Result<HostPlan, PlanFileError> {
        self.changed().unwrap_or_else(|| self.read())
    }

    /// The plan in the file, where it changed since the last call (or was never read). A file that is gone for the
    /// moment has not changed. What may keep a reader waiting, such as a FIFO, is refused: whoever watches the file has
    /// other things to do.
    pub fn changed(&mut self) -> Option<Result<HostPlan, PlanFileError>> {
        let metadata = std::fs::metadata(&self.path).ok()?;
        let stamp = Stamp::of(&metadata);
        if self.seen == Some(stamp) {
            return None;
        }
        self.seen = Some(stamp);
        if !metadata.is_file() {
            let name = self.path.display();
            return Some(Err(PlanFileError(format!(
                "{name}: this is no regular file; give --plan a readable plan file"
            ))));
        }
        Some(self.read())
    }

    /// The plan in the file.
    pub fn read(&self) -> Result<HostPlan, PlanFileError> {
        let name = self.path.display().to_string();
        let text = read_text(&self.path)
            .map_err(|error| PlanFileError(format!("{name}: {error}; give --plan a readable plan file")))?;
        let mut plan =
            plan_text::parse(&text).map_err(|errors| PlanFileError(errors.in_file(&name).to_string()))?;
        if let Some(tunnel) = self.tunnel {
            plan.tunnel = Some(Tunnel {
                address: tunnel.ip(),
                udp_port: tunnel.port(),
                dpdk: plan.tunnel.take().and_then(|tunnel| tunnel.dpdk),
            });
            plan.validate()
                .map_err(|error| PlanFileError(format!("{name}: with --tunnel {tunnel}: {error}")))?;
        }
        Ok(plan)
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// At most as much as a plan may be long, and one byte more, which makes it too long.
fn read_text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let limit = TEXT_BYTES_MAXIMUM as u64 + 1;
    File::open(path)?.take(limit).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A FIFO that nobody writes to would keep its reader waiting for ever, and a control thread with it.
    #[test]
    fn what_is_no_regular_file_is_refused_and_keeps_nobody_waiting() {
        let folder = anet_lab::Folder::new().unwrap();
        let fifo = folder.file("plan.yaml");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [fifo, folder.path().to_path_buf(), "/dev/zero".into()] {
            let (tell, told) = std::sync::mpsc::channel();
            let mut file = PlanFile::new(path.clone(), None);
            std::thread::spawn(move || tell.send((file.first().err(), file.changed().is_none())));
            let (first, unchanged) = told.recv_timeout(std::time::Duration::from_secs(5)).unwrap();
            let expected = format!(
                "{}: this is no regular file; give --plan a readable plan file",
                path.display()
            );
            assert_eq!(first, Some(PlanFileError(expected)));
            assert!(unchanged, "and that is said once");
        }
    }
}
