//! Fuzz targets: hostile bytes for everything that reads bytes from a wire, a guest, a disk or a socket.
//!
//! Each target is a plain function of bytes that panics where something is wrong: not only where the code under test
//! panics, but where two of its parts disagree. [`driver::run`] feeds it its corpus (`corpus/TARGET/`, kept in the
//! tree), then mutations of it until its time is over: `ANET_FUZZ_SECONDS`, 2 unless set. An input that fails is
//! written into the corpus, and so is a test from then on. Mutations are seeded by `ANET_FUZZ_SEED`.
//! Beside those, a corpus holds a few dozen short inputs that reach what no seed does: a run that was guided by coverage
//! found them, and mutations go on from there.
//!
//! A target has the shape that libFuzzer wants, so that a coverage-guided run needs an entry point of one line.

// A target ends with a panic: that is how it says that something is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod driver;
pub mod targets;

/// The fabric and the host in memory that the pipeline's tests play with, and what holds there for every frame.
#[allow(dead_code)]
#[path = "../../vswitch/tests/pipeline/fabric.rs"]
mod fabric;
#[allow(dead_code)]
#[path = "../../vswitch/tests/pipeline/host.rs"]
mod host;
