//! The shim as Rust sees it: a table of functions out of a shared object, checked when it is loaded.
//!
//! `crates/ports/shim/anet_dpdk.h` is the other half of these declarations; [`FACE`] is raised in both when they change.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};

use libloading::Library;

use super::DpdkError;

const FACE: u32 = 1;
/// Names a shim instead of the search.
const OVERRIDE: &str = "ANET_DPDK_SHIM";
const PREFIX: &str = "libanet-dpdk-";
const SUFFIX: &str = ".so";

/// A packet as it crosses the face.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Packet {
    pub slot: *mut c_void,
    pub chain: *mut c_void,
    pub chain_len: u32,
    pub capacity: u16,
    pub start: u16,
    pub head_len: u16,
    pub flags: u16,
}

impl Packet {
    pub const EMPTY: Self = Self {
        slot: std::ptr::null_mut(),
        chain: std::ptr::null_mut(),
        chain_len: 0,
        capacity: 0,
        start: 0,
        head_len: 0,
        flags: 0,
    };

    pub fn len(&self) -> u64 {
        u64::from(self.head_len) + u64::from(self.chain_len)
    }
}

/// Of [`Packet::flags`]: the device has verified the transport checksum.
pub(super) const CHECKSUM_GOOD: u16 = 1;

/// What a device says of itself.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub(super) struct DeviceInfo {
    pub port: u16,
    pub max_receive_queues: u16,
    pub max_transmit_queues: u16,
    pub mtu_min: u16,
    pub mtu_max: u16,
    pub mac: [u8; 6],
    pub numa_node: i32,
    pub driver: [c_char; 32],
}

/// How a device is to be set up.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Setup {
    pub receive_queues: u16,
    pub transmit_queues: u16,
    pub receive_ring: u16,
    pub transmit_ring: u16,
    pub mtu: u16,
    pub pool: *mut c_void,
}

/// What a device lost.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub(super) struct Statistics {
    pub missed: u64,
    pub no_buffer: u64,
    pub errors: u64,
}

/// The functions, as `anet_dpdk.h` explains them. They live as long as the process: the library is never unloaded.
#[derive(Debug)]
pub(super) struct Shim {
    /// Where it was found.
    pub path: PathBuf,
    pub version: unsafe extern "C" fn() -> *const c_char,
    pub complaint: unsafe extern "C" fn() -> *const c_char,
    pub start: unsafe extern "C" fn(c_int, *mut *mut c_char) -> c_int,
    pub register_thread: unsafe extern "C" fn() -> c_int,
    pub probe: unsafe extern "C" fn(*const c_char, *mut DeviceInfo) -> c_int,
    pub configure: unsafe extern "C" fn(u16, *const Setup) -> c_int,
    pub link_up: unsafe extern "C" fn(u16) -> c_int,
    pub statistics: unsafe extern "C" fn(u16, *mut Statistics) -> c_int,
    pub close: unsafe extern "C" fn(u16) -> c_int,
    pub pool_new: unsafe extern "C" fn(*const c_char, u32, u16, c_int, *mut *mut c_void) -> c_int,
    pub take: unsafe extern "C" fn(*mut c_void, *mut Packet, u16) -> u16,
    pub receive: unsafe extern "C" fn(u16, u16, *mut Packet, u16, *mut u64) -> u16,
    pub transmit: unsafe extern "C" fn(u16, u16, *const Packet, u16) -> u16,
    pub release: unsafe extern "C" fn(*mut c_void, *mut c_void),
    pub release_chain: unsafe extern "C" fn(*mut c_void),
    pub piece: unsafe extern "C" fn(*mut c_void, *mut *mut c_void, *mut u32) -> *mut c_void,
}

impl Shim {
    fn of(path: &Path, library: &Library) -> Result<Self, libloading::Error> {
        // SAFETY: the types are those of `anet_dpdk.h`, whose number the caller has compared.
        unsafe {
            Ok(Self {
                path: path.to_owned(),
                version: *library.get(b"anet_dpdk_version")?,
                complaint: *library.get(b"anet_dpdk_complaint")?,
                start: *library.get(b"anet_dpdk_start")?,
                register_thread: *library.get(b"anet_dpdk_register_thread")?,
                probe: *library.get(b"anet_dpdk_probe")?,
                configure: *library.get(b"anet_dpdk_configure")?,
                link_up: *library.get(b"anet_dpdk_link_up")?,
                statistics: *library.get(b"anet_dpdk_statistics")?,
                close: *library.get(b"anet_dpdk_close")?,
                pool_new: *library.get(b"anet_dpdk_pool_new")?,
                take: *library.get(b"anet_dpdk_take")?,
                receive: *library.get(b"anet_dpdk_receive")?,
                transmit: *library.get(b"anet_dpdk_transmit")?,
                release: *library.get(b"anet_dpdk_release")?,
                release_chain: *library.get(b"anet_dpdk_release_chain")?,
                piece: *library.get(b"anet_dpdk_piece")?,
            })
        }
    }

