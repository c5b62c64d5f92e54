//! A few hosts with guests on one underlay, and the host plans that make them one fabric.
//!
//! [`Layout`] says what there is and what may talk to what; [`Layout::host_plan`] is the plan of one host, as a
//! controller would make it. [`Fabric`] builds it: namespaces, wires, a real vswitch on each host.

mod build;
mod layout;
mod plan;

pub use build::{Fabric, PlanWriter};
pub use layout::{GuestSpec, HostSpec, Layout, NetworkSpec, allow, tcp, udp};
