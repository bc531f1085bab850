//! The columns of the views of `pg_catalog`: those of PostgreSQL 15, in its order.
//!
//! Types that we lack stand as what they print as: `text` for `pg_node_tree`, `inet`, `pg_lsn` and `aclitem`, `oid` for
//! `xid`, and the types below information_schema's domains.

use super::shape::{Shape, view};

/// Views of `pg_catalog`: name, OID, columns; all may be NULL.
pub const VIEWS: &[Shape] = &[
    view(
        "pg_available_extensions",
        12081,
        "\
        name name, default_version text, installed_version text, comment text",
    ),
    view(
        "pg_group",
        12010,
        "\
        groname name, grosysid oid, grolist _oid",
    ),
    view(
        "pg_indexes",
        12043,
        "\
        schemaname name, tablename name, indexname name, tablespace name, indexdef text",
    ),
    view(
        "pg_locks",
        12073,
        "\
        locktype text, database oid, relation oid, page int4, tuple int2, virtualxid text, transactionid oid, \
        classid oid, objid oid, objsubid int2, virtualtransaction text, pid int4, mode text, granted bool, \
        fastpath bool, waitstart timestamptz",
    ),
    view(
        "pg_matviews",
        12038,
        "\
        schemaname name, matviewname name, matviewowner name, tablespace name, hasindexes bool, ispopulated bool, \
        definition text",
    ),
    view(
        "pg_roles",
        12000,
        "\
        rolname name, rolsuper bool, rolinherit bool, rolcreaterole bool, rolcreatedb bool, rolcanlogin bool, \
        rolreplication bool, rolconnlimit int4, rolpassword text, rolvaliduntil timestamptz, rolbypassrls bool, \
        rolconfig _text, oid oid",
    ),
    view(
        "pg_rules",
        12023,
        "\
        schemaname name, tablename name, rulename name, definition text",
    ),
    view(
        "pg_sequences",
        12048,
        "\
        schemaname name, sequencename name, sequenceowner name, data_type regtype, start_value int8, min_value \
        int8, max_value int8, increment_by int8, cycle bool, cache_size int8, last_value int8",
    ),
    view(
        "pg_settings",
        12104,
        "\
        name text, setting text, unit text, category text, short_desc text, extra_desc text, context text, vartype \
        text, source text, min_val text, max_val text, enumvals _text, boot_val text, reset_val text, sourcefile \
        text, sourceline int4, pending_restart bool",
    ),
    view(
        "pg_shadow",
        12005,
        "\
        usename name, usesysid oid, usecreatedb bool, usesuper bool, userepl bool, usebypassrls bool, passwd text, \
        valuntil timestamptz, useconfig _text",
    ),
    view(
        "pg_stat_activity",
        12222,
        "\
        datid oid, datname name, pid int4, leader_pid int4, usesysid oid, usename name, application_name text, \
        client_addr text, client_hostname text, client_port int4, backend_start timestamptz, xact_start \
        timestamptz, query_start timestamptz, state_change timestamptz, wait_event_type text, wait_event text, \
        state text, backend_xid oid, backend_xmin oid, query_id int8, query text, backend_type text",
    ),
    view(
        "pg_stat_user_tables",
        12161,
        "\
        relid oid, schemaname name, relname name, seq_scan int8, seq_tup_read int8, idx_scan int8, idx_tup_fetch \
        int8, n_tup_ins int8, n_tup_upd int8, n_tup_del int8, n_tup_hot_upd int8, n_live_tup int8, n_dead_tup \
        int8, n_mod_since_analyze int8, n_ins_since_vacuum int8, last_vacuum timestamptz, last_autovacuum \
        timestamptz, last_analyze timestamptz, last_autoanalyze timestamptz, vacuum_count int8, autovacuum_count \
        int8, analyze_count int8, autoanalyze_count int8",
    ),
    view(
        "pg_tables",
        12033,
        "\
        schemaname name, tablename name, tableowner name, tablespace name, hasindexes bool, hasrules bool, \
        hastriggers bool, rowsecurity bool",
    ),
    view(
        "pg_timezone_names",
        12126,
        "\
        name text, abbrev text, utc_offset interval, is_dst bool",
    ),
    view(
        "pg_user",
        12014,
        "\
        usename name, usesysid oid, usecreatedb bool, usesuper bool, userepl bool, usebypassrls bool, passwd text, \
        valuntil timestamptz, useconfig _text",
    ),
    view(
        "pg_user_mappings",
        12187,
        "\
        umid oid, srvid oid, srvname name, umuser oid, usename name, umoptions _text",
    ),
    view(
        "pg_views",
        12028,
        "\
        schemaname name, viewname name, viewowner name, definition text",
    ),
];
