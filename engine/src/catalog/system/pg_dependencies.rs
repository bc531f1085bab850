//! Which view stands on what: `pg_rewrite` and `pg_depend`.
//!
//! PostgreSQL hangs a view's dependencies on its `_RETURN` rule; clients follow that path.

use super::System;
use super::objects::Object;
use super::rows::Rows;

/// OIDs of the catalogs that the two ends of a dependency are in.
const PG_REWRITE: u32 = 2618;
const PG_CLASS: u32 = 1259;

fn all_views(system: &System) -> impl Iterator<Item = Object<'_>> {
    system.user_objects().filter(|object| matches!(object.kind, 'v' | 'm'))
}

/// `pg_rewrite`.
pub fn rules(system: &System, rows: &mut Rows) {
    for view in all_views(system) {
        rows.add([
            ("oid", view.rule_oid().into()),
            ("rulename", "_RETURN".into()),
            ("ev_class", view.oid.into()),
            ("ev_type", "1".into()),
            ("ev_enabled", "O".into()),
            ("is_instead", true.into()),
        ]);
    }
}

/// `pg_depend`.
pub fn dependencies(system: &System, rows: &mut Rows) {
    for view in all_views(system) {
        let mut add = |relation: u32, kind: &str| {
            rows.add([
                ("classid", PG_REWRITE.into()),
                ("objid", view.rule_oid().into()),
                ("refclassid", PG_CLASS.into()),
                ("refobjid", relation.into()),
                ("deptype", kind.into()),
            ]);
        };
        add(view.oid, "i");
        add(view.oid, "n");
        for id in view.item.iter().flat_map(|item| &item.depends_on) {
            add(id.0, "n");
        }
    }
}
