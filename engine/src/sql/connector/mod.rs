//! `CREATE SOURCE | TABLE … WITH (connector = …) FORMAT … ENCODE …`, as RisingWave spells it, and `CREATE SINK`.
//!
//! [`parse_create_connector`] reads the syntax, [`CreateConnector::kafka`] what the options mean. Columns keep the
//! parser's data types: the binder knows what they are.

mod ast;
mod column;
mod options;
mod parse;
mod properties;
mod secrets;
mod sink;
#[cfg(test)]
mod tests;
mod watermark;

pub use ast::{ConnectorOption, CreateConnector, Include, Metadata, Watermark};
pub use options::{KafkaOptions, StartupMode};
pub use parse::parse_create_connector;
pub use sink::{CreateSink, SinkInput, of_sink, parse_create_sink};
pub use watermark::watermark;
