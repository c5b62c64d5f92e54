//! What the pipeline does with single frames: every reason for a drop, and what the switch promises guests.
//!
//! Each frame goes through a real worker on tables that a real plan was built into, and through a trace of the same
//! code; the two must say the same, see [`host::Host::send`].

// A test may end with a panic; clippy knows that of `#[test]` functions only.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "pipeline/fabric.rs"]
mod fabric;
#[path = "pipeline/host.rs"]
mod host;

#[path = "pipeline/changes.rs"]
mod changes;
#[path = "pipeline/connections.rs"]
mod connections;
#[path = "pipeline/copies.rs"]
mod copies;
#[path = "pipeline/drops.rs"]
mod drops;
#[path = "pipeline/errors.rs"]
mod errors;
#[path = "pipeline/hostile.rs"]
mod hostile;
#[path = "pipeline/many.rs"]
mod many;
#[path = "pipeline/services.rs"]
mod services;
#[path = "pipeline/shapes.rs"]
mod shapes;
#[path = "pipeline/tunnel.rs"]
mod tunnel;
