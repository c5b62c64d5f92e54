//! The whole fabric in one process: controllers' and agents' cores, the model store, real datapaths; virtual time, one seed.
//!
//! [`run::run`] lets users change things while the store, the network, controllers, agents and data planes fail in every way
//! there is, and holds what happens against [`truth`]: never an older state over a newer one, never half a change, nothing
//! acknowledged that is not in the data plane, nothing promised that is not in the store, no packet without its rule; after
//! quiet everything as intended, and all packets still on their way when everything but the data planes is dead. A seed that
//! fails is run again with `anet-sim --seed N`. [`defect`]s are planted to see that they are found.

pub mod attachments;
pub mod chance;
pub mod controller;
pub mod conversation;
pub mod data_plane;
pub mod defect;
pub mod disk;
pub mod faults;
pub mod host;
pub mod ledger;
pub mod log;
pub mod network;
pub mod oracle;
pub mod run;
pub mod serve;
pub mod store_trouble;
pub mod tasks;
pub mod traffic;
pub mod truth;
pub mod users;
pub mod violation;
pub mod world;
