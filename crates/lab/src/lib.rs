//! A whole fabric on one machine: network namespaces as hosts and guests, veth wires and a switched underlay, the
//! real daemons, and real tools (`dhclient`, `ping`, `iperf3`, the kernel's own VXLAN) as the world around them.
//!
//! Tests, the demo and the bench build their scenarios out of these parts. Everything made here is given back when
//! it is dropped, also when a test panics; what a killed run left behind is removed by [`sweep`].
//!
//! It must not: touch the machine's own interfaces, routes or name servers, or end a process it did not start.
//!
//! ```no_run
//! # fn main() -> Result<(), anet_lab::LabError> {
//! let left = anet_lab::Namespace::new("left")?;
//! let right = anet_lab::Namespace::new("right")?;
//! anet_lab::wire::direct((&left, "eth0"), (&right, "eth0"))?;
//! left.add_address("eth0", "192.0.2.1/24")?;
//! right.add_address("eth0", "192.0.2.2/24")?;
//! assert!(anet_lab::probe::ping(&left, "192.0.2.2".parse().unwrap(), 3)?.all_answered());
//! # Ok(()) }
//! ```

mod command;
pub mod commands;
pub mod description;
mod dhcp;
mod error;
pub mod fabric;
mod folder;
mod guest;
mod kernel_vxlan;
mod namespace;
pub mod probe;
mod process;
mod signals;
mod skip;
pub mod standing;
mod vswitch;
pub mod wire;

pub use command::output_of;
pub use error::LabError;
pub use folder::Folder;
pub use guest::Guest;
pub use kernel_vxlan::KernelVxlan;
pub use namespace::{Namespace, sweep, sweep_own};
pub use process::Process;
pub use signals::on_stop;
pub use skip::{is_root, missing_for, skip};
pub use vswitch::{Vswitch, workspace_program};

use std::time::{Duration, Instant};

/// Asks `ready` every few milliseconds until it gives a value; [`LabError::Timeout`] after `patience`.
pub fn wait_for<T>(
    what: &str,
    patience: Duration,
    mut ready: impl FnMut() -> Option<T>,
) -> Result<T, LabError> {
    let started = Instant::now();
    loop {
        if let Some(value) = ready() {
            return Ok(value);
        }
        if started.elapsed() >= patience {
            return Err(LabError::Timeout {
                what: what.to_owned(),
                waited: started.elapsed(),
            });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
