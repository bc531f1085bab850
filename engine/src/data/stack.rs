//! How much stack threads have.

/// Bytes of stack of the threads that make, walk over and evaluate what statements are made of: a tree as deep as they may be.
/// Whoever binds statements on threads of its own gives them as much.
pub const STACK: usize = 16 << 20;