    /// The newest shim that can be loaded here, or what was wrong with each.
    pub fn load() -> Result<Self, DpdkError> {
        let mut reasons = Vec::new();
        for path in candidates() {
            match Self::open(&path) {
                Ok(shim) => return Ok(shim),
                Err(reason) => reasons.push(reason),
            }
        }
        let nothing = || format!("no file {PREFIX}*{SUFFIX} beside the program or in /usr/lib/anet");
        let reason = if reasons.is_empty() {
            nothing()
        } else {
            reasons.join("; ")
        };
        Err(DpdkError::NoShim { reason })
    }

    fn open(path: &Path) -> Result<Self, String> {
        // SAFETY: loading runs the constructors of the shim and of DPDK's libraries, which only register drivers.
        let library = unsafe { Library::new(path) }.map_err(|error| words(&error))?;
        // SAFETY: the one function that every version of the shim has with this type.
        let face = unsafe { library.get::<unsafe extern "C" fn() -> u32>(b"anet_dpdk_face") };
        // SAFETY: as above; it returns a constant.
        let face = face.map(|face| unsafe { face() }).unwrap_or(0);
        if face != FACE {
            let path = path.display();
            return Err(format!(
                "{path} is of another version of this program ({face}, not {FACE})"
            ));
        }
        let shim = Self::of(path, &library).map_err(|error| words(&error))?;
        // DPDK has threads and destructors of its own: it stays until the process ends.
        std::mem::forget(library);
        Ok(shim)
    }

    /// DPDK's last words on this thread's call that failed with `code`.
    pub fn reason(&self, code: c_int) -> String {
        // SAFETY: returns a string of this thread's own, which is copied before the thread can ask again.
        let line = unsafe { CStr::from_ptr((self.complaint)()) }.to_string_lossy();
        let error = std::io::Error::from_raw_os_error(-code);
        match line.is_empty() {
            true => error.to_string(),
            false => format!("{line} ({error})"),
        }
    }

    /// DPDK's version, in its own words.
    pub fn version(&self) -> String {
        // SAFETY: returns a constant string.
        unsafe { CStr::from_ptr((self.version)()) }
            .to_string_lossy()
            .into_owned()
    }
}

/// The loader's own words, which name file and symbol.
fn words(error: &libloading::Error) -> String {
    use std::error::Error;
    error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

/// Files that may be shims, the highest ABI first in each folder.
fn candidates() -> Vec<PathBuf> {
    if let Some(path) = std::env::var_os(OVERRIDE) {
        return vec![path.into()];
    }
    folders().iter().flat_map(|folder| shims_in(folder)).collect()
}

/// Beside the program, where `make build` puts it (`target/dpdk`), and where packages do.
fn folders() -> Vec<PathBuf> {
    let program = std::env::current_exe().ok();
    let beside = program.as_deref().and_then(Path::parent).map(Path::to_owned);
    let built = beside.iter().flat_map(|folder| {
        let above = folder.ancestors().skip(1).take(2);
        above.map(|folder| folder.join("dpdk")).collect::<Vec<_>>()
    });
    let installed = ["/usr/local/lib/anet", "/usr/lib/anet"].map(PathBuf::from);
    let all = beside.clone().into_iter().chain(built).chain(installed);
    all.collect()
}

fn shims_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| Some((abi_of(&entry.file_name())?, entry.path())))
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

/// `libanet-dpdk-23.so` and `libanet-dpdk-24.1.so`: the whole number.
fn abi_of(name: &OsStr) -> Option<u32> {
    let abi = name.to_str()?.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    abi.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shim_is_known_by_its_abi() {
        let abi = |name: &str| abi_of(OsStr::new(name));
        assert_eq!(abi("libanet-dpdk-23.so"), Some(23));
        assert_eq!(abi("libanet-dpdk-24.1.so"), Some(24));
        assert_eq!(abi("libanet-dpdk-.so"), None);
        assert_eq!(abi("libdpdk-23.so"), None);
    }

    #[test]
    fn what_is_no_shim_is_refused_with_its_reason() {
        let refused = Shim::open(Path::new("/nowhere/libanet-dpdk-23.so")).unwrap_err();
        assert!(refused.contains("/nowhere/libanet-dpdk-23.so"), "{refused}");
        let refused = Shim::open(Path::new("libc.so.6")).unwrap_err();
        assert!(refused.contains("another version"), "{refused}");
    }
}
