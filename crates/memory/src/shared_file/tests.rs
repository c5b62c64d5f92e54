//! What a file survives, and what it says when it cannot.

use super::*;
use std::sync::atomic::AtomicU32;

const LAYOUT: Layout = Layout {
    magic: *b"anetTEST",
    version: 3,
    header_words: 8,
    entry_words: 16,
    capacity: 1000,
};

/// A path of this test alone, whose files go when the test ends.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "anet-shared-file-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Relaxed)
        );
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.0);
        for number in 1..=KEPT {
            _ = std::fs::remove_file(format!("{}.replaced-{number}", self.0.display()));
        }
    }
}

/// Opens a file as `damage` left it, and says how it was found and what its first word holds.
fn reopened(layout: &Layout, damage: impl FnOnce(&File)) -> (Opened, u64, Place) {
    let place = Place::new();
    let (file, opened) = SharedFile::open(&place.0, &LAYOUT).unwrap();
    assert_eq!(opened, Opened::Fresh);
    assert!(file.words().iter().all(|w| w.load(Relaxed) == 0));
    file.words()[0].store(42, Relaxed);
    drop(file);
    damage(&OpenOptions::new().read(true).write(true).open(&place.0).unwrap());
    let (file, opened) = SharedFile::open(&place.0, layout).unwrap();
    let first = file.words()[0].load(Relaxed);
    (opened, first, place)
}

#[test]
fn words_are_found_again() {
    let (opened, first, _place) = reopened(&LAYOUT, |_| ());
    assert_eq!((opened, first), (Opened::Found, 42));
}

#[test]
fn an_unfit_file_is_kept_aside_with_its_content() {
    let (opened, first, _place) = reopened(&Layout { version: 4, ..LAYOUT }, |_| ());
    let Opened::Replaced { reason, kept_as } = opened else {
        panic!("{opened:?}")
    };
    assert!(reason.contains("another layout"), "{reason}");
    assert_eq!(first, 0);
    assert_eq!(read_word(&File::open(kept_as).unwrap(), HEADER_BYTES / 8), 42);
}

#[test]
fn every_damage_is_named() {
    let check = |expected: &str, damage: &dyn Fn(&File)| {
        let (opened, first, _place) = reopened(&LAYOUT, damage);
        let Opened::Replaced { reason, .. } = opened else {
            panic!("{expected}: {opened:?}")
        };
        assert!(reason.contains(expected), "{reason}");
        assert_eq!(first, 0);
    };
    check("not a file of this kind", &|file| {
        file.write_all_at(b"rubbish!", 0).unwrap()
    });
    check("not a file of this kind", &|file| file.set_len(5).unwrap());
    check("header is damaged", &|file| file.write_all_at(&[9], 17).unwrap());
    check("header is damaged", &|file| file.set_len(40).unwrap());
    check("bytes where", &|file| file.set_len(8192).unwrap());
    check("bytes where", &|file| file.set_len(1 << 30).unwrap());
}

#[test]
fn replaced_files_do_not_pile_up() {
    let place = Place::new();
    for version in 0..KEPT as u32 + 3 {
        drop(SharedFile::open(&place.0, &Layout { version, ..LAYOUT }).unwrap());
    }
    let name = place.0.file_name().unwrap().to_string_lossy().into_owned();
    let folder = std::fs::read_dir(place.0.parent().unwrap()).unwrap();
    let mine = folder.filter(|e| {
        e.as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with(&format!("{name}."))
    });
    assert_eq!(mine.count(), KEPT);
}

#[test]
fn a_second_holder_is_told_who_the_first_is() {
    let place = Place::new();
    let (first, _) = SharedFile::open(&place.0, &LAYOUT).unwrap();
    let error = SharedFile::open(&place.0, &LAYOUT).unwrap_err();
    assert!(
        matches!(error, SharedFileError::Held { pid, .. } if pid == u64::from(std::process::id())),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains(&format!("process {}", std::process::id())),
        "{error}"
    );
    let words = first.into_words();
    assert!(
        SharedFile::open(&place.0, &LAYOUT).is_err(),
        "the words keep the lock"
    );
    drop(words);
    assert_eq!(SharedFile::open(&place.0, &LAYOUT).unwrap().1, Opened::Found);
}

