//! Buffers, NUMA-bound pages, versioned shared-memory files, prefetch, and the tests' counting allocator.
//!
//! A safe face over `unsafe`: with `ports` the only crate that holds any, and each block says why it holds.
//! It knows nothing of networks, ports or protocols.

pub mod allocation_count;
pub mod buffer;
pub mod cpu;
pub mod lanes;
pub mod pool;
pub mod prefetch;
pub mod region;
pub mod shared_file;
pub mod table;
pub mod words;
