//! Threads whose work is short and waited for.

#![allow(unsafe_code)]

/// What such a thread asks for at a time, in nanoseconds: a look-up takes 0.1 ms.
#[cfg(target_os = "linux")]
const TURN: u64 = 100_000;

/// Lets the thread run soon when it has something to do, also where others keep all cores busy: Linux from 6.12 on lets a thread
/// that asks for short turns interrupt one that has a longer turn, and gives none of them more than its share
/// ([EEVDF](https://docs.kernel.org/scheduler/sched-eevdf.html)). Threads that it starts have turns of the usual length. Older
/// kernels, other systems and sandboxes leave all as it is.
#[cfg(target_os = "linux")]
pub fn take_short_turns() {
    let size = size_of::<libc::sched_attr>();
    // SAFETY: all of its fields are numbers, for which zero is a value.
    let mut turns: libc::sched_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes at most `size` bytes at this address, where there are as many; 0 is this thread.
    let known = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut turns, size, 0) } == 0;
    // A policy that somebody gave the process has turns of its own kind.
    if !known || turns.sched_policy != libc::SCHED_OTHER as u32 {
        return;
    }
    turns.size = size as u32;
    turns.sched_flags |= libc::SCHED_FLAG_RESET_ON_FORK as u64;
    turns.sched_runtime = TURN;
    // SAFETY: the kernel reads `size` bytes at this address, where there are as many; 0 is this thread.
    if unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const turns, 0) } != 0 {
        tracing::debug!("the turns of a thread could not be made short");
    }
}

/// Other systems have no such setting.
#[cfg(not(target_os = "linux"))]
pub fn take_short_turns() {}
