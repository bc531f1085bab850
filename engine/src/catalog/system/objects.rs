//! Relations and indexes as `pg_class` counts them: those of users and those of the system.

use super::names::namespace_oid;
use super::{PUBLIC, System, relations};
use crate::catalog::{Catalog, DEFAULT_SCHEMA, Item, ItemKind};
use crate::data::{ObjectId, RelationSchema, quote_ident};

/// Bits that tell what stands beside an object from the object, in OIDs that are the object's plus these.
const INDEX: u32 = 0x8000_0000;
const CONSTRAINT: u32 = 0xa000_0000;
const RULE: u32 = 0xc000_0000;
const DEFAULT: u32 = 0xe000_0000;

/// A relation with an OID.
pub struct Object<'s> {
    pub oid: u32,
    pub name: &'s str,
    pub schema_name: &'static str,
    /// `pg_class.relkind`.
    pub kind: char,
    pub schema: &'s RelationSchema,
    /// None for system relations.
    pub item: Option<&'s Item>,
}

/// The index of a table's primary key.
pub struct Index<'s> {
    pub oid: u32,
    pub name: String,
    pub table: &'s Item,
    /// Positions of its columns.
    pub columns: &'s [usize],
}

impl<'s> Object<'s> {
    fn of_item(item: &'s Item) -> Option<Object<'s>> {
        let kind = match item.kind_name() {
            "table" => 'r',
            "view" => 'v',
            "materialized view" => 'm',
            "source" => 'f',
            // What cannot be read is no relation to clients.
            _ => return None,
        };
        let schema = &item.schema;
        Some(Object { oid: item.id.0, name: &item.name, schema_name: DEFAULT_SCHEMA, kind, schema, item: Some(item) })
    }

    /// OID of its schema.
    pub fn namespace(&self) -> u32 {
        namespace_oid(self.schema_name).unwrap_or(PUBLIC)
    }

    pub fn id(&self) -> ObjectId {
        ObjectId(self.oid)
    }

    /// The query of a view, as `pg_get_viewdef` prints it.
    pub fn definition(&self) -> Option<String> {
        match &self.item?.kind {
            ItemKind::View { query } | ItemKind::MaterializedView { query, .. } => Some(format!(" {query};")),
            _ => None,
        }
    }

    /// The SQL text of a column's default.
    pub fn default(&self, column: usize) -> Option<&'s str> {
        match &self.item?.kind {
            ItemKind::Table { defaults, .. } => defaults.get(column)?.as_deref(),
            _ => None,
        }
    }

    pub fn index(&self) -> Option<Index<'s>> {
        let table = self.item.filter(|_| self.kind == 'r')?;
        let columns = table.schema.primary_key.as_deref()?;
        Some(Index { oid: INDEX | self.oid, name: format!("{}_pkey", self.name), table, columns })
    }

    /// OID of its `_RETURN` rule in `pg_rewrite`.
    pub fn rule_oid(&self) -> u32 {
        RULE | self.oid
    }

    /// OID of a column's default in `pg_attrdef`.
    pub fn default_oid(&self, column: usize) -> u32 {
        DEFAULT.wrapping_add(self.oid.wrapping_mul(1600)).wrapping_add(column as u32)
    }
}

/// The name of a relation or index, qualified unless it is in `pg_catalog` or `public`: what `regclass` prints.
pub fn relation_name(catalog: &Catalog, oid: u32) -> Option<String> {
    if let Some(relation) = super::relation_by_id(ObjectId(oid)) {
        let name = quote_ident(relation.name);
        return Some(match relation.schema_name {
            "pg_catalog" => name,
            schema => format!("{schema}.{name}"),
        });
    }
    if let Some(item) = catalog.by_id(ObjectId(oid)) {
        return Some(quote_ident(&item.name));
    }
    let table = catalog.by_id(ObjectId(oid.checked_sub(INDEX)?))?;
    let index = Object::of_item(table)?.index()?;
    (index.oid == oid).then(|| quote_ident(&index.name))
}

impl Index<'_> {
    /// OID of the constraint that it upholds.
    pub fn constraint_oid(&self) -> u32 {
        CONSTRAINT | self.table.id.0
    }

    /// Numbers of its columns, from 1.
    pub fn column_numbers(&self) -> Vec<i16> {
        self.columns.iter().map(|at| *at as i16 + 1).collect()
    }

    pub fn column_names(&self) -> Vec<String> {
        let columns = &self.table.schema.columns;
        self.columns.iter().filter_map(|at| columns.get(*at)).map(|column| quote_ident(&column.name)).collect()
    }

    /// The statement that would make it.
    pub fn definition(&self) -> String {
        let (name, table) = (quote_ident(&self.name), quote_ident(&self.table.name));
        let columns = self.column_names().join(", ");
        format!("CREATE UNIQUE INDEX {name} ON {DEFAULT_SCHEMA}.{table} USING btree ({columns})")
    }

    /// What its constraint says.
    pub fn constraint_definition(&self) -> String {
        format!("PRIMARY KEY ({})", self.column_names().join(", "))
    }
}

impl System {
    /// Every relation, those of the system included.
    pub fn objects(&self) -> impl Iterator<Item = Object<'_>> {
        let own = relations().map(|relation| Object {
            oid: relation.id.0,
            name: relation.name,
            schema_name: relation.schema_name,
            kind: if relation.is_view { 'v' } else { 'r' },
            schema: &relation.schema,
            item: None,
        });
        self.user_objects().chain(own)
    }

    /// The relations that users made.
    pub fn user_objects(&self) -> impl Iterator<Item = Object<'_>> {
        self.catalog.items().filter_map(|item| Object::of_item(item))
    }

    /// The relation with this OID.
    pub fn object(&self, oid: u32) -> Option<Object<'_>> {
        if oid >= ObjectId::FIRST.0 {
            return self.catalog.by_id(ObjectId(oid)).and_then(|item| Object::of_item(item));
        }
        self.objects().find(|object| object.oid == oid)
    }

    /// The relation that a name stands for; without a schema, the first along the search path.
    pub fn object_by_name(&self, schema: Option<&str>, name: &str) -> Option<Object<'_>> {
        let find = |schema: &str| match schema {
            DEFAULT_SCHEMA => self.catalog.by_name(name).and_then(|item| Object::of_item(item)),
            schema => super::relation(schema, name).and_then(|relation| self.object(relation.id.0)),
        };
        match schema {
            Some(schema) => find(schema),
            None => self.search_path.iter().find_map(|schema| find(schema)),
        }
    }

    /// Whether an unqualified name finds this relation.
    pub fn is_visible(&self, object: &Object<'_>) -> bool {
        self.object_by_name(None, object.name).is_some_and(|found| found.oid == object.oid)
    }

    /// The indexes of all tables.
    pub fn indexes(&self) -> impl Iterator<Item = Index<'_>> {
        self.user_objects().filter_map(|object| object.index())
    }

    pub fn index(&self, oid: u32) -> Option<Index<'_>> {
        self.indexes().find(|index| index.oid == oid)
    }
}
