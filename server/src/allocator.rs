//! How soon memory that was freed goes back to the system.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_long};

/// Budgets in which what the allocator keeps for later would be a large part. With more it is not worth the calls.
const SMALL: u64 = 1 << 30;

/// `mi_option_purge_delay` of [mimalloc](https://microsoft.github.io/mimalloc/group__options.html), versions 2 and 3.
const PURGE_DELAY: c_int = 15;

unsafe extern "C" {
    /// Of mimalloc, with which all of the process allocates.
    fn mi_option_set(option: c_int, value: c_long);
}

/// Has freed memory go back at once where the process has a small budget, in bytes. Otherwise each thread keeps some until it
/// allocates again, 60 MB and more together: it would count as used, and keep sources paused.
pub fn fit(budget: u64) {
    if budget < SMALL {
        // SAFETY: it takes two numbers by value, and may be called at any time from any thread.
        unsafe { mi_option_set(PURGE_DELAY, 0) }
    }
}
