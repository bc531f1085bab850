//! Work that must not end its thread.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Error, Result};

/// Does the work; a panic is an error. What it worked on is then not to be trusted, as after any other internal error.
pub fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Err(Error::internal(format!("the engine panicked: {}", text.unwrap_or("no message"))))
    })
}
