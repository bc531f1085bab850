//! What a statement says of rows that its views lack because an expression failed on them.

use std::collections::BTreeSet;

use crate::catalog::{Catalog, Item};
use crate::data::ObjectId;
use crate::dataflow::ViewErrors;
use crate::error::{Error, Result, SqlState};
use crate::session::Session;
use crate::session::response::{Notice, Severity};

/// Views of which a statement says how many rows they lack; of others it says how many views they are.
const MOST_NAMED: usize = 8;

impl Session {
    /// Tells the client which views behind the relations that it reads lack rows.
    ///
    /// # Errors
    /// That of the row, where one of them is a strict view.
    pub(super) fn heed_missing_rows(&mut self, relations: &BTreeSet<ObjectId>) -> Result<()> {
        let transaction = self.transaction();
        let (catalog, errors) = (transaction.catalog().clone(), transaction.snapshot().errors.clone());
        if errors.is_empty() {
            return Ok(());
        }
        let mut lacking = BTreeSet::new();
        for relation in relations.iter().copied() {
            let views = lacking_views(relation, &catalog, &errors);
            if let (Some(item), Some(view)) = (catalog.by_id(relation), views.iter().next_back())
                && item.is_strict()
            {
                return Err(refused(item, *view, &catalog, &errors));
            }
            lacking.extend(views);
        }
        let named: Vec<&Item> = lacking.iter().filter_map(|view| catalog.by_id(*view)).map(|view| &**view).collect();
        named.iter().take(MOST_NAMED).for_each(|view| self.notice(notice(view, errors.count(view.id))));
        if named.len() > MOST_NAMED {
            let message = format!("{} more materialized views lack rows", named.len() - MOST_NAMED);
            let mut more = Notice::new(Severity::Notice, SqlState::SUCCESSFUL_COMPLETION, message);
            more.hint = Some("See levada_catalog.view_errors.".to_owned());
            self.notice(more);
        }
        Ok(())
    }
}

/// Of a relation and those that it is made from, the views that lack rows.
fn lacking_views(relation: ObjectId, catalog: &Catalog, errors: &ViewErrors) -> BTreeSet<ObjectId> {
    let mut views = catalog.foundations(relation);
    views.insert(relation);
    views.retain(|view| errors.count(*view) > 0);
    views
}

fn notice(view: &Item, count: u64) -> Notice {
    let message = format!("materialized view \"{}\" lacks {}", view.name, failing(count));
    let mut notice = Notice::new(Severity::Notice, SqlState::SUCCESSFUL_COMPLETION, message);
    notice.hint = Some(hint(view));
    notice
}

/// The error of a strict view: that of the first row which it, or a view behind it, lacks.
fn refused(strict: &Item, lacking: ObjectId, catalog: &Catalog, errors: &ViewErrors) -> Error {
    let row = errors.rows(lacking).next().map(|(row, _)| row);
    let code = row.as_ref().map_or("", |row| &row.sqlstate);
    let count = failing(errors.count(lacking));
    let mut detail = match catalog.by_id(lacking) {
        Some(view) if view.id != strict.id => {
            format!("Materialized view \"{}\" is strict, and \"{}\" behind it lacks {count}", strict.name, view.name)
        }
        _ => format!("Materialized view \"{}\" is strict and lacks {count}", strict.name),
    };
    let text = row.as_ref().and_then(|row| row.row.as_ref());
    detail += &text.map_or(".".to_owned(), |text| format!(", such as {text}."));
    let message = row.as_ref().and_then(|row| row.message.clone());
    let message = message.unwrap_or_else(|| "an expression failed on a row".to_owned());
    let state = SqlState::of_expression(code).unwrap_or(SqlState::DATA_EXCEPTION);
    let hint = catalog.by_id(lacking).map_or(hint(strict), |view| hint(view));
    Error::new(state, message).with_detail(detail).with_hint(hint)
}

fn failing(count: u64) -> String {
    format!("{count} row{} on which an expression failed", if count == 1 { "" } else { "s" })
}

fn hint(view: &Item) -> String {
    format!("SELECT * FROM levada_catalog.view_errors WHERE view_id = {} shows them.", view.id)
}
