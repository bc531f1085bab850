//! Names that do not depend on the catalog: schemas, roles, functions.

use super::{INFORMATION_SCHEMA, LEVADA_CATALOG, OWNER, PG_CATALOG, PUBLIC, SESSION_USER, System};
use crate::catalog::DATABASE;

/// The schemas and their OIDs.
pub const NAMESPACES: [(&str, u32); 4] = [
    ("pg_catalog", PG_CATALOG),
    ("public", PUBLIC),
    ("information_schema", INFORMATION_SCHEMA),
    ("levada_catalog", LEVADA_CATALOG),
];

/// OID of a schema.
pub fn namespace_oid(name: &str) -> Option<u32> {
    NAMESPACES.iter().find(|(known, _)| *known == name).map(|(_, oid)| *oid)
}

/// Name of a schema.
pub fn namespace_name(oid: u32) -> Option<&'static str> {
    NAMESPACES.iter().find(|(_, known)| *known == oid).map(|(name, _)| *name)
}

/// Name of a function of `pg_proc`.
pub fn function_name(oid: u32) -> Option<&'static str> {
    super::pg_type::function_name(oid)
}

/// Number of a function of `pg_proc`.
pub fn function_number(name: &str) -> Option<u32> {
    super::pg_type::function_number(name)
}

/// Name of the role that owns every object.
pub const OWNER_NAME: &str = DATABASE;

impl System {
    /// OIDs and names of the roles: the owner, and whoever asks.
    pub fn roles(&self) -> Vec<(u32, &str)> {
        let mut roles = vec![(OWNER, OWNER_NAME)];
        if self.user != OWNER_NAME {
            roles.push((SESSION_USER, &self.user));
        }
        roles
    }

    /// Name of a role; as in PostgreSQL, its number where there is none.
    pub fn role_name(&self, oid: u32) -> String {
        let roles = self.roles();
        let found = roles.iter().find(|(known, _)| *known == oid);
        found.map_or_else(|| format!("unknown (OID={oid})"), |(_, name)| (*name).to_owned())
    }
}
