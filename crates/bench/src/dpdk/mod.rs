//! Figures on DPDK devices: our switch, OVS-DPDK and testpmd, one after the other, on the same two `net_null` devices, with the
//! same generator in the same place, on one core.
//!
//! The [generator] is a plug-in of EAL, in C, that any DPDK program loads; [`traffic`] is what it is told, [`results`] what it
//! says. A [`program`] is what is measured: [`ovs`], [`testpmd`], [`ours`]. [`measure`] takes a rate from a running
//! program, [`rounds`] makes figures of it. Nothing of a program's own counters goes into a figure.
//! docs/performance.md says how each program is set up, and why.

pub mod figures;
pub mod generator;
pub mod hugepages;
pub mod measure;
pub mod ours;
pub mod ovs;
pub mod program;
pub mod results;
pub mod rig;
pub mod rounds;
pub mod scene;
pub mod stages;
pub mod testpmd;
pub mod traffic;
