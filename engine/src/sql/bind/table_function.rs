//! Functions in FROM.
//!
//! A set-returning function is a list that is spread into rows beside the rows it is computed from, so a reference to
//! relations left of it needs no subquery.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{JoinType, NullHandling};
use datafusion::functions::core::expr_fn::{get_field, greatest};
use datafusion::functions_nested::expr_fn::{array_length, gen_series};
use datafusion::logical_expr::{Expr, LogicalPlan, cast, lit};
use sqlparser::ast::{self, FunctionArg, JoinConstraint, ObjectName, Spanned, TableAlias, TableFactor};

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::from::{Tables, refuse_table_options, rename};
use crate::sql::bind::scope::{ScopeColumn, ScopeItem};
use crate::sql::bind::window_table::is_window_table;
use crate::sql::bind::{Binder, Bound, Scope, column, fold, plan};

/// A function of FROM, taken apart.
struct Call<'a> {
    /// Names the relation and, where it has only one, the column.
    name: String,
    values: Vec<ast::Expr>,
    ordinality: bool,
    alias: Option<&'a TableAlias>,
    /// Whether `values` are arrays to spread, rather than calls.
    arrays: bool,
}

/// How a function joined this way treats rows for which it gives nothing, if it can be spread beside them at all.
pub(super) fn spread(factor: &TableFactor, kind: JoinType, constraint: &JoinConstraint) -> Option<NullHandling> {
    let function = match factor {
        TableFactor::Function { .. } | TableFactor::UNNEST { .. } => true,
        TableFactor::Table { name, args, .. } => args.is_some() && !is_window_table(name),
        _ => false,
    };
    match (kind, constraint) {
        (JoinType::Inner, JoinConstraint::On(_) | JoinConstraint::None) if function => Some(NullHandling::Drop),
        (JoinType::Left, JoinConstraint::On(on)) if function && is_true(on) => {
            Some(NullHandling::PreserveAndExpandEmpty)
        }
        _ => None,
    }
}

fn is_true(expr: &ast::Expr) -> bool {
    match expr {
        ast::Expr::Nested(inner) => is_true(inner),
        ast::Expr::Value(value) => value.value == ast::Value::Boolean(true),
        _ => false,
    }
}

