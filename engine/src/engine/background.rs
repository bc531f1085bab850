//! Threads whose work can wait.

use thread_priority::{ThreadPriority, ThreadPriorityValue, set_current_thread_priority};

/// As [`ThreadPriority`] counts, from 0 to 99: niceness 5, with which a thread that has to share a core gets a quarter of it.
const WAITING: u8 = 37;

/// Lets the thread give way to others: statements and steps are waited for by somebody, checkpoints and views that are being
/// filled are not. Without that right, or elsewhere than on Linux, it goes on as it is.
pub fn give_way() {
    let lower = ThreadPriorityValue::try_from(WAITING).map(ThreadPriority::Crossplatform);
    if !lower.is_ok_and(|lower| set_current_thread_priority(lower).is_ok()) {
        tracing::debug!("the priority of a thread could not be lowered");
    }
}
