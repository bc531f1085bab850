//! CREATE TABLE: from its syntax to columns and key.

use sqlparser::ast::{self, ColumnOption, TableConstraint};

use crate::data::{Column, RelationSchema};
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::{Binder, fold};
use crate::sql::type_name::sql_type;

/// What CREATE TABLE says of a table.
pub struct TableDefinition {
    pub schema: RelationSchema,
    /// SQL text of each column's default.
    pub defaults: Vec<Option<String>>,
}

/// Checks a CREATE TABLE.
///
/// # Errors
/// 42701 and 42P16 for columns and keys that cannot be, 0A000 for what we do not enforce: a constraint that is
/// accepted and ignored would be a lie.
pub fn table_definition(table: &ast::CreateTable, binder: &mut Binder<'_>) -> Result<TableDefinition> {
    refuse_options(table)?;
    definition(&table.name, &table.columns, &table.constraints, binder)
}

/// Columns and constraints, in the statement of whatever kind they stand.
pub fn definition(
    name: &ast::ObjectName,
    columns: &[ast::ColumnDef],
    constraints: &[TableConstraint],
    binder: &mut Binder<'_>,
) -> Result<TableDefinition> {
    let mut definition = TableDefinition { schema: RelationSchema::default(), defaults: Vec::new() };
    for column in columns {
        add_column(name, column, binder, &mut definition)?;
    }
    for constraint in constraints {
        match constraint {
            TableConstraint::PrimaryKey(key) => {
                refuse_deferral(key.characteristics.as_ref())?;
                let names = key.columns.iter().map(|column| match &column.column.expr {
                    ast::Expr::Identifier(name) => Ok(fold(name)),
                    other => Err(Error::unsupported(format!("the primary key expression {other}"))),
                });
                let names: Vec<String> = names.collect::<Result<_>>()?;
                set_primary_key(&mut definition.schema, name, &names)?;
            }
            other => return Err(unenforced(other)),
        }
    }
    Ok(definition)
}

fn add_column(
    table: &ast::ObjectName,
    column: &ast::ColumnDef,
    binder: &mut Binder<'_>,
    definition: &mut TableDefinition,
) -> Result<()> {
    let name = fold(&column.name);
    if definition.schema.columns.iter().any(|other| other.name == name) {
        let message = format!("column \"{name}\" specified more than once");
        return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
    }
    let ty = sql_type(&column.data_type)?;
    definition.schema.columns.push(Column::new(name.clone(), ty, true));
    let index = definition.defaults.len();
    definition.defaults.push(None);
    for option in &column.options {
        match &option.option {
            ColumnOption::Null => {}
            ColumnOption::NotNull => definition.schema.columns[index].nullable = false,
            ColumnOption::Default(expr) => {
                binder.bind_default(expr, &definition.schema.columns[index])?;
                definition.defaults[index] = Some(expr.to_string());
            }
            ColumnOption::PrimaryKey(key) => {
                refuse_deferral(key.characteristics.as_ref())?;
                set_primary_key(&mut definition.schema, table, std::slice::from_ref(&name))?;
            }
            other => return Err(unenforced(other)),
        }
    }
    Ok(())
}

fn set_primary_key(schema: &mut RelationSchema, table: &ast::ObjectName, names: &[String]) -> Result<()> {
    if schema.primary_key.is_some() {
        let message = format!("multiple primary keys for table \"{table}\" are not allowed");
        return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
    }
    let mut key = Vec::with_capacity(names.len());
    for name in names {
        let found = schema.columns.iter().position(|column| column.name == *name);
        let index = found.ok_or_else(|| {
            let message = format!("column \"{name}\" named in key does not exist");
            Error::new(SqlState::UNDEFINED_COLUMN, message)
        })?;
        if key.contains(&index) {
            let message = format!("column \"{name}\" appears twice in primary key constraint");
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        schema.columns[index].nullable = false;
        key.push(index);
    }
    schema.primary_key = Some(key);
    Ok(())
}

fn unenforced(constraint: &dyn std::fmt::Display) -> Error {
    Error::unsupported(format!("the constraint {constraint}"))
        .with_hint("Of constraints, PRIMARY KEY, NOT NULL and DEFAULT are supported.")
}

/// Keys are checked when a statement ends.
fn refuse_deferral(characteristics: Option<&ast::ConstraintCharacteristics>) -> Result<()> {
    match characteristics
        .filter(|given| given.deferrable != Some(false) || given.initially.is_some() || given.enforced.is_some())
    {
        Some(given) => Err(Error::unsupported(format!("a primary key that is {given}"))),
        None => Ok(()),
    }
}

fn refuse_options(table: &ast::CreateTable) -> Result<()> {
    let refused = [
        (table.or_replace, "OR REPLACE"),
        (table.temporary, "TEMPORARY"),
        (table.external, "EXTERNAL"),
        (table.table_options != ast::CreateTableOptions::None, "WITH"),
        (table.like.is_some(), "LIKE"),
        (table.clone.is_some(), "CLONE"),
        (table.on_commit.is_some(), "ON COMMIT"),
        (table.inherits.is_some(), "INHERITS"),
        (table.partition_by.is_some() || table.partition_of.is_some(), "PARTITION"),
    ];
    match refused.iter().find(|(present, _)| *present) {
        Some((_, option)) => Err(Error::unsupported(format!("CREATE TABLE with {option}"))),
        None => Ok(()),
    }
}