impl Binder<'_> {
    /// The rows of a function beside those of `input`, whose columns `scope` may see. The result's items are the
    /// function's alone.
    pub(super) fn table_function(
        &mut self,
        factor: &TableFactor,
        input: LogicalPlan,
        scope: &Scope,
        nulls: NullHandling,
    ) -> Result<Tables> {
        refuse_table_options(factor)?;
        let call = call_of(factor)?;
        let mut lists = Vec::new();
        let mut scalars = Vec::new();
        for value in &call.values {
            let position = self.position(value.span());
            let bound = self.bind_expr(value, scope)?;
            match (bound.expr, bound.ty) {
                (Expr::Unnest(list), ty) => lists.push(Bound::new(*list.expr, ty, position)),
                (expr, SqlType::Array(element)) if call.arrays => lists.push(Bound::new(expr, *element, position)),
                (_, ty) if call.arrays => {
                    let message = format!("function unnest({ty}) does not exist");
                    let hint = "No function matches the given name and argument types. You might need to add explicit type casts.";
                    return Err(Error::new(SqlState::UNDEFINED_FUNCTION, message).with_hint(hint).at(position));
                }
                (expr, ty) => scalars.push(Bound::new(expr, ty, position)),
            }
        }
        let kept: Vec<Expr> = plan::columns(&input).collect();
        let (plan, mut columns) = match lists.is_empty() {
            true => self.one_value(input, scalars, &call)?,
            false => self.spread_lists(input, lists, &call, nulls)?,
        };
        let plan = self.split_records(plan, kept, &mut columns)?;
        let mut item = ScopeItem::new(Some(call.name.clone()), columns);
        if let Some(alias) = call.alias {
            if item.columns.len() == 1 + usize::from(call.ordinality) && item.columns[0].name == call.name {
                item.columns[0].name = fold(&alias.name);
            }
            rename(&mut item, alias, "table")?;
            item.aliased = None;
        }
        Ok(Tables { plan, items: vec![item] })
    }

    /// A function that gives one value: one row.
    fn one_value(
        &mut self,
        input: LogicalPlan,
        scalars: Vec<Bound>,
        call: &Call,
    ) -> Result<(LogicalPlan, Vec<ScopeColumn>)> {
        let mut exprs = Vec::new();
        let mut types = Vec::new();
        for scalar in scalars {
            let scalar = self.settle(scalar)?;
            exprs.push(scalar.expr);
            types.push((call.name.clone(), scalar.ty));
        }
        if call.ordinality {
            exprs.push(lit(1i64));
            types.push(("ordinality".into(), SqlType::Int8));
        }
        let names: Vec<String> = exprs.iter().map(|_| self.fresh()).collect();
        let exprs = exprs.into_iter().zip(&names).map(|(expr, name)| expr.alias(name)).collect();
        let plan = plan::extend(input, exprs)?;
        let columns = scope_columns(&plan, names, types)?;
        Ok((plan, columns))
    }

    /// Lists, spread side by side.
    fn spread_lists(
        &mut self,
        input: LogicalPlan,
        lists: Vec<Bound>,
        call: &Call,
        nulls: NullHandling,
    ) -> Result<(LogicalPlan, Vec<ScopeColumn>)> {
        let mut exprs: Vec<Expr> = lists.iter().map(|list| list.expr.clone()).collect();
        let mut types: Vec<_> = lists.into_iter().map(|list| (call.name.clone(), list.ty)).collect();
        if call.ordinality {
            let lengths: Vec<Expr> =
                exprs.iter().map(|list| cast(array_length(list.clone()), DataType::Int64)).collect();
            let longest = if lengths.len() == 1 { lengths[0].clone() } else { greatest(lengths) };
            exprs.push(gen_series(lit(1i64), longest, lit(1i64)));
            types.push(("ordinality".into(), SqlType::Int8));
        }
        let names: Vec<String> = exprs.iter().map(|_| self.fresh()).collect();
        let exprs = exprs.into_iter().zip(&names).map(|(expr, name)| expr.alias(name)).collect();
        let plan = plan::unnest(plan::extend(input, exprs)?, &names, nulls)?;
        let columns = scope_columns(&plan, names, types)?;
        Ok((plan, columns))
    }

    /// Columns of a row type, each as a column of its own.
    fn split_records(
        &mut self,
        plan: LogicalPlan,
        mut kept: Vec<Expr>,
        columns: &mut Vec<ScopeColumn>,
    ) -> Result<LogicalPlan> {
        if !columns.iter().any(|column| matches!(column.ty, SqlType::Record(_))) {
            return Ok(plan);
        }
        let mut names = Vec::new();
        let mut types = Vec::new();
        for whole in columns.iter() {
            let value = column(whole.field.name());
            let SqlType::Record(fields) = &whole.ty else {
                kept.push(value);
                names.push(whole.field.name().clone());
                types.push((whole.name.clone(), whole.ty.clone()));
                continue;
            };
            for (name, ty) in fields {
                let internal = self.fresh();
                kept.push(get_field(value.clone(), name.as_str()).alias(&internal));
                names.push(internal);
                types.push((name.clone(), ty.clone()));
            }
        }
        let plan = plan::project(plan, kept)?;
        *columns = scope_columns(&plan, names, types)?;
        Ok(plan)
    }
}

fn scope_columns(plan: &LogicalPlan, internal: Vec<String>, types: Vec<(String, SqlType)>) -> Result<Vec<ScopeColumn>> {
    let of = |(internal, (name, ty)): (String, (String, SqlType))| {
        let field = plan.schema().field_with_unqualified_name(&internal)?.clone();
        Ok(ScopeColumn { name, field, ty, origin: None })
    };
    internal.into_iter().zip(types).map(of).collect()
}

fn call_of(factor: &TableFactor) -> Result<Call<'_>> {
    match factor {
        TableFactor::Table { name, alias, args: Some(args), with_ordinality, .. } => {
            Ok(function_call(name, &args.args, *with_ordinality, alias.as_ref()))
        }
        TableFactor::Function { name, args, with_ordinality, alias, .. } => {
            Ok(function_call(name, args, *with_ordinality, alias.as_ref()))
        }
        TableFactor::UNNEST { alias, array_exprs, with_offset: false, with_ordinality, .. } => Ok(Call {
            name: "unnest".into(),
            values: array_exprs.clone(),
            ordinality: *with_ordinality,
            alias: alias.as_ref(),
            arrays: true,
        }),
        _ => Err(Error::unsupported("UNNEST … WITH OFFSET").with_hint("Write WITH ORDINALITY.")),
    }
}

fn function_call<'a>(
    name: &ObjectName,
    args: &[FunctionArg],
    ordinality: bool,
    alias: Option<&'a TableAlias>,
) -> Call<'a> {
    let last = name.0.last().and_then(|part| part.as_ident()).map(fold);
    let values = vec![call_expr(name, args)];
    Call { name: last.unwrap_or_default(), values, ordinality, alias, arrays: false }
}

/// The call of a function as an expression.
pub(super) fn call_expr(name: &ObjectName, args: &[FunctionArg]) -> ast::Expr {
    let list = ast::FunctionArgumentList { duplicate_treatment: None, args: args.to_vec(), clauses: Vec::new() };
    ast::Expr::Function(ast::Function {
        name: name.clone(),
        uses_odbc_syntax: false,
        parameters: ast::FunctionArguments::None,
        args: ast::FunctionArguments::List(list),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
