//! A file's bytes as shared memory, and the file's lock for as long as they are.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use super::bus_guard::Guard;

/// A shared mapping of a whole file, guarded against its truncation.
#[derive(Debug)]
pub struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
    guard: Option<Guard>,
    /// Holds the lock, which so lasts as long as the words: until after they are unmapped.
    _file: File,
}

// SAFETY: the mapping is owned memory that no thread has a special claim on.
unsafe impl Send for Mapping {}
// SAFETY: it is reached as atomics only (`words`, and `Words` over it).
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `bytes` (not zero) of `file`, which must be as long.
    pub(crate) fn new(file: File, bytes: usize) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let base = unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                protection,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast::<u8>()).ok_or(io::ErrorKind::OutOfMemory)?;
        let guard = Guard::over(base.as_ptr() as usize, bytes);
        Ok(Self {
            base,
            bytes,
            guard,
            _file: file,
        })
    }

    /// First byte.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// True where part of the file was taken away.
    pub(crate) fn lost(&self) -> bool {
        self.guard.as_ref().is_some_and(Guard::hit)
    }

    /// All of it as words.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: page-aligned, `bytes` long, mapped while `self` lives; every bit pattern is a legal word. Other
        // processes may write it, which atomics allow.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().cast(), self.bytes / 8) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.guard = None;
        // SAFETY: exactly the mapping made in `new`; its owner is going.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}
