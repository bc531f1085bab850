//! EXPLAIN: how a query is run, as text.

use sqlparser::ast;

use crate::error::{Error, Result};
use crate::session::run::Arguments;
use crate::session::show::text_rows;
use crate::session::{Response, Session};
use crate::sql::bind::Purpose;
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
        let bound = self.bind(text, Purpose::Query, arguments, |binder| binder.bind_query(query))?;
        let plan = self.engine.queries.optimized(&runnable(bound.plan, arguments.values)?)?;
        let lines = plan.display_indent().to_string().lines().map(str::to_owned).collect();
        Ok(text_rows(&["QUERY PLAN"], [lines], "EXPLAIN"))
    }
}
