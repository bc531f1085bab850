//! Stopping a statement while it is read and planned.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};

/// Whether a statement is to stop; what takes long asks every now and then.
#[derive(Clone, Default)]
pub struct Interrupt(Option<Arc<dyn Fn() -> Option<Error> + Send + Sync>>);

impl Interrupt {
    /// `reason` is the error to stop with, once there is one. Without any ([`Interrupt::default`]), nothing stops.
    pub fn new(reason: impl Fn() -> Option<Error> + Send + Sync + 'static) -> Interrupt {
        Interrupt(Some(Arc::new(reason)))
    }

    /// # Errors
    /// The reason to stop.
    pub fn check(&self) -> Result<()> {
        match self.0.as_ref().and_then(|reason| reason()) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interrupt")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::catalog::Catalog;
    use crate::error::SqlState;
    use crate::sql::bind::{BindSettings, Purpose};
    use crate::sql::{CatalogNames, parse};

    /// How often the binder asks, and what it answers, when it is stopped at the `last` time.
    fn bind_until(sql: &str, last: usize) -> (usize, Option<SqlState>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let interrupt = Interrupt::new(move || {
            let stopped = counted.fetch_add(1, Ordering::Relaxed) + 1 >= last;
            stopped.then(|| Error::new(SqlState::QUERY_CANCELED, "enough"))
        });
        let settings = BindSettings { interrupt, ..BindSettings::default() };
        let Some(sqlparser::ast::Statement::Query(query)) = parse(sql).unwrap().remove(0).into_sql() else {
            panic!("not a query")
        };
        let catalog = Catalog::default();
        let names = CatalogNames::new(&catalog);
        let bound = names.bind(&settings, Purpose::Query, sql, |binder| binder.bind_query(&query));
        // It is not the fault of any place in the text.
        assert_eq!(bound.as_ref().err().and_then(Error::position), None, "{sql}");
        (asked.load(Ordering::Relaxed), bound.err().map(|error| error.sqlstate()))
    }

    #[test]
    fn the_binder_stops_where_it_is_told_to() {
        let expressions = format!("SELECT 1{}", ", 1".repeat(1000));
        let relations = format!(
            "SELECT 1 FROM (SELECT 1) a{}",
            (0..100).map(|at| format!(", (SELECT 1) a{at}")).collect::<String>()
        );
        let unions = format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(100));
        for sql in [expressions, relations, unions] {
            assert_eq!(bind_until(&sql, 50), (50, Some(SqlState::QUERY_CANCELED)), "{sql}");
            assert_eq!(bind_until(&sql, usize::MAX).1, None, "{sql}");
        }
    }
}
