//! The columns of the views of `pg_catalog`: those of PostgreSQL 15, in its order.
//!
//! Types that we lack stand as what they print as: `text` for `pg_node_tree`, `inet`, `pg_lsn` and `aclitem`, `oid` for
//! `xid`, and the types below information_schema's domains.

use super::shape::{Shape, view};

/// Views of `pg_catalog`: name, OID, columns; all may be NULL.
pub const VIEWS: &[Shape] = &[
    view(
        "pg_available_extension_versions",
        12085,
        "\
        name name, version text, installed bool, superuser bool, trusted bool, relocatable bool, schema name, \
        requires _name, comment text",
    ),
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
        "pg_policies",
        12018,
        "\
        schemaname name, tablename name, policyname name, permissive text, roles _name, cmd text, qual text, \
        with_check text",
    ),
    view(
        "pg_prepared_statements",
        12089,
        "\
        name text, statement text, prepare_time timestamptz, parameter_types _regtype, from_sql bool, generic_plans \
        int8, custom_plans int8",
    ),
    view(
        "pg_publication_tables",
        12068,
        "\
        pubname name, schemaname name, tablename name, attnames _name, rowfilter text",
    ),
    view(
        "pg_replication_slots",
        12257,
        "\
        slot_name name, plugin name, slot_type text, datoid oid, database name, temporary bool, active bool, \
        active_pid int4, xmin oid, catalog_xmin oid, restart_lsn text, confirmed_flush_lsn text, wal_status text, \
        safe_wal_size int8, two_phase bool",
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
        "pg_seclabels",
        12099,
        "\
        objoid oid, classoid oid, objsubid int4, objtype text, objnamespace oid, objname text, provider text, label \
        text",
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
        "pg_stat_all_indexes",
        12183,
        "\
        relid oid, indexrelid oid, schemaname name, relname name, indexrelname name, idx_scan int8, idx_tup_read \
        int8, idx_tup_fetch int8",
    ),
    view(
        "pg_stat_all_tables",
        12142,
        "\
        relid oid, schemaname name, relname name, seq_scan int8, seq_tup_read int8, idx_scan int8, idx_tup_fetch \
        int8, n_tup_ins int8, n_tup_upd int8, n_tup_del int8, n_tup_hot_upd int8, n_live_tup int8, n_dead_tup int8, \
        n_mod_since_analyze int8, n_ins_since_vacuum int8, last_vacuum timestamptz, last_autovacuum timestamptz, \
        last_analyze timestamptz, last_autoanalyze timestamptz, vacuum_count int8, autovacuum_count int8, \
        analyze_count int8, autoanalyze_count int8",
    ),
    view(
        "pg_stat_bgwriter",
        12289,
        "\
        checkpoints_timed int8, checkpoints_req int8, checkpoint_write_time float8, checkpoint_sync_time float8, \
        buffers_checkpoint int8, buffers_clean int8, maxwritten_clean int8, buffers_backend int8, \
        buffers_backend_fsync int8, buffers_alloc int8, stats_reset timestamptz",
    ),
    view(
        "pg_stat_database",
        12266,
        "\
        datid oid, datname name, numbackends int4, xact_commit int8, xact_rollback int8, blks_read int8, blks_hit \
        int8, tup_returned int8, tup_fetched int8, tup_inserted int8, tup_updated int8, tup_deleted int8, conflicts \
        int8, temp_files int8, temp_bytes int8, deadlocks int8, checksum_failures int8, checksum_last_failure \
        timestamptz, blk_read_time float8, blk_write_time float8, session_time float8, active_time float8, \
        idle_in_transaction_time float8, sessions int8, sessions_abandoned int8, sessions_fatal int8, \
        sessions_killed int8, stats_reset timestamptz",
    ),
    view(
        "pg_stat_gssapi",
        12253,
        "\
        pid int4, gss_authenticated bool, principal text, encrypted bool",
    ),
    view(
        "pg_stat_progress_vacuum",
        12302,
        "\
        pid int4, datid oid, datname name, relid oid, phase text, heap_blks_total int8, heap_blks_scanned int8, \
        heap_blks_vacuumed int8, index_vacuum_count int8, max_dead_tuples int8, num_dead_tuples int8",
    ),
    view(
        "pg_stat_replication",
        12227,
        "\
        pid int4, usesysid oid, usename name, application_name text, client_addr text, client_hostname text, \
        client_port int4, backend_start timestamptz, backend_xmin oid, state text, sent_lsn text, write_lsn text, \
        flush_lsn text, replay_lsn text, write_lag interval, flush_lag interval, replay_lag interval, sync_priority \
        int4, sync_state text, reply_time timestamptz",
    ),
    view(
        "pg_stat_ssl",
        12249,
        "\
        pid int4, ssl bool, version text, cipher text, bits int4, client_dn text, client_serial text, issuer_dn text",
    ),
    view(
        "pg_stat_user_indexes",
        12192,
        "\
        relid oid, indexrelid oid, schemaname name, relname name, indexrelname name, idx_scan int8, idx_tup_read \
        int8, idx_tup_fetch int8",
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
        "pg_statio_user_tables",
        12179,
        "\
        relid oid, schemaname name, relname name, heap_blks_read int8, heap_blks_hit int8, idx_blks_read int8, \
        idx_blks_hit int8, toast_blks_read int8, toast_blks_hit int8, tidx_blks_read int8, tidx_blks_hit int8",
    ),
    view(
        "pg_stats",
        12053,
        "\
        schemaname name, tablename name, attname name, inherited bool, null_frac float4, avg_width int4, n_distinct \
        float4, most_common_vals _text, most_common_freqs _float4, histogram_bounds _text, correlation float4, \
        most_common_elems _text, most_common_elem_freqs _float4, elem_count_histogram _float4",
    ),
    view(
        "pg_stats_ext",
        12058,
        "\
        schemaname name, tablename name, statistics_schemaname name, statistics_name name, statistics_owner name, \
        attnames _name, exprs _text, kinds _char, inherited bool, n_distinct text, dependencies text, \
        most_common_vals _text, most_common_val_nulls _bool, most_common_freqs _float8, most_common_base_freqs \
        _float8",
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
