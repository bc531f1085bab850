//! TUMBLE and HOP: a relation's rows with the time windows they fall into.
//!
//! `TUMBLE(relation, time, size)` gives each row the columns `window_start` and `window_end` of the one window of that
//! size its time is in. `HOP(relation, time, slide, size)` gives a row once for each of the windows that begin a slide
//! apart and hold its time. Windows are counted from the epoch of time. The spelling is RisingWave's.

use sqlparser::ast::{self, BinaryOperator, FunctionArg, FunctionArgExpr, ObjectName, Spanned, TableAlias};

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::coerce::Coercion;
use crate::sql::bind::from::{Tables, rename};
use crate::sql::bind::scope::ScopeColumn;
use crate::sql::bind::{Binder, Bound, BoundQuery, Clause, OutputColumn, Scope, fold, plan};

/// Windows that one row of HOP may be in.
const MAX_WINDOWS: i128 = 100;

/// Whether a function's name is one of ours that take a relation.
pub(super) fn is_window_table(name: &ObjectName) -> bool {
    matches!(&name.0[..], [part] if part.as_ident().is_some_and(|ident| matches!(fold(ident).as_str(), "tumble" | "hop")))
}

impl Binder<'_> {
    /// Binds TUMBLE or HOP in FROM.
    pub(super) fn window_table(
        &mut self,
        name: &ObjectName,
        args: &[FunctionArg],
        alias: Option<&TableAlias>,
    ) -> Result<Tables> {
        let position = self.position(name.span());
        let function = name.to_string().to_ascii_lowercase();
        let exprs: Option<Vec<&ast::Expr>> = args.iter().map(expr_of).collect();
        let usage = || {
            let usage = match function.as_str() {
                "tumble" => "Write TUMBLE(relation, time column, size).",
                _ => "Write HOP(relation, time column, slide, size).",
            };
            Error::new(SqlState::UNDEFINED_FUNCTION, format!("invalid arguments of {function}()"))
                .with_hint(usage)
                .at(position)
        };
        let (relation, time, slide, size) = match (function.as_str(), exprs.as_deref()) {
            ("tumble", Some([relation, time, size])) => (relation, time, size, size),
            ("hop", Some([relation, time, slide, size])) => (relation, time, slide, size),
            _ => return Err(usage()),
        };
        let relation = relation_name(relation).ok_or_else(usage)?;
        let windows = self.windows_of_a_row(slide, size)?;
        let rows = self.relation(&relation)?;
        let mut inputs = Vec::new();
        let mut columns = Vec::new();
        let names: Vec<String> = (0..rows.items[0].columns.len() + 2).map(|_| self.fresh()).collect();
        for back in 0..windows {
            let query = self.windowed(&rows, time, slide, size, back)?;
            let exprs = query.outputs().into_iter().zip(&names).map(|(output, name)| output.expr.alias(name)).collect();
            inputs.push(plan::project(query.plan, exprs)?);
            columns = query.columns;
        }
        let plan = if inputs.len() == 1 { inputs.remove(0) } else { plan::union_all(inputs)? };
        let mut item = BoundQuery { plan: plan.clone(), columns }.item(rows.items[0].name.clone());
        if let Some(alias) = alias {
            rename(&mut item, alias, "table")?;
        }
        Ok(Tables { plan, items: vec![item] })
    }

    /// The rows with the window that began `back` slides before the last that their time is in.
    fn windowed(
        &mut self,
        rows: &Tables,
        time: &ast::Expr,
        slide: &ast::Expr,
        size: &ast::Expr,
        back: i128,
    ) -> Result<BoundQuery> {
        let mut scope = Scope::new(None, Clause::From, self.text.clone());
        scope.items = rows.items.clone();
        let bound = self.bind_expr(time, &scope)?;
        let ty = match bound.ty {
            SqlType::Timestamp | SqlType::Timestamptz => bound.ty,
            ty => {
                let message = format!("the time of a window must be a timestamp, not {ty}");
                return Err(Error::new(SqlState::DATATYPE_MISMATCH, message).at(self.position(time.span())));
            }
        };
        let mut start = call("date_bin", vec![slide.clone(), time.clone(), epoch(&ty)]);
        for _ in 0..back {
            start = binary(start, BinaryOperator::Minus, slide.clone());
        }
        let end = binary(start.clone(), BinaryOperator::Plus, size.clone());
        let value = |column: &ScopeColumn| Bound::new(super::column(column.field.name()), column.ty.clone(), None);
        let mut outputs: Vec<Bound> = rows.items[0].columns.iter().map(value).collect();
        for bound in [start, end] {
            let bound = self.bind_expr(&bound, &scope)?;
            outputs.push(self.coerce(bound, &ty, Coercion::Implicit)?);
        }
        let exprs = outputs.into_iter().map(|output| output.expr.alias(self.fresh())).collect();
        let mut columns: Vec<OutputColumn> = rows.items[0].columns.iter().map(output_of).collect();
        for name in ["window_start", "window_end"] {
            columns.push(OutputColumn { name: name.into(), ty: ty.clone(), relation: None });
        }
        Ok(BoundQuery { plan: plan::project(rows.plan.clone(), exprs)?, columns })
    }

    /// How many windows hold each moment: the size in slides.
    fn windows_of_a_row(&mut self, slide: &ast::Expr, size: &ast::Expr) -> Result<i128> {
        let position = self.position(slide.span());
        let (slide, size) = (self.length(slide)?, self.length(size)?);
        if size % slide != 0 {
            let message = "the size of a window must be a multiple of its slide";
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).at(position));
        }
        match size / slide {
            windows if windows <= MAX_WINDOWS => Ok(windows),
            windows => {
                let message = format!("{windows} windows would hold each row (maximum {MAX_WINDOWS})");
                Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message).at(position))
            }
        }
    }

    /// A constant interval in nanoseconds; months have no length.
    fn length(&mut self, expr: &ast::Expr) -> Result<i128> {
        let position = self.position(expr.span());
        let scope = Scope::new(None, Clause::From, self.text.clone());
        let bound = self.bind_expr(expr, &scope)?;
        let bound = self.coerce(bound, &SqlType::Interval, Coercion::Implicit).map_err(|error| error.at(position))?;
        let wrong = || {
            let message = "the size of a window must be a constant interval above zero, without months";
            Error::new(SqlState::INVALID_PARAMETER_VALUE, message).at(position)
        };
        let nanoseconds = super::plan::constant_interval(bound.expr)?.ok_or_else(wrong)?;
        if nanoseconds > 0 { Ok(nanoseconds) } else { Err(wrong()) }
    }
}

