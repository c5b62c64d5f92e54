//! The tests' counting allocator: how often a thread asked for memory, so that "does not allocate" is a test.
//!
//! Of no use in a product: it only costs. A test binary makes it the global one:
//!
//! ```
//! use anet_memory::allocation_count::{CountingAllocator, allocations_of_this_thread};
//!
//! #[global_allocator]
//! static ALLOCATOR: CountingAllocator = CountingAllocator;
//!
//! let before = allocations_of_this_thread();
//! let boxed = std::hint::black_box(Box::new(1));
//! assert_eq!(allocations_of_this_thread() - before, 1);
//! # drop(boxed);
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Without a destructor and with a constant first value, so that reading it never allocates.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting calls per thread.
#[derive(Debug, Clone, Copy, Default)]
pub struct CountingAllocator;

/// How often this thread allocated or grew memory since it started. Stays 0 where [`CountingAllocator`] is not the global one.
pub fn allocations_of_this_thread() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

fn count() {
    ALLOCATIONS.with(|n| n.set(n.get().wrapping_add(1)));
}

// SAFETY: every method hands its arguments to `System` unchanged and returns what that returned, so `System`'s
// guarantees hold; counting neither allocates nor unwinds (a constant-initialised thread local without destructor).
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `GlobalAlloc::alloc`'s contract, which is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: `memory` came from this allocator and so from `System`, with the same `layout`.
        unsafe { System.realloc(memory, layout, new_size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as in `realloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}