#[test]
fn what_cannot_be_opened_says_why() {
    let place = Place::new();
    let error = |path: &Path, layout: &Layout| SharedFile::open(path, layout).unwrap_err().to_string();
    let huge = Layout {
        capacity: u64::MAX,
        ..LAYOUT
    };
    assert!(error(&place.0, &huge).contains("ask for fewer"));
    assert!(error(&std::env::temp_dir(), &LAYOUT).contains("not a regular file"));
    assert!(error(&place.0.join("below/nothing"), &LAYOUT).contains("make its folder first"));
    std::os::unix::fs::symlink("/nonexistent", &place.0).unwrap();
    assert!(error(&place.0, &LAYOUT).contains("not a regular file"));
}

#[test]
fn a_file_that_does_not_fit_the_disk_is_an_error_and_not_a_crash() {
    let place = Place::new();
    // An exabyte: refused by every file system there is, by its size limit or for want of space.
    let layout = Layout {
        capacity: 1 << 53,
        ..LAYOUT
    };
    let error = SharedFile::open(&place.0, &layout).unwrap_err();
    assert!(matches!(error, SharedFileError::Refused { .. }), "{error}");
    assert_eq!(
        SharedFile::open(&place.0, &LAYOUT).unwrap().1,
        Opened::Fresh,
        "nothing half-made is left"
    );
}

#[test]
fn truncation_by_somebody_else_costs_the_content_and_not_the_process() {
    let place = Place::new();
    let (file, _) = SharedFile::open(&place.0, &LAYOUT).unwrap();
    file.words().iter().for_each(|w| w.store(7, Relaxed));
    assert!(!file.words().lost());
    OpenOptions::new()
        .write(true)
        .open(&place.0)
        .unwrap()
        .set_len(HEADER_BYTES as u64)
        .unwrap();
    let sum: u64 = file.words().iter().map(|w| w.load(Relaxed)).sum();
    assert_eq!((sum, file.words().lost()), (0, true));
    file.words()[0].store(1, Relaxed);
    assert_eq!(file.words()[0].load(Relaxed), 1);
    drop(file);
    assert!(matches!(
        SharedFile::open(&place.0, &LAYOUT).unwrap().1,
        Opened::Replaced { .. }
    ));
}

/// The child of the next test: writes, and dies as hard as can be.
#[test]
fn child_that_is_killed() {
    let Some(path) = std::env::var_os("ANET_SHARED_FILE_CHILD") else {
        return;
    };
    let (file, _) = SharedFile::open(Path::new(&path), &LAYOUT).unwrap();
    file.words()[5].store(99, Relaxed);
    // SAFETY: ends this process, which is the child's whole purpose.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
}

#[test]
fn words_outlive_a_killed_process() {
    let place = Place::new();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "shared_file::tests::child_that_is_killed"])
        .env("ANET_SHARED_FILE_CHILD", &place.0);
    let status = child.stdout(std::process::Stdio::null()).status().unwrap();
    assert!(!status.success());
    let (file, opened) = SharedFile::open(&place.0, &LAYOUT).unwrap();
    assert_eq!((opened, file.words()[5].load(Relaxed)), (Opened::Found, 99));
}

/// The child of the next test: a bus error that is none of ours, with the guard in place.
#[test]
fn child_with_a_bus_error_of_its_own() {
    let Some(path) = std::env::var_os("ANET_BUS_ERROR_CHILD") else {
        return;
    };
    let (_guarded, _) = SharedFile::open(Path::new(&path), &LAYOUT).unwrap();
    let mut other = path;
    other.push(".replaced-1");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(other)
        .unwrap();
    // SAFETY: a new mapping; the read beyond the empty file's end is the bus error that this is about.
    unsafe {
        let (protection, flags) = (libc::PROT_READ, libc::MAP_SHARED);
        let base = libc::mmap(std::ptr::null_mut(), 4096, protection, flags, file.as_raw_fd(), 0);
        assert_ne!(base, libc::MAP_FAILED);
        std::ptr::read_volatile(base.cast::<u8>());
    }
}

#[test]
fn somebody_elses_bus_error_still_ends_the_process() {
    use std::os::unix::process::ExitStatusExt;
    let place = Place::new();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "shared_file::tests::child_with_a_bus_error_of_its_own"]);
    child
        .env("ANET_BUS_ERROR_CHILD", &place.0)
        .stdout(std::process::Stdio::null());
    let status = child.status().unwrap();
    // An address sanitizer has a handler of its own, which ends the process with code 1; a failed test would be 101.
    assert!(
        status.signal() == Some(libc::SIGBUS) || status.code() == Some(1),
        "{status}"
    );
}
