//! What must stay absent from code.

use crate::source::SourceFile;

use super::{Violation, lines_with};

/// Crates without clock, threads, files, sockets and async; and so is every folder named `core`.
const PURE: [&str; 4] = ["packet", "model", "plan", "datapath"];

/// What brings the outside in.
const OUTSIDE: [&str; 17] = [
    "Instant::now",
    "SystemTime",
    "Instant",
    "std::fs",
    "std::thread",
    "std::process",
    "thread::spawn",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "UnixStream",
    "UnixListener",
    "std::env",
    "async",
    "tokio",
    "libc",
    "nix",
];

/// Words of other layers that the data path does not know.
const FOREIGN_TO_DATAPATH: [&str; 3] = ["dpdk", "neutron", "controller"];

/// The crates that may hold `unsafe`.
const UNSAFE_HOMES: [&str; 2] = ["memory", "ports"];

/// `unsafe` stands in `memory` and `ports` only.
pub fn unsafe_has_two_homes(files: &[SourceFile]) -> Vec<Violation> {
    let elsewhere = files.iter().filter(|file| file.is_rust());
    let elsewhere =
        elsewhere.filter(|file| !file.crate_name().is_some_and(|name| UNSAFE_HOMES.contains(&name)));
    let why = "only `memory` and `ports` may hold it, behind a safe API";
    elsewhere
        .flat_map(|file| lines_with(&file.path, &file.code(), &["unsafe"], why))
        .collect()
}

/// Time comes in as an argument, and so does everything else.
pub fn pure_crates(files: &[SourceFile]) -> Vec<Violation> {
    let pure = files.iter().filter(|file| file.is_product() && is_pure(file));
    let why = "no clock, thread, file, socket or async in packet, model, plan, datapath and any core";
    let outside = pure.flat_map(|file| lines_with(&file.path, &file.product_code(), &OUTSIDE, why));
    let datapath = files
        .iter()
        .filter(|file| file.is_product() && file.crate_name() == Some("datapath"));
    let why = "the data path knows nothing of this layer";
    let foreign = datapath.flat_map(|file| {
        lines_with(
            &file.path,
            &file.product_code().to_lowercase(),
            &FOREIGN_TO_DATAPATH,
            why,
        )
    });
    outside.chain(foreign).collect()
}

fn is_pure(file: &SourceFile) -> bool {
    let mut folders = file.path.split('/');
    let core = folders.any(|part| part == "core" || part == "core.rs");
    core || file.crate_name().is_some_and(|name| PURE.contains(&name))
}

/// Nothing unfinished or left over from a search for a fault.
pub fn no_unfinished_code(files: &[SourceFile]) -> Vec<Violation> {
    let rust = files.iter().filter(|file| file.is_rust());
    let why = "finish it, or leave it out";
    rust.flat_map(|file| {
        lines_with(
            &file.path,
            &file.code(),
            &["todo!", "unimplemented!", "dbg!"],
            why,
        )
    })
    .collect()
}
