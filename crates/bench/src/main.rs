//! `anet-bench`: see the library.

use std::process::ExitCode;

use anet_memory::allocation_count::CountingAllocator;

/// Counts, so that «does not allocate» is a figure.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    anet_bench::command::main()
}
