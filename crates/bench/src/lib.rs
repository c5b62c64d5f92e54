//! Figures: what aNET costs and carries, beside the peer where there is one, measured in the same run.
//!
//! `anet-bench` prints one line a figure and writes all of them to `target/bench/results.json`. Figures on
//! [memory ports](memory_ports) run the data path that ships, with frames from memory, in this process; those of the
//! [system] run the daemon, in namespaces with real guests; those on [dpdk] devices run our switch, OVS and testpmd in turn with one
//! generator. A figure that cannot be measured is an error that says why. Not a product: nothing depends on this crate.

pub mod catalogue;
pub mod command;
pub mod dpdk;
pub mod error;
pub mod figure;
pub mod memory_ports;
pub mod statistics;
pub mod system;
pub mod undo;
