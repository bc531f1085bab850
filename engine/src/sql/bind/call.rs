//! Function calls (`parse_func.c`).

use arrow::compute::SortOptions;
use datafusion::logical_expr::expr::Unnest;
use datafusion::logical_expr::{Expr, SortExpr, lit};
use sqlparser::ast::{
    self, DuplicateTreatment, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
    NullTreatment, Spanned,
};

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::adt::time_zone::TimeZone;
use crate::sql::bind::named_argument::in_place;
use crate::sql::bind::order::order_key;
use crate::sql::bind::select::comparable;
use crate::sql::bind::subquery::contains_subquery;
use crate::sql::bind::{Binder, Bound, Clause, Purpose, Scope, fold};
use crate::sql::functions::aggregate::{AggregateCall, Window};
use crate::sql::functions::signature::{Body, Function as Signature, Volatility};
use crate::sql::functions::{Choice, PgScalar, choose, named};
use crate::sql::type_name::by_name;

/// What of a call stands around its arguments.
pub(super) struct Clauses<'c> {
    pub distinct: bool,
    star: bool,
    pub args: Vec<&'c ast::Expr>,
    order_by: &'c [ast::OrderByExpr],
    nulls: Option<NullTreatment>,
}

impl Binder<'_> {
    pub(super) fn bind_call(&mut self, call: &Function, scope: &Scope) -> Result<Bound> {
        let position = self.position(call.name.span());
        let name = function_name(call)?;
        if matches!(call.args, FunctionArguments::None)
            && let Some(bound) = self.session_value(&name, position)?
        {
            return Ok(bound);
        }
        if let FunctionArguments::Subquery(query) = &call.args {
            return match name.as_str() {
                "array" => self.bind_array_subquery(query, scope),
                _ => Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error: a subquery needs parentheses of its own")),
            };
        }
        if !call.within_group.is_empty() {
            return self.bind_ordered_set(&name, call, scope).map_err(|error| error.at(position));
        }
        let clauses = clauses(call)?;
        if clauses.args.is_empty()
            && call.over.is_none()
            && let Some(bound) = self.session_function(&name, position)?
        {
            return Ok(bound);
        }
        if name == "row" && call.name.0.len() == 1 {
            return self.bind_row(clauses.args.iter().copied(), scope);
        }
        let plain = call.over.is_none() && call.filter.is_none() && !clauses.distinct && !clauses.star;
        if plain && let Some(bound) = self.bind_conditional(&name, &clauses.args, scope)? {
            return Ok(bound);
        }
        self.bind_function(&name, call, clauses, scope).map_err(|error| error.at(position))
    }

    fn bind_function(&mut self, name: &str, call: &Function, clauses: Clauses, scope: &Scope) -> Result<Bound> {
        let position = self.position(call.name.span());
        let aggregate = named(name).any(|function| matches!(function.body, Body::Aggregate(_)));
        if aggregate && call.over.is_none() {
            scope.check_aggregate(position)?;
        }
        let within = if aggregate && call.over.is_none() { Some(scope.within(Clause::Aggregate)) } else { None };
        let inner = within.as_ref().unwrap_or(scope);
        let mut args = clauses.args.iter().map(|arg| self.bind_expr(arg, inner)).collect::<Result<Vec<_>>>()?;
        if name == "grouping" && call.over.is_none() {
            return self.grouping(args, position);
        }
        if name == "count" && clauses.star {
            args = vec![Bound::new(lit(1i64), SqlType::Int8, None)];
        } else if clauses.star && aggregate {
            return Err(no_function(name, &[]));
        } else if clauses.star {
            let message = format!("{name}(*) specified, but {name} is not an aggregate function");
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        } else if name == "count" && args.is_empty() {
            let message = "count(*) must be used to call a parameterless aggregate function";
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        let given: Vec<SqlType> = args.iter().map(|arg| arg.ty.clone()).collect();
        if name == "pg_typeof" && given == [SqlType::Unknown] {
            return Ok(Bound::new(lit(SqlType::Unknown.oid()), SqlType::Regtype, position));
        }
        let (function, types, result) = match choose(named(name), &given) {
            Choice::One { function, args, result } => (function, args, result),
            Choice::None => return self.function_style_cast(name, args, &given),
            Choice::Ambiguous => {
                let message = format!("function {} is not unique", signature(name, &given));
                return Err(Error::new(SqlState::AMBIGUOUS_FUNCTION, message).with_hint(
                    "Could not choose a best candidate function. You might need to add explicit type casts.",
                ));
            }
        };
        let args = args.into_iter().zip(&types).map(|(arg, ty)| self.argument(arg, ty)).collect::<Result<Vec<_>>>()?;
        if matches!(function.body, Body::Aggregate(_) | Body::Window(_)) {
            return self.collect_call(function, args, result, call, &clauses, scope);
        }
        refuse_clauses(name, call, &clauses)?;
        if matches!(function.body, Body::Rows(_)) {
            scope.check_set_returning(position)?;
        }
        self.invoke(function, args, result, position)
    }

    /// An aggregate or window function's call.
    fn collect_call(
        &mut self,
        function: &'static Signature,
        args: Vec<Bound>,
        result: SqlType,
        call: &Function,
        clauses: &Clauses,
        scope: &Scope,
    ) -> Result<Bound> {
        let position = self.position(call.name.span());
        // Made of another aggregate, by whose name it would be refused later.
        if self.purpose == Purpose::View
            && matches!(function.name, "json_agg" | "jsonb_agg" | "json_object_agg" | "jsonb_object_agg")
        {
            return Err(Error::unsupported(format!("{}() in a materialized view", function.name)));
        }
        let is_window = matches!(function.body, Body::Window(_));
        if call.over.is_some() {
            scope.check_window(position)?;
        } else if is_window {
            let message = format!("window function {} requires an OVER clause", function.name);
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        if call.over.is_some() && clauses.distinct {
            return Err(Error::unsupported("DISTINCT in a window function"));
        }
        if call.over.is_some() && !clauses.order_by.is_empty() {
            return Err(Error::unsupported("ORDER BY within a window function's arguments"));
        }
        if is_window && call.filter.is_some() {
            let message = "FILTER is not implemented for non-aggregate window functions";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let within = scope.within(Clause::Filter);
        let filter = match &call.filter {
            Some(filter) => {
                let bound = self.bind_expr(filter, &within)?;
                Some(self.boolean(bound, "FILTER")?)
            }
            None => None,
        };
        let mut order_by = self.bind_sort(clauses.order_by, &scope.within(Clause::Aggregate))?;
        let distinct_order = match clauses.distinct {
            true => {
                args.iter().try_for_each(comparable)?;
                self.order_by_arguments(&mut order_by, &args, clauses)?;
                let order = distinct_order(&args, &order_by)?;
                order_by.clear();
                order
            }
            false => None,
        };
        let over = match &call.over {
            Some(over) => {
                let over = self.bind_over(over, scope)?;
                Some(Window { partition_by: over.partition_by, order_by: over.order_by, frame: over.frame })
            }
            None => None,
        };
        let nulls = call.null_treatment.or(clauses.nulls);
        if nulls == Some(NullTreatment::IgnoreNulls) {
            return Err(Error::unsupported("IGNORE NULLS"));
        }
        let types: Vec<SqlType> = args.iter().map(|arg| arg.ty.clone()).collect();
        let zoned = types.iter().any(super::coerce::is_zoned);
        let args = args.into_iter().map(|arg| arg.expr).collect();
        let distinct = clauses.distinct;
        let result_type = result.clone();
        let zone = if zoned { self.zone()? } else { TimeZone::UTC };
        let call =
            AggregateCall { args, types, result: result_type, distinct, filter, order_by, distinct_order, zone, over };
        let expr = match function.body {
            Body::Aggregate(plan) | Body::Window(plan) => plan(call)?,
            _ => return Err(Error::internal("an aggregate expected")),
        };
        Ok(Bound::new(expr, result, position))
    }

    /// Sorts by an argument itself where a key is written as it is: bound anew, subqueries have other names.
    fn order_by_arguments(&self, order_by: &mut [SortExpr], args: &[Bound], clauses: &Clauses) -> Result<()> {
        for (sort, key) in order_by.iter_mut().zip(clauses.order_by) {
            let Some(at) = clauses.args.iter().position(|arg| **arg == key.expr) else { continue };
            if let Some(arg) = args.get(at)
                && contains_subquery(&arg.expr)
            {
                *sort = self.bind_sort_as(key, arg.expr.clone(), &arg.ty)?;
            }
        }
        Ok(())
    }

    /// GROUPING(…), which the query resolves.
    fn grouping(&mut self, args: Vec<Bound>, position: Option<usize>) -> Result<Bound> {
        let args = args.into_iter().map(|arg| arg.expr).collect();
        let call = AggregateCall::plain(args, SqlType::Int4);
        let args = call.args.clone();
        let expr = call.of(datafusion::functions_aggregate::grouping::grouping_udaf(), args);
        Ok(Bound::new(expr, SqlType::Int4, position))
    }

    /// A chosen function over arguments of exactly its types.
    pub(super) fn invoke(
        &mut self,
        function: &'static Signature,
        args: Vec<Bound>,
        result: SqlType,
        position: Option<usize>,
    ) -> Result<Bound> {
        if self.purpose == Purpose::View && function.volatility != Volatility::Immutable {
            return Err(changing(function.name));
        }
        let types: Vec<SqlType> = args.iter().map(|arg| arg.ty.clone()).collect();
        let exprs: Vec<Expr> = args.into_iter().map(|arg| arg.expr).collect();
        let zoned = types.iter().chain([&result]).any(super::coerce::is_zoned);
        let zone = if zoned { self.zone()? } else { TimeZone::UTC };
        let (name, volatility) = (function.name, function.volatility);
        let expr = match function.body {
            Body::Catalog(kernel) => {
                self.lasting = false;
                self.changes_settings |= name == "set_config";
                let system = self.names.system().ok_or_else(|| changing(function.name))?;
                PgScalar::of_catalog(name, types, result.clone(), volatility, (kernel, system)).call(exprs)
            }
            Body::Kernel(kernel) => PgScalar::new(name, types, result.clone(), zone, volatility, kernel).call(exprs),
            Body::Rows(kernel) => {
                let list = result.clone().array();
                let list = PgScalar::new(name, types, list, zone, volatility, kernel).call(exprs);
                Expr::Unnest(Unnest { expr: Box::new(list), outer: false })
            }
            Body::Plan(plan) => plan(exprs)?,
            Body::Aggregate(_) | Body::Window(_) => return Err(Error::internal("an aggregate is no scalar")),
        };
        Ok(Bound::new(expr, result, position))
    }

    /// Calls a function of ours for syntax that stands for it.
    pub(super) fn call_by_name(&mut self, name: &str, args: Vec<Bound>) -> Result<Bound> {
        let given: Vec<SqlType> = args.iter().map(|arg| arg.ty.clone()).collect();
        match choose(named(name), &given) {
            Choice::One { function, args: types, result } => {
                let args = args.into_iter().zip(&types).map(|(arg, ty)| self.argument(arg, ty));
                let args = args.collect::<Result<Vec<_>>>()?;
                self.invoke(function, args, result, None)
            }
            _ => Err(no_function(name, &given)),
        }
    }

    /// `int4(x)`: a type's name called with one argument casts.
    fn function_style_cast(&mut self, name: &str, mut args: Vec<Bound>, given: &[SqlType]) -> Result<Bound> {
        match (by_name(name, false), args.pop()) {
            (Some(ty), Some(arg)) if args.is_empty() && ty != SqlType::Unknown => self.cast(arg, &ty),
            _ => Err(no_function(name, given)),
        }
    }
}

/// The order of an aggregate's DISTINCT values; None where there is none.
fn distinct_order(args: &[Bound], order_by: &[SortExpr]) -> Result<Option<SortOptions>> {
    let orders =
        |sort: &SortExpr, arg: &Bound| sort.expr == arg.expr || sort.expr == order_key(arg.expr.clone(), &arg.ty);
    if !order_by.iter().all(|sort| args.iter().any(|arg| orders(sort, arg))) {
        let message = "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list";
        return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message));
    }
    match (order_by.first(), args.first()) {
        // PostgreSQL sorts to find what is distinct.
        (None, first) => Ok(first.map(|_| SortOptions { descending: false, nulls_first: false })),
        (Some(sort), Some(arg)) if orders(sort, arg) => {
            Ok(Some(SortOptions { descending: !sort.asc, nulls_first: sort.nulls_first }))
        }
        _ => Err(Error::unsupported("this ORDER BY of an aggregate of DISTINCT values")),
    }
}