fn output_of(column: &ScopeColumn) -> OutputColumn {
    OutputColumn { name: column.name.clone(), ty: column.ty.clone(), relation: column.origin }
}

fn expr_of(arg: &FunctionArg) -> Option<&ast::Expr> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    }
}

/// The relation that an argument names.
fn relation_name(expr: &ast::Expr) -> Option<ObjectName> {
    match expr {
        ast::Expr::Identifier(ident) => Some(ObjectName::from(vec![ident.clone()])),
        ast::Expr::CompoundIdentifier(idents) => Some(ObjectName::from(idents.clone())),
        _ => None,
    }
}

/// What windows are counted from.
fn epoch(ty: &SqlType) -> ast::Expr {
    let info = match ty {
        SqlType::Timestamptz => ast::TimezoneInfo::WithTimeZone,
        _ => ast::TimezoneInfo::None,
    };
    ast::Expr::Cast {
        kind: ast::CastKind::Cast,
        expr: Box::new(ast::Expr::value(ast::Value::SingleQuotedString("1970-01-01 00:00:00+00".into()))),
        data_type: ast::DataType::Timestamp(None, info),
        array: false,
        format: None,
    }
}

fn call(name: &str, args: Vec<ast::Expr>) -> ast::Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect::<Vec<_>>();
    super::table_function::call_expr(&ObjectName::from(vec![ast::Ident::new(name)]), &args)
}

fn binary(left: ast::Expr, op: BinaryOperator, right: ast::Expr) -> ast::Expr {
    ast::Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}
