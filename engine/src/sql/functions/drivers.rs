//! What drivers ask for when they describe a database: JDBC's `DatabaseMetaData` is made of it.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::Int16Type;

use super::array::build_records;
use super::signature::T::{Int2Array, Keyword, Numbered};
use super::signature::{Function, rows};
use crate::error::Result;
use crate::sql::rows::{Call, List, Output, read};

pub const FUNCTIONS: &[Function] =
    &[rows("_pg_expandarray", &[Int2Array], Numbered, numbered), rows("pg_get_keywords", &[], Keyword, keywords)];

/// The elements with their places, from 1 on.
fn numbered(call: &Call) -> Result<ArrayRef> {
    let list = read::<List>(call, 0)?;
    let (mut lengths, mut elements, mut places) = (Vec::with_capacity(call.rows), Vec::new(), Vec::new());
    for row in 0..call.rows {
        let before = places.len();
        if !call.is_null(0, row) {
            let items = list(row).0;
            elements.extend(items.as_primitive::<Int16Type>().iter());
            places.extend((1..).take(items.len()).map(Some));
        }
        lengths.push(places.len() - before);
    }
    build_records(call.result, lengths, vec![column::<i16>(elements)?, column::<i32>(places)?])
}

/// [Key words](https://www.postgresql.org/docs/15/sql-keywords-appendix.html) of PostgreSQL 15.
fn keywords(call: &Call) -> Result<ArrayRef> {
    let of_kind = |(code, what, words): (_, _, &'static str)| words.split(' ').map(move |word| (word, code, what));
    let mut all: Vec<(&str, &str, &str)> = KINDS.into_iter().flat_map(of_kind).collect();
    all.sort_unstable();
    let is_label = |word: &str| !NO_LABELS.split(' ').any(|other| other == word);
    let label = |word: &str| if is_label(word) { "can be bare label" } else { "requires AS" };
    let each = || (0..call.rows).flat_map(|_| all.iter());
    let columns = vec![
        column::<&str>(each().map(|(word, ..)| Some(*word)).collect())?,
        column::<&str>(each().map(|(_, code, _)| Some(*code)).collect())?,
        column::<bool>(each().map(|(word, ..)| Some(is_label(word))).collect())?,
        column::<&str>(each().map(|(.., what)| Some(*what)).collect())?,
        column::<&str>(each().map(|(word, ..)| Some(label(word))).collect())?,
    ];
    build_records(call.result, vec![all.len(); call.rows], columns)
}

fn column<V: Output>(values: Vec<Option<V>>) -> Result<ArrayRef> {
    V::build(values.into_iter().map(Ok))
}

/// Code, description and words.
const KINDS: [(&str, &str, &str); 4] = [
    ("U", "unreserved", UNRESERVED),
    ("C", "unreserved (cannot be function or type name)", COLUMN_NAMES),
    ("T", "reserved (can be function or type name)", TYPE_NAMES),
    ("R", "reserved", RESERVED),
];

/// Words that can name anything.
const UNRESERVED: &str = "\
    abort absolute access action add admin after aggregate also alter always asensitive assertion assignment at \
    atomic attach attribute backward before begin breadth by cache call called cascade cascaded catalog chain \
    characteristics checkpoint class close cluster columns comment comments commit committed compression \
    configuration conflict connection constraints content continue conversion copy cost csv cube current cursor \
    cycle data database day deallocate declare defaults deferred definer delete delimiter delimiters depends depth \
    detach dictionary disable discard document domain double drop each enable encoding encrypted enum escape event \
    exclude excluding exclusive execute explain expression extension external family filter finalize first following \
    force forward function functions generated global granted groups handler header hold hour identity if immediate \
    immutable implicit import include including increment index indexes inherit inherits inline input insensitive \
    insert instead invoker isolation key label language large last leakproof level listen load local location lock \
    locked logged mapping match matched materialized maxvalue merge method minute minvalue mode month move name \
    names new next nfc nfd nfkc nfkd no normalized nothing notify nowait nulls object of off oids old operator \
    option options ordinality others over overriding owned owner parallel parameter parser partial partition passing \
    password plans policy preceding prepare prepared preserve prior privileges procedural procedure procedures \
    program publication quote range read reassign recheck recursive ref referencing refresh reindex relative release \
    rename repeatable replace replica reset restart restrict return returns revoke role rollback rollup routine \
    routines rows rule savepoint schema schemas scroll search second security sequence sequences serializable server \
    session set sets share show simple skip snapshot sql stable standalone start statement statistics stdin stdout \
    storage stored strict strip subscription support sysid system tables tablespace temp template temporary text \
    ties transaction transform trigger truncate trusted type types uescape unbounded uncommitted unencrypted unknown \
    unlisten unlogged until update vacuum valid validate validator value varying version view views volatile \
    whitespace within without work wrapper write xml year yes zone";

/// Words that can name columns and tables.
const COLUMN_NAMES: &str = "\
    between bigint bit boolean char character coalesce dec decimal exists extract float greatest grouping inout int \
    integer interval least national nchar none normalize nullif numeric out overlay position precision real row \
    setof smallint substring time timestamp treat trim values varchar xmlattributes xmlconcat xmlelement xmlexists \
    xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable";

/// Words that can name functions and types.
const TYPE_NAMES: &str = "\
    authorization binary collation concurrently cross current_schema freeze full ilike inner is isnull join left \
    like natural notnull outer overlaps right similar tablesample verbose";

/// Words that can name nothing.
const RESERVED: &str = "\
    all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create \
    current_catalog current_date current_role current_time current_timestamp current_user default deferrable desc \
    distinct do else end except false fetch for foreign from grant group having in initially intersect into lateral \
    leading limit localtime localtimestamp not null offset on only or order placing primary references returning \
    select session_user some symmetric table then to trailing true union unique user using variadic when where \
    window with";

/// Words that name a column of a result only after AS.
const NO_LABELS: &str = "\
    array as char character create day except fetch filter for from grant group having hour intersect into isnull \
    limit minute month notnull offset on order over overlaps precision returning second to union varying where \
    window with within without year";
