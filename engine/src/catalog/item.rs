//! What a name stands for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::data::{ObjectId, RelationSchema};
use crate::error::{Error, SqlState};

/// A catalog object. Immutable: a change of the catalog is a new catalog.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    pub id: ObjectId,
    pub name: String,
    pub kind: ItemKind,
    /// Columns and key; of a view, those of its query.
    pub schema: RelationSchema,
    /// The statement that made it, as `SHOW CREATE` prints it.
    pub create_sql: String,
    /// The relations its query names, each once, in order of their ids.
    pub depends_on: Vec<ObjectId>,
    /// Why it is not kept current any more: it has no rows then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<String>,
}

/// The kinds of objects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// Rows written by INSERT, UPDATE and DELETE.
    Table {
        /// SQL text of each column's default, None where there is none.
        defaults: Vec<Option<String>>,
        /// Where its rows come from instead, as the source reads it: such a table is not written to by statements.
        #[serde(default)]
        connector: Option<serde_json::Value>,
    },
    /// Rows that are not kept: views read them as they come, queries read them from outside each time.
    Source {
        /// Where the rows come from, as the source reads it.
        connector: serde_json::Value,
    },
    /// A named query, put in place of its name.
    View {
        /// The query's text; what it names is bound anew at each use.
        query: String,
    },
    /// A query whose answer is kept current.
    MaterializedView {
        query: String,
        /// The time zone in which the query was bound: casts to and from `timestamptz` depend on it.
        time_zone: String,
        /// Whether it cannot be read while it lacks rows on which an expression failed.
        #[serde(default)]
        strict: bool,
        /// Whether its rows are emitted when their windows close, once and for all.
        #[serde(default)]
        emit_on_window_close: bool,
        /// The sources of whose history there was only a part when the view was made.
        #[serde(default)]
        partial: BTreeMap<ObjectId, Partial>,
    },
    /// A query whose changes leave the database.
    Sink {
        query: String,
        time_zone: String,
        /// Where they go, by its name in WITH.
        connector: String,
        /// As those of a view.
        #[serde(default)]
        emit_on_window_close: bool,
        #[serde(default)]
        partial: BTreeMap<ObjectId, Partial>,
    },
}

/// What a view saw of a source's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    /// Per partition, the offset at which the view began: later than where the source does.
    pub first: BTreeMap<i32, i64>,
    /// Messages before these that were gone already.
    pub missing: u64,
    /// Kafka's id of the topic, where that is another one than the source was made for: then all that was in the former
    /// is missing besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
}

impl Partial {
    /// The place in the history as text, the same for all views that began there.
    pub fn place(&self) -> String {
        let first: Vec<String> = self.first.iter().map(|(partition, offset)| format!("{partition}:{offset}")).collect();
        match &self.topic {
            Some(topic) => format!("{topic}:{}", first.join(",")),
            None => first.join(","),
        }
    }
}

impl Item {
    /// The kind as PostgreSQL's messages name it.
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            ItemKind::Table { .. } => "table",
            ItemKind::Source { .. } => "source",
            ItemKind::View { .. } => "view",
            ItemKind::MaterializedView { .. } => "materialized view",
            ItemKind::Sink { .. } => "sink",
        }
    }

    /// Whether it is a view that cannot be read while it lacks rows on which an expression failed.
    pub fn is_strict(&self) -> bool {
        matches!(self.kind, ItemKind::MaterializedView { strict: true, .. })
    }

    /// The time zone in which its query was bound, once and for all.
    pub fn time_zone(&self) -> Option<&str> {
        match &self.kind {
            ItemKind::MaterializedView { time_zone, .. } | ItemKind::Sink { time_zone, .. } => Some(time_zone),
            _ => None,
        }
    }

    /// Whether its query's answer is kept current.
    pub fn is_maintained(&self) -> bool {
        matches!(self.kind, ItemKind::MaterializedView { .. } | ItemKind::Sink { .. })
    }

    /// The same object, not kept current any more.
    pub fn suspend(self, why: &str) -> Item {
        Item { suspended: Some(why.to_owned()), ..self }
    }

    /// The error of whoever needs the object's rows; None unless it is suspended.
    pub fn refusal(&self) -> Option<Error> {
        let why = self.suspended.as_ref()?;
        let (kind, name) = (self.kind_name(), &self.name);
        let error =
            Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, format!("{kind} \"{name}\" is suspended: {why}"));
        Some(error.with_hint(
            "DROP it, and CREATE it again, perhaps with another query; until then nothing else waits for it.",
        ))
    }

    /// How long the object's rows are kept after they have arrived, in microseconds; None for good.
    pub fn retention(&self) -> Option<i64> {
        self.connector()?.get("retention")?.as_i64()
    }

    /// What the object's rows come from, where that is a connector.
    pub fn connector(&self) -> Option<&serde_json::Value> {
        match &self.kind {
            ItemKind::Table { connector, .. } => connector.as_ref(),
            ItemKind::Source { connector } => Some(connector),
            ItemKind::View { .. } | ItemKind::MaterializedView { .. } | ItemKind::Sink { .. } => None,
        }
    }

    /// Whether its rows are read from outside and not kept.
    pub fn is_source(&self) -> bool {
        matches!(self.kind, ItemKind::Source { .. })
    }

    /// What a view saw of a source's history, where that was not all.
    pub fn partial(&self, source: ObjectId) -> Option<&Partial> {
        match &self.kind {
            ItemKind::MaterializedView { partial, .. } | ItemKind::Sink { partial, .. } => partial.get(&source),
            _ => None,
        }
    }

    /// The same view with less of the history of some sources.
    pub fn with_partial(mut self, less: BTreeMap<ObjectId, Partial>) -> Item {
        if let ItemKind::MaterializedView { partial, .. } | ItemKind::Sink { partial, .. } = &mut self.kind {
            partial.extend(less);
        }
        self
    }
}
