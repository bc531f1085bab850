//! `percentile_cont(0.5) WITHIN GROUP (ORDER BY x)` and its kind: the values are gathered in their order, and the function
//! is applied to the list of them.

use datafusion::functions_aggregate::array_agg::array_agg_udaf;
use sqlparser::ast::{Function, Spanned};

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::adt::time_zone::TimeZone;
use crate::sql::bind::call::clauses;
use crate::sql::bind::order::orderable;
use crate::sql::bind::{Binder, Bound, Clause, Purpose, Scope};
use crate::sql::functions::aggregate::{AggregateCall, relabel};
use crate::sql::functions::signature::{Body, Kernel, Volatility};
use crate::sql::functions::{PgScalar, named, ordered_set};

impl Binder<'_> {
    pub(super) fn bind_ordered_set(&mut self, name: &str, call: &Function, scope: &Scope) -> Result<Bound> {
        let position = self.position(call.name.span());
        let (kernel, direct): (Kernel, usize) = match name {
            "percentile_cont" => (ordered_set::percentile_cont, 1),
            "percentile_disc" => (ordered_set::percentile_disc, 1),
            "mode" => (ordered_set::mode, 0),
            _ if named(name).any(|function| matches!(function.body, Body::Aggregate(_))) => {
                let message = format!("{name} is not an ordered-set aggregate, so it cannot have WITHIN GROUP");
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
            _ => return Err(Error::unsupported(format!("WITHIN GROUP of {name}()"))),
        };
        if self.purpose == Purpose::View {
            return Err(Error::unsupported(format!("{name}() in a materialized view"))
                .with_hint("Use it in the query over the view."));
        }
        if call.over.is_some() {
            return Err(Error::unsupported(format!("OVER of the ordered-set aggregate {name}()")));
        }
        scope.check_aggregate(position)?;
        let clauses = clauses(call)?;
        if clauses.distinct {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "cannot use DISTINCT with WITHIN GROUP"));
        }
        let [key] = call.within_group.as_slice() else {
            return Err(Error::unsupported(format!("{name}() of several columns")));
        };
        if clauses.args.len() != direct {
            return Err(Error::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("function {name} has {direct} direct arguments, not {}", clauses.args.len()),
            ));
        }
        let within = scope.within(Clause::Aggregate);
        let value = self.bind_expr(&key.expr, &within)?;
        let mut value = self.settle(value)?;
        match &value.ty {
            SqlType::Array(_) => return Err(Error::unsupported(format!("{name}() of arrays"))),
            SqlType::Interval if name == "percentile_cont" => {
                return Err(Error::unsupported("percentile_cont() of intervals"));
            }
            _ if name == "percentile_cont" => value = self.argument(value, &SqlType::Float8)?,
            _ => {}
        }
        orderable(&value)?;
        let (mut args, mut types, mut several) = (Vec::with_capacity(2), Vec::with_capacity(2), false);
        for arg in &clauses.args {
            let fraction = self.bind_expr(arg, scope)?;
            several = matches!(fraction.ty, SqlType::Array(_));
            let ty = if several { SqlType::Float8.array() } else { SqlType::Float8 };
            args.push(self.argument(fraction, &ty)?.expr);
            types.push(ty);
        }
        let present = value.expr.clone().is_not_null();
        let filter = match &call.filter {
            None => present,
            Some(filter) => {
                let bound = self.bind_expr(filter, &scope.within(Clause::Filter))?;
                self.boolean(bound, "FILTER")?.and(present)
            }
        };
        let order_by = self.bind_sort_as(key, value.expr.clone(), &value.ty)?;
        let list = value.ty.clone().array();
        let gathered = AggregateCall {
            types: vec![value.ty.clone()],
            filter: Some(filter),
            order_by: vec![order_by],
            ..AggregateCall::plain(vec![value.expr], list.clone())
        };
        args.push(relabel(gathered.of(array_agg_udaf(), gathered.args.clone()), &list));
        let result = if several { list.clone() } else { value.ty };
        types.push(list);
        let kernel = match (several, name) {
            (true, "percentile_cont") => ordered_set::percentiles_cont,
            (true, _) => ordered_set::percentiles_disc,
            (false, _) => kernel,
        };
        let function = PgScalar::new(name, types, result.clone(), TimeZone::UTC, Volatility::Immutable, kernel);
        Ok(Bound::new(function.call(args), result, position))
    }
}
