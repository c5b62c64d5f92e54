//! Hugepages for DPDK: as many as are lacking are set aside, and given back.

use std::fs;
use std::path::Path;

use crate::error::BenchError;
use crate::undo::Undo;

const KNOB: &str = "/proc/sys/vm/nr_hugepages";

/// How many pages of 2 MiB a run takes: OVS's pool of 262,144 buffers alone has 760 MB.
pub const WANTED: u64 = 512;

/// Sees to it that [`WANTED`] pages are free. `note` is a file that says how many were added, for who cleans up after a run that
/// was killed.
pub fn set_aside(note: &Path) -> Result<Option<Undo>, BenchError> {
    let meminfo = fs::read_to_string("/proc/meminfo").map_err(BenchError::system("read /proc/meminfo"))?;
    let lacking = WANTED.saturating_sub(free_pages(&meminfo));
    if lacking == 0 {
        return Ok(None);
    }
    fs::write(note, lacking.to_string()).map_err(BenchError::system(format!("write {}", note.display())))?;
    change(|pages| pages + lacking).map_err(BenchError::system(format!("write {KNOB}")))?;
    let undo = Undo::later(move || give_back(lacking));
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = free_pages(&meminfo);
    if free < WANTED {
        return Err(BenchError::Missing(format!(
            "{WANTED} hugepages of 2 MiB are needed, and the kernel found {free}: free some memory (about 1 GiB)"
        )));
    }
    Ok(Some(undo))
}

/// Gives back `pages`, whatever others set aside meanwhile.
pub fn give_back(pages: u64) {
    _ = change(|now| now.saturating_sub(pages));
}

fn change(to: impl FnOnce(u64) -> u64) -> std::io::Result<()> {
    let now = fs::read_to_string(KNOB)?;
    let now = now.trim().parse().map_err(std::io::Error::other)?;
    fs::write(KNOB, to(now).to_string())
}

fn free_pages(meminfo: &str) -> u64 {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("HugePages_Free:"));
    line.and_then(|line| line.trim().parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_pages_are_read() {
        let text = "HugePages_Total:      12\nHugePages_Free:        7\nHugePages_Rsvd:        0\n";
        assert_eq!(free_pages(text), 7);
        assert_eq!(free_pages("MemTotal: 1 kB\n"), 0, "a kernel without them");
    }
}
