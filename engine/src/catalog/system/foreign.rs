//! Sources, as PostgreSQL has what it reads from elsewhere: foreign tables of a server.

use super::rows::{Datum, Rows};
use super::{OWNER, System};

/// OIDs of the one server and of what reads from it.
const WRAPPER: u32 = 13_010;
const SERVER: u32 = 13_011;

/// The connector, by which both are called.
const NAME: &str = "kafka";

/// `pg_foreign_data_wrapper`.
pub fn wrappers(_: &System, rows: &mut Rows) {
    rows.add([("oid", WRAPPER.into()), ("fdwname", NAME.into()), ("fdwowner", OWNER.into())]);
}

/// `pg_foreign_server`.
pub fn servers(_: &System, rows: &mut Rows) {
    rows.add([
        ("oid", SERVER.into()),
        ("srvname", NAME.into()),
        ("srvowner", OWNER.into()),
        ("srvfdw", WRAPPER.into()),
    ]);
}

/// `pg_foreign_table`. Its options are the topic and its brokers: others may be secret.
pub fn tables(system: &System, rows: &mut Rows) {
    for object in system.user_objects().filter(|object| object.kind == 'f') {
        let kafka = object.item.and_then(|item| item.connector()).and_then(|connector| connector.get("kafka"));
        let option = |name: &str, shown: &str| {
            let value = kafka.and_then(|kafka| kafka.get(name)).and_then(|value| value.as_str());
            value.map(|value| Datum::from(format!("{shown}={value}")))
        };
        let options = [option("topic", "topic"), option("brokers", "properties.bootstrap.server")];
        rows.add([
            ("ftrelid", object.oid.into()),
            ("ftserver", SERVER.into()),
            ("ftoptions", Datum::List(options.into_iter().flatten().collect())),
        ]);
    }
}