/// A function that a view cannot have.
pub(super) fn changing(name: &str) -> Error {
    Error::unsupported(format!("function {name}() in a materialized view"))
        .with_hint("Its result changes by itself, and a view only changes when its inputs do.")
}

fn function_name(call: &Function) -> Result<String> {
    let parts: Vec<String> = call.name.0.iter().filter_map(|part| part.as_ident()).map(fold).collect();
    match parts.as_slice() {
        [name] => Ok(name.clone()),
        [schema, name] if schema == "pg_catalog" => Ok(name.clone()),
        [schema, name] if schema == "information_schema" => Ok(name.clone()),
        parts => {
            let message = format!("function {}() does not exist", parts.join("."));
            Err(Error::new(SqlState::UNDEFINED_FUNCTION, message))
        }
    }
}

pub(super) fn clauses(call: &Function) -> Result<Clauses<'_>> {
    let mut out = Clauses { distinct: false, star: false, args: Vec::new(), order_by: &[], nulls: None };
    let FunctionArguments::List(list) = &call.args else {
        return Ok(out);
    };
    out.distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    let mut named = Vec::new();
    for arg in &list.args {
        match arg {
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(expr), .. } => named.push((name, expr)),
            FunctionArg::Unnamed(_) if !named.is_empty() => {
                let message = "positional argument cannot follow named argument";
                return Err(Error::new(SqlState::SYNTAX_ERROR, message));
            }
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => out.args.push(expr),
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => out.star = true,
            other => return Err(Error::unsupported(format!("the argument {other}"))),
        }
    }
    if !named.is_empty() {
        out.args = in_place(&function_name(call)?, &out.args, &named)?;
    }
    for clause in &list.clauses {
        match clause {
            FunctionArgumentClause::OrderBy(keys) => out.order_by = keys,
            FunctionArgumentClause::IgnoreOrRespectNulls(nulls) => out.nulls = Some(*nulls),
            other => return Err(Error::unsupported(format!("{other} in a function call"))),
        }
    }
    Ok(out)
}

/// DISTINCT, ORDER BY, FILTER and OVER mean nothing to a plain function (42809).
fn refuse_clauses(name: &str, call: &Function, clauses: &Clauses) -> Result<()> {
    let no_aggregate = |clause: &str| {
        let message = format!("{clause} specified, but {name} is not an aggregate function");
        Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message))
    };
    if clauses.distinct {
        return no_aggregate("DISTINCT");
    }
    if !clauses.order_by.is_empty() {
        return no_aggregate("ORDER BY");
    }
    if call.filter.is_some() {
        return no_aggregate("FILTER");
    }
    if call.over.is_some() {
        let message = format!("OVER specified, but {name} is not a window function nor an aggregate function");
        return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
    }
    Ok(())
}

fn signature(name: &str, given: &[SqlType]) -> String {
    let types: Vec<String> = given.iter().map(|ty| ty.bare().to_string()).collect();
    format!("{name}({})", types.join(", "))
}

pub(super) fn no_function(name: &str, given: &[SqlType]) -> Error {
    Error::new(SqlState::UNDEFINED_FUNCTION, format!("function {} does not exist", signature(name, given)))
        .with_hint("No function matches the given name and argument types. You might need to add explicit type casts.")
}
