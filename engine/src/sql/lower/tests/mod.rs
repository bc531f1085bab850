//! Views, maintained step by step, against DataFusion's batch answer to the same plan over the same rows.

mod aside;
mod closing;
mod durable;
mod errors;
mod expire;
mod graph;
mod oracle;
mod random;
mod views;
mod windows;
