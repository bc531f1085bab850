//! From text to plan.

mod adt;
pub mod bind;
pub mod connector;
mod crossed_joins;
mod cursor;
mod decorrelate;
mod depth;
mod dialect;
mod emit;
pub mod explain;
mod fingerprint;
pub mod format;
pub mod functions;
mod group_elements;
mod growth;
pub mod input;
mod interrupt;
mod lower;
mod names;
mod optimize;
mod parse;
mod prepare;
mod pushed_filters;
mod refused;
mod row_star;
mod rows;
mod runnable;
mod signs;
mod spellings;
mod statement;
mod table;
mod trim;
mod type_name;
mod unheeded;
mod values_subquery;
mod word;

pub use adt::json::normalize as normalize_jsonb;
pub use bind::{BoundQuery, OutputColumn, fold};
pub use cursor::{Declare, Fetch};
pub use decorrelate::decorrelate;
pub use functions::reference;
pub use growth::growing_state;
pub use interrupt::Interrupt;
pub use lower::{
    LoweredView, SinkOutput, add_source, add_table, follow_time, lower_closing_view, lower_sink, lower_view,
};
pub use names::{CatalogNames, plan_view, source};
pub use optimize::{optimize_view, query_rules};
pub use parse::{parse, parse_expression};
pub use prepare::{Execute, Prepare};
pub use runnable::runnable;
pub use statement::{Command, ObjectKind, Statement};
pub use table::{TableDefinition, definition, table_definition};
pub use type_name::sql_type;
