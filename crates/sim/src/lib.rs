//! The whole fabric in one process: controllers' and agents' cores, the model store, real datapaths; virtual time, one seed.

pub mod chance;
pub mod data_plane;
pub mod network;
