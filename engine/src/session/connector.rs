//! CREATE SOURCE, and CREATE TABLE with a connector: relations whose rows come from a topic.

use crate::catalog::{Item, ItemKind};
use crate::data::{Column, Parts, RelationSchema, SqlType};
use crate::decode;
use crate::error::{Error, Result, SqlState};
use crate::session::Session;
use crate::session::response::{Notice, Response, Severity};
use crate::session::run::Arguments;
use crate::source::{
    Encoding, Envelope, Kafka, Offsets, OnError, OnGap, Origin, Resolved, SourceColumn, SourceSpec, Start, Watermark,
    resolve,
};
use crate::sql::bind::Purpose;
use crate::sql::connector::{CreateConnector, Include, KafkaOptions, Metadata, StartupMode, watermark};
use crate::sql::{Statement, TableDefinition, definition, normalize_jsonb};

impl Session {
    pub(super) async fn create_connector(
        &mut self,
        create: &CreateConnector,
        statement: &Statement,
    ) -> Result<Response> {
        let (kind, command) = if create.stored { ("table", "CREATE TABLE") } else { ("source", "CREATE SOURCE") };
        self.check_ddl(command)?;
        let name = self.new_name(&create.name)?;
        if !self.is_free(&name) {
            self.begin_ddl(command).await?;
            if self.exists(&name, create.if_not_exists)? {
                return Ok(Response::complete(command));
            }
        }
        let options = create.kafka(&statement.source)?;
        let mut spec = self.source_spec(create, options.clone(), statement)?;
        // Before the catalog is locked: nobody else's DDL waits for a broker.
        let Resolved { start, topic, missing } = resolve_start(&spec.kafka, options.startup).await?;
        self.begin_ddl(command).await?;
        if self.exists(&name, create.if_not_exists)? {
            return Ok(Response::complete(command));
        }
        (spec.kafka.start, spec.kafka.topic_id) = (start, topic);
        if missing > 0 {
            let message = format!("{missing} messages of topic \"{}\" are no longer there", spec.kafka.topic);
            let mut notice = Notice::new(Severity::Notice, SqlState::SUCCESSFUL_COMPLETION, message);
            notice.detail = Some(format!("The {kind} begins with the oldest message that Kafka has."));
            self.notice(notice);
        }
        let columns = spec.columns.iter().map(|column| column.column.clone()).collect();
        let schema = RelationSchema { columns, primary_key: spec.primary_key.clone() };
        let connector = serde_json::to_value(&spec)
            .map_err(|error| Error::internal("cannot write a connector").with_source(error))?;
        let kind = match create.stored {
            true => ItemKind::Table { defaults: vec![None; schema.columns.len()], connector: Some(connector) },
            false => ItemKind::Source { connector },
        };
        let create_sql = create.shown(&statement.source, statement.range.clone());
        let id = self.engine.new_object();
        self.create(Item { id, name, kind, schema, create_sql, depends_on: Vec::new(), suspended: None })?;
        Ok(Response::complete(command))
    }

    /// What is to be read and how, but for the offsets to begin at.
    fn source_spec(
        &mut self,
        create: &CreateConnector,
        options: KafkaOptions,
        statement: &Statement,
    ) -> Result<SourceSpec> {
        let TableDefinition { schema, defaults } =
            self.bind(&statement.source, Purpose::View, Arguments::NONE, |binder| {
                definition(&create.name, &create.columns, &create.constraints, binder)
            })?;
        if !create.stored && schema.primary_key.is_some() {
            return Err(Error::unsupported("CREATE SOURCE with PRIMARY KEY")
                .with_hint("Use CREATE TABLE: of the rows with one key it keeps the last."));
        }
        if defaults.iter().any(Option::is_some) {
            return Err(Error::unsupported("DEFAULT in a relation with a connector")
                .with_hint("A member that is missing is NULL; use coalesce() in a view."));
        }
        let member = |column| SourceColumn { column, origin: Origin::Member };
        let mut columns: Vec<SourceColumn> = schema.columns.into_iter().map(member).collect();
        columns.extend(create.includes.iter().map(metadata_column));
        for (index, SourceColumn { column, .. }) in columns.iter().enumerate() {
            if columns[..index].iter().any(|other| other.column.name == column.name) {
                let message = format!("column \"{}\" specified more than once", column.name);
                return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
            }
        }
        let declared: Vec<Column> = columns.iter().map(|column| column.column.clone()).collect();
        let time = self
            .bind(&statement.source, Purpose::View, Arguments::NONE, |binder| watermark(create, &declared, binder))?;
        let idle = options.idle_timeout;
        let KafkaOptions { brokers, topic, properties, upsert, fail_on_error, continue_after_gap, retention, .. } =
            options;
        let spec = SourceSpec {
            kafka: Kafka { brokers, topic, properties, start: Offsets::default(), topic_id: None },
            envelope: if upsert { Envelope::Upsert } else { Envelope::Plain },
            encoding: Encoding::Json,
            columns,
            primary_key: schema.primary_key,
            on_error: if fail_on_error { OnError::Fail } else { OnError::DeadLetter },
            on_gap: if continue_after_gap { OnGap::Continue } else { OnGap::Stop },
            retention,
            watermark: time.map(|(column, delay)| Watermark { column, delay, idle }),
        };
        if !create.stored && spec.retention.is_some() {
            return Err(Error::unsupported("CREATE SOURCE with retention")
                .with_hint("A source keeps no rows: leave the option out, or use CREATE TABLE."));
        }
        // Refuses what messages cannot carry.
        decode::decoder(&spec, &Parts::All, normalize_jsonb)?;
        Ok(spec)
    }
}

/// A column of INCLUDE.
fn metadata_column(include: &Include) -> SourceColumn {
    let header = vec![("key".to_owned(), SqlType::Text), ("value".to_owned(), SqlType::Bytea)];
    let (ty, origin) = match include.what {
        Metadata::Key => (SqlType::Bytea, Origin::Key),
        Metadata::Partition => (SqlType::Int4, Origin::Partition),
        Metadata::Offset => (SqlType::Int8, Origin::Offset),
        Metadata::Timestamp => (SqlType::Timestamptz, Origin::Timestamp),
        Metadata::Headers => (SqlType::Record(header).array(), Origin::Headers),
    };
    SourceColumn { column: Column::new(include.column(), ty, true), origin }
}

/// Asks the brokers, on a thread that may wait for them.
pub(super) async fn ask<T: Send + 'static>(question: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let asked = tokio::task::spawn_blocking(question).await;
    asked.map_err(|error| Error::internal(format!("asking the brokers failed: {error}")))?
}

async fn resolve_start(kafka: &Kafka, startup: StartupMode) -> Result<Resolved> {
    let kafka = kafka.clone();
    let start = match startup {
        StartupMode::Earliest => Start::Earliest,
        StartupMode::Latest => Start::Latest,
        StartupMode::Timestamp(millis) => Start::Timestamp(millis),
    };
    ask(move || resolve(&kafka, start)).await
}
