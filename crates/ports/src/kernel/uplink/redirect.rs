//! The way from the uplink TAP to the underlay's device: a dozen instructions of BPF where its packets come in.
//!
//! A packet that bears this host's own address as its source would otherwise have to be *forwarded*, which takes
//! settings of the whole host (`accept_local`, forwarding) and a packet filter that lets it. The program hands it to the
//! neighbour layer of a device instead, as if it had been sent here. Which device is said by the packet itself, in
//! [`DEVICE_AT`]: the sender asks the routing table for it. The program belongs to the TAP and goes with it.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Where in a frame the number of the device stands that it leaves through: in place of the source MAC address, in this
/// machine's byte order.
pub(super) const DEVICE_AT: usize = 6;

/// One instruction (linux/bpf.h, `struct bpf_insn`).
#[repr(C)]
#[derive(Clone, Copy)]
struct Instruction {
    operation: u8,
    /// Destination register in the low half, source register in the high one.
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// Shorthand: the registers as the manual writes them.
const fn instruction(operation: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    // In C two bit fields, which lie the other way round on big-endian machines.
    let registers = if cfg!(target_endian = "little") {
        source << 4 | destination
    } else {
        destination << 4 | source
    };
    Instruction {
        operation,
        registers,
        offset,
        immediate,
    }
}

/// `__sk_buff.data` and `.data_end`.
const DATA: i16 = 76;
const DATA_END: i16 = 80;
/// `bpf_redirect_neigh`.
const REDIRECT_NEIGH: i32 = 152;
/// TC_ACT_SHOT.
const DROP: i32 = 2;

/// `redirect_neigh(device in the frame, NULL, 0, 0)`; a frame without a header is dropped.
const PROGRAM: [Instruction; 13] = [
    instruction(0x61, 2, 1, DATA, 0),             // r2 = data
    instruction(0x61, 3, 1, DATA_END, 0),         // r3 = data_end
    instruction(0xbf, 4, 2, 0, 0),                // r4 = r2
    instruction(0x07, 4, 0, 0, 14),               // r4 += 14
    instruction(0x2d, 4, 3, 6, 0),                // if r4 > r3: drop
    instruction(0x61, 1, 2, DEVICE_AT as i16, 0), // r1 = the device's number
    instruction(0xb7, 2, 0, 0, 0),                // r2 = no next hop of ours
    instruction(0xb7, 3, 0, 0, 0),                // r3 = its length
    instruction(0xb7, 4, 0, 0, 0),                // r4 = no flags
    instruction(0x85, 0, 0, 0, REDIRECT_NEIGH),   // r0 = call
    instruction(0x95, 0, 0, 0, 0),                // return r0
    instruction(0xb7, 0, 0, 0, DROP),             // drop: r0 = TC_ACT_SHOT
    instruction(0x95, 0, 0, 0, 0),                // return r0
];

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_DETACH: libc::c_int = 9;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
const BPF_TCX_INGRESS: u32 = 46;
/// BPF_F_BEFORE: without a program named, the first in the row.
const FIRST: u32 = 1 << 3;
/// Programs that there can be in a row (BPF_MPROG_MAX).
const ROW_MAX: usize = 64;

/// The first members of `union bpf_attr` for BPF_PROG_LOAD; the kernel takes what is not given as zero.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
}

/// As [`Load`], for BPF_PROG_ATTACH and BPF_PROG_DETACH.
#[repr(C)]
struct Attach {
    device: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

/// Puts the program in front of all that comes in from device number `device` of this thread's namespace, in place of
/// whatever was there: an earlier switch may have had another.
pub(super) fn install(device: u32) -> io::Result<()> {
    let kind = BPF_TCX_INGRESS;
    let first = Attach {
        device,
        program: 0,
        kind,
        flags: FIRST,
    };
    for _ in 0..ROW_MAX {
        if call(BPF_PROG_DETACH, &first).is_err() {
            // None is left, or it cannot be said: then it is said below.
            break;
        }
    }
    // No helper that it calls asks for a license.
    let license = c"";
    let load = Load {
        kind: BPF_PROG_TYPE_SCHED_CLS,
        count: PROGRAM.len() as u32,
        instructions: PROGRAM.as_ptr().expose_provenance() as u64,
        license: license.as_ptr().expose_provenance() as u64,
    };
    let loaded = call(BPF_PROG_LOAD, &load)?;
    // SAFETY: made just now, and nobody else knows of it.
    let program = unsafe { OwnedFd::from_raw_fd(loaded) };
    // The device holds the program from here on.
    let attach = Attach {
        program: program.as_raw_fd().cast_unsigned(),
        flags: 0,
        ..first
    };
    call(BPF_PROG_ATTACH, &attach).map(drop)
}

/// `bpf(2)`: what it answers, a descriptor in the case of BPF_PROG_LOAD.
fn call<A>(command: libc::c_int, attributes: &A) -> io::Result<i32> {
    // SAFETY: `A` is one of the two structures above, whose layout the kernel's command has, and the kernel only reads it
    // and what it points to (a program and a string of this file's).
    let answer = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            size_of::<A>(),
        )
    };
    match i32::try_from(answer) {
        Ok(answer) if answer >= 0 => Ok(answer),
        _ => Err(io::Error::last_os_error()),
    }
}
