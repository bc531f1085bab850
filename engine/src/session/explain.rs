//! EXPLAIN: how a query is run, as text.

use sqlparser::ast;

use crate::error::{Error, Result};
use crate::session::run::Arguments;
use crate::session::show::text_rows;
use crate::session::{Response, Session};
use crate::sql::runnable;

impl Session {
    pub(super) async fn explain(
        &mut self,
        explain: &ast::Statement,
        text: &str,
        arguments: Arguments<'_>,
    ) -> Result<Response> {
        let ast::Statement::Explain { statement, analyze, .. } = explain else {
            return Err(Error::internal("not an EXPLAIN"));
        };
        if *analyze {
            return Err(Error::unsupported("EXPLAIN ANALYZE").with_hint("Use EXPLAIN without ANALYZE."));
        }
        let ast::Statement::Query(query) = &**statement else {
            return Err(Error::unsupported("EXPLAIN of this statement").with_hint("EXPLAIN takes a query."));
        };
        let planned = self.planned(query, text, Arguments { plans: None, ..arguments })?;
        let plan = self.engine.queries.optimized(&runnable(planned.plan.clone(), arguments.values)?)?;
        let mut lines: Vec<String> = self.lookup(&planned)?.into_iter().collect();
        lines.extend(plan.display_indent().to_string().lines().map(str::to_owned));
        Ok(text_rows(&["QUERY PLAN"], [lines], "EXPLAIN"))
    }
}
