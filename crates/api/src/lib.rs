//! What people and tools say: Neutron v2.0's resources and the fabric's own (`/anet/v1`), from one description of attributes.
//!
//! [`resource`] has the table and, from it, the decoding of requests and the encoding of answers; [`query`] what a list may be
//! asked for; [`client`] a blocking client that tools are made of. JSON's names stand in this crate only. It decides nothing:
//! whether a request may be granted is the controller's to say.

pub mod client;
pub mod error;
pub mod events;
pub mod hosts;
pub mod json;
pub mod query;
pub mod resource;
pub mod timestamp;
pub mod trace;

pub use error::ApiError;
pub use resource::{Resource, Role};
