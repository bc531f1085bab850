//! The columns a query puts out: settling their types, giving them others.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, Volatility};

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::coerce::Coercion;
use crate::sql::bind::scope::{ScopeColumn, ScopeItem};
use crate::sql::bind::{Binder, Bound, BoundQuery, Purpose, column, plan};

impl BoundQuery {
    /// The output as expressions over the plan.
    pub(super) fn outputs(&self) -> Vec<Bound> {
        let fields = self.plan.schema().fields().iter();
        let bound = |(field, column): (&datafusion::arrow::datatypes::FieldRef, &super::OutputColumn)| {
            Bound::new(super::column(field.name()), column.ty.clone(), None)
        };
        fields.zip(&self.columns).map(bound).collect()
    }

    /// The output as a relation in FROM.
    pub(super) fn item(&self, name: Option<String>) -> ScopeItem {
        let columns = self.plan.schema().fields().iter().zip(&self.columns).map(|(field, column)| ScopeColumn {
            name: column.name.clone(),
            field: field.clone(),
            ty: column.ty.clone(),
            origin: column.relation,
        });
        ScopeItem::new(name, columns.collect())
    }
}

impl Binder<'_> {
    /// Makes text of the columns that are still of unknown type.
    pub(super) fn settle_columns(&mut self, query: BoundQuery) -> Result<BoundQuery> {
        let types: Vec<SqlType> = query.columns.iter().map(|column| settled(&column.ty)).collect();
        self.coerce_columns(query, &types, Coercion::Implicit, |_, error| error)
    }

    /// Gives the output columns these types. A literal of unknown type is read as one of its new type; what cannot be
    /// coerced is the error that `explain` makes of it, told the column's index.
    pub(super) fn coerce_columns(
        &mut self,
        query: BoundQuery,
        types: &[SqlType],
        context: Coercion,
        explain: impl Fn(usize, Error) -> Error,
    ) -> Result<BoundQuery> {
        let BoundQuery { plan, mut columns } = query;
        if columns.iter().map(|column| &column.ty).eq(types) {
            return Ok(BoundQuery { plan, columns });
        }
        // A literal is still in the projection that puts it out: there it can be read anew.
        let (input, exprs) = match plan {
            LogicalPlan::Projection(Projection { expr, input, .. }) => (std::sync::Arc::unwrap_or_clone(input), expr),
            plan => {
                let exprs = plan::columns(&plan).collect();
                (plan, exprs)
            }
        };
        let mut coerced = Vec::with_capacity(exprs.len());
        for (index, (expr, ty)) in exprs.into_iter().zip(types).enumerate() {
            let output = &mut columns[index];
            if output.ty == *ty {
                coerced.push(expr);
                continue;
            }
            let bound = Bound::new(expr.unalias(), output.ty.clone(), None);
            let bound = self.coerce(bound, ty, context).map_err(|error| explain(index, error))?;
            coerced.push(bound.expr.alias(self.fresh()));
            (output.ty, output.relation) = (ty.clone(), None);
        }
        Ok(BoundQuery { plan: plan::project(input, coerced)?, columns })
    }

    /// The query with new internal names: for a plan that stands in the statement more than once.
    pub(super) fn renamed(&mut self, query: BoundQuery) -> Result<BoundQuery> {
        let exprs = query.outputs().into_iter().map(|output| output.expr.alias(self.fresh())).collect();
        Ok(BoundQuery { plan: plan::project(query.plan, exprs)?, columns: query.columns })
    }

    /// In a view, refuses functions that answer differently each time.
    pub(super) fn check_purpose(&self, plan: &LogicalPlan) -> Result<()> {
        if self.purpose != Purpose::View {
            return Ok(());
        }
        let mut found = None;
        let volatile = |expr: &Expr| match expr {
            Expr::ScalarFunction(call) if call.func.signature().volatility == Volatility::Volatile => {
                Some(call.func.name().to_owned())
            }
            _ => None,
        };
        plan.apply_with_subqueries(|node| {
            node.apply_expressions(|expr| {
                expr.apply(|expr| {
                    found = found.take().or_else(|| volatile(expr));
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        })?;
        match found {
            None => Ok(()),
            Some(name) => {
                let message = format!("function {name}() cannot be used in a materialized view");
                Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
                    .with_hint("Its result differs each time it is called, so the view could not be kept up to date."))
            }
        }
    }
}

/// What a column's type is where nothing more is said of it.
pub(super) fn settled(ty: &SqlType) -> SqlType {
    match ty {
        SqlType::Unknown => SqlType::Text,
        ty => ty.clone(),
    }
}

/// The plan's column under its internal name, again as a column.
pub(super) fn field_column(plan: &LogicalPlan, index: usize) -> Expr {
    column(plan.schema().field(index).name())
}
