//! INSERT … ON CONFLICT DO UPDATE: what becomes of rows that are there already.

use datafusion::logical_expr::{Expr, LogicalPlan};
use sqlparser::ast::{self, TableAlias};

use crate::error::Result;
use crate::sql::bind::from::Tables;
use crate::sql::bind::insert::{WriteTarget, outputs};
use crate::sql::bind::{Binder, BoundQuery, Clause, Scope, column, plan};

impl Binder<'_> {
    /// The update of rows in conflict. `pairs` has the columns of the table as they are, those of the row that was to be
    /// inserted, and one more; where the condition holds, the result has that one, then the table's columns as they become.
    pub fn bind_conflict_update(
        &mut self,
        target: &WriteTarget,
        alias: Option<&TableAlias>,
        update: &ast::DoUpdate,
        pairs: LogicalPlan,
    ) -> Result<BoundQuery> {
        let stored = self.scan(&target.table)?;
        let stored = self.aliased(stored, alias)?;
        let mut items = stored.items;
        for mut item in self.scan(&target.table)?.items {
            item.name = Some("excluded".to_owned());
            items.push(item);
        }
        let number = self.fresh();
        let names = items.iter().flat_map(|item| &item.columns).map(|column| column.field.name().clone());
        let names: Vec<String> = names.chain([number.clone()]).collect();
        let exprs = plan::columns(&pairs).zip(&names).map(|(expr, name)| expr.alias(name)).collect();
        let mut tables = Tables { plan: plan::project(pairs, exprs)?, items };
        Scope::refresh(&mut tables.items, tables.plan.schema());
        let mut scope = Scope::new(None, Clause::Where, self.text.clone());
        scope.items = tables.items;
        let input = match &update.selection {
            None => tables.plan,
            Some(selection) => {
                let predicate = self.condition(selection, &scope)?;
                plan::filter(tables.plan, predicate)?
            }
        };
        let scope = scope.within(Clause::Update);
        let old: Vec<Expr> = scope.items[0].columns.iter().map(|column| self::column(column.field.name())).collect();
        let (new, _) = self.assign(target, &update.assignments, old, &scope)?;
        let exprs = std::iter::once(self::column(number)).chain(new).map(|expr| expr.alias(self.fresh())).collect();
        Ok(BoundQuery { plan: plan::project(input, exprs)?, columns: outputs(&target.table) })
    }
}
