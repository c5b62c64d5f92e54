//! The whole fabric in one process: controllers' and agents' cores, the model store, real datapaths; virtual time, one seed.

pub mod chance;
pub mod controller;
pub mod data_plane;
pub mod defect;
pub mod network;
pub mod tasks;
pub mod traffic;
pub mod truth;
pub mod users;
pub mod violation;
