//! Traffic, and what became of it.

mod ping;

pub use ping::{Pings, ping};
