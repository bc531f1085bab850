//! TUMBLE and HOP: a relation's rows with the time windows they fall into.
//!
//! `TUMBLE(relation, time, size [, offset])` gives each row the columns `window_start` and `window_end` of the one window of
//! that size its time is in. `HOP(relation, time, slide, size [, offset])` gives a row once for each of the windows that
//! begin a slide apart and hold its time. Windows are counted from the beginning of 1970 (UTC), or an offset after it. A row
//! whose time is NULL or infinite is in no window. The spelling is RisingWave's.

use datafusion::common::NullHandling;
use datafusion::logical_expr::Expr;
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, ObjectName, Spanned, TableAlias};

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::coerce::Coercion;
use crate::sql::bind::from::{Tables, rename};
use crate::sql::bind::scope::ScopeColumn;
use crate::sql::bind::{Binder, BoundQuery, Clause, OutputColumn, Scope, column, fold, plan};
use crate::sql::functions::event_windows::Windows;

/// Windows that one row of HOP may be in.
const MAX_WINDOWS: i64 = 100;

/// Whether a function's name is one of ours that take a relation.
pub(super) fn is_window_table(name: &ObjectName) -> bool {
    matches!(&name.0[..], [part] if part.as_ident().is_some_and(|ident| matches!(fold(ident).as_str(), "tumble" | "hop")))
}

/// A call of TUMBLE or HOP, taken apart.
struct Call<'a> {
    relation: ObjectName,
    time: &'a ast::Expr,
    slide: &'a ast::Expr,
    size: &'a ast::Expr,
    offset: Option<&'a ast::Expr>,
}

impl<'a> Call<'a> {
    fn new(function: &str, args: &'a [FunctionArg]) -> Option<Call<'a>> {
        let args: Vec<&ast::Expr> = args.iter().map(expr_of).collect::<Option<_>>()?;
        let (relation, time, slide, size, offset) = match (function, args.as_slice()) {
            ("tumble", [relation, time, size, offset @ ..]) => (relation, time, size, size, offset),
            ("hop", [relation, time, slide, size, offset @ ..]) => (relation, time, slide, size, offset),
            _ => return None,
        };
        let offset = match offset {
            [] => None,
            [offset] => Some(*offset),
            _ => return None,
        };
        Some(Call { relation: relation_name(relation)?, time, slide, size, offset })
    }
}

impl Binder<'_> {
    /// Binds TUMBLE or HOP in FROM.
    pub(super) fn window_table(
        &mut self,
        name: &ObjectName,
        args: &[FunctionArg],
        alias: Option<&TableAlias>,
    ) -> Result<Tables> {
        let function = name.to_string().to_ascii_lowercase();
        let call = Call::new(&function, args).ok_or_else(|| {
            let usage = match function.as_str() {
                "tumble" => "Write TUMBLE(relation, time column, size [, offset]).",
                _ => "Write HOP(relation, time column, slide, size [, offset]).",
            };
            Error::new(SqlState::UNDEFINED_FUNCTION, format!("invalid arguments of {function}()"))
                .with_hint(usage)
                .at(self.position(name.span()))
        })?;
        let windows = self.window_lengths(&call)?;
        let rows = self.relation(&call.relation)?;
        let query = self.windowed(&rows, call.time, windows)?;
        let mut item = query.item(rows.items[0].name.clone());
        if let Some(alias) = alias {
            rename(&mut item, alias, "table")?;
        }
        Ok(Tables { plan: query.plan, items: vec![item] })
    }

    /// The rows with the windows that their time is in.
    fn windowed(&mut self, rows: &Tables, time: &ast::Expr, windows: Windows) -> Result<BoundQuery> {
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
        let (mut input, mut time) = (rows.plan.clone(), bound.expr);
        if !matches!(time, Expr::Column(_)) {
            let name = self.fresh();
            input = plan::extend(input, vec![time.alias(&name)])?;
            time = column(name);
        }
        input = plan::filter(input, Windows::within(&ty, time.clone()))?;
        let start = if windows.size == windows.slide {
            windows.start(&ty, time)
        } else {
            let name = self.fresh();
            input = plan::extend(input, vec![windows.starts(&ty, time).alias(&name)])?;
            input = plan::unnest(input, std::slice::from_ref(&name), NullHandling::Drop)?;
            column(name)
        };
        let columns = &rows.items[0].columns;
        let mut exprs: Vec<Expr> = columns.iter().map(|kept| column(kept.field.name())).collect();
        exprs.push(start.clone().alias(self.fresh()));
        exprs.push(windows.end(&ty, start).alias(self.fresh()));
        let mut columns: Vec<OutputColumn> = columns.iter().map(output_of).collect();
        for name in ["window_start", "window_end"] {
            columns.push(OutputColumn { name: name.into(), ty: ty.clone(), relation: None });
        }
        Ok(BoundQuery { plan: plan::project(input, exprs)?, columns })
    }

    /// The lengths of a call, which are constants.
    fn window_lengths(&mut self, call: &Call) -> Result<Windows> {
        let position = self.position(call.slide.span());
        let wrong = "the size of a window must be a constant interval above zero, without months";
        let (slide, size) = (self.constant_micros(call.slide, wrong)?, self.constant_micros(call.size, wrong)?);
        for (length, expr) in [(slide, call.slide), (size, call.size)] {
            if length <= 0 {
                let error = Error::new(SqlState::INVALID_PARAMETER_VALUE, wrong);
                return Err(error.at(self.position(expr.span())));
            }
        }
        if size % slide != 0 {
            let message = "the size of a window must be a multiple of its slide";
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).at(position));
        }
        if size / slide > MAX_WINDOWS {
            let message = format!("{} windows would hold each row (maximum {MAX_WINDOWS})", size / slide);
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message).at(position));
        }
        let wrong = "the offset of windows must be a constant interval without months";
        let offset = call.offset.map_or(Ok(0), |offset| self.constant_micros(offset, wrong))?;
        Ok(Windows { slide, size, offset: offset % slide })
    }

    /// A constant interval in microseconds; `wrong` is the message for anything else. Months have no length.
    pub fn constant_micros(&mut self, expr: &ast::Expr, wrong: &str) -> Result<i64> {
        let position = self.position(expr.span());
        let scope = Scope::new(None, Clause::From, self.text.clone());
        let bound = self.bind_expr(expr, &scope)?;
        let bound = self.coerce(bound, &SqlType::Interval, Coercion::Implicit).map_err(|error| error.at(position))?;
        let nanoseconds = plan::constant_interval(bound.expr)?;
        let micros = nanoseconds.and_then(|length| i64::try_from(length / 1000).ok());
        micros.ok_or_else(|| Error::new(SqlState::INVALID_PARAMETER_VALUE, wrong.to_owned()).at(position))
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
