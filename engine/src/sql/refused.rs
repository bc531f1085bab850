//! PostgreSQL's statements that are not ours. They are known by their first words, so that what is missing is said whatever
//! else stands in them.
//!
//! The statements: <https://www.postgresql.org/docs/15/sql-commands.html>.

use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use crate::error::Error;
use crate::sql::word::{at_words, is_word};

/// A statement that is refused.
#[derive(Clone, Debug)]
pub struct Refused {
    what: String,
    hint: Option<&'static str>,
}

impl Refused {
    /// 0A000 with the statement's name.
    pub fn error(&self) -> Error {
        let error = Error::unsupported(&self.what);
        match self.hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

/// Statements by their first words, and what to do instead.
const STATEMENTS: &[(&[&str], Option<&str>)] = &[
    (&["ANALYSE"], NO_STATISTICS),
    (&["ANALYZE"], NO_STATISTICS),
    (&["CALL"], None),
    (&["CHECKPOINT"], Some("FLUSH waits until all that is visible now is in a checkpoint.")),
    (&["CLUSTER"], None),
    (&["COMMENT", "ON"], None),
    (&["COMMIT", "PREPARED"], None),
    (&["COPY"], Some("Read rows with SELECT, and write many at a time with INSERT … VALUES (…), (…).")),
    (&["DO"], None),
    (&["GRANT"], NO_PRIVILEGES),
    (&["IMPORT", "FOREIGN", "SCHEMA"], None),
    (&["LISTEN"], None),
    (&["LOAD"], None),
    (&["LOCK"], None),
    (&["MERGE"], Some("INSERT … ON CONFLICT DO UPDATE inserts or updates.")),
    (&["NOTIFY"], None),
    (&["REASSIGN", "OWNED"], NO_PRIVILEGES),
    (&["REFRESH", "MATERIALIZED", "VIEW"], Some("Materialized views are always current.")),
    (&["REINDEX"], None),
    (&["REVOKE"], NO_PRIVILEGES),
    (&["ROLLBACK", "PREPARED"], None),
    (&["SECURITY", "LABEL"], None),
    (&["SET", "CONSTRAINTS"], None),
    (&["TRUNCATE"], Some("DELETE FROM takes all rows of a table.")),
    (&["VACUUM"], Some("What no transaction reads any more is freed without it.")),
];

const NO_PRIVILEGES: Option<&str> = Some("There are no privileges: whoever can connect may do everything.");
const NO_STATISTICS: Option<&str> = Some("Plans need no statistics that have to be gathered.");

/// Kinds of objects that there are in PostgreSQL and not here: after CREATE, ALTER and DROP.
const KINDS: &[&[&str]] = &[
    &["ACCESS", "METHOD"],
    &["AGGREGATE"],
    &["CAST"],
    &["COLLATION"],
    &["CONVERSION"],
    &["DATABASE"],
    &["DEFAULT", "PRIVILEGES"],
    &["DOMAIN"],
    &["EVENT", "TRIGGER"],
    &["EXTENSION"],
    &["FOREIGN", "DATA", "WRAPPER"],
    &["FOREIGN", "TABLE"],
    &["FUNCTION"],
    &["GROUP"],
    &["INDEX"],
    &["LANGUAGE"],
    &["LARGE", "OBJECT"],
    &["OPERATOR"],
    &["OWNED"],
    &["POLICY"],
    &["PROCEDURE"],
    &["PUBLICATION"],
    &["RECURSIVE", "VIEW"],
    &["ROLE"],
    &["ROUTINE"],
    &["RULE"],
    &["SCHEMA"],
    &["SEQUENCE"],
    &["SERVER"],
    &["STATISTICS"],
    &["SUBSCRIPTION"],
    &["SYSTEM"],
    &["TABLESPACE"],
    &["TEXT", "SEARCH"],
    &["TRANSFORM"],
    &["TRIGGER"],
    &["TYPE"],
    &["UNLOGGED", "TABLE"],
    &["USER", "MAPPING"],
    &["USER"],
];

/// Kinds that can be made and dropped here, but not altered.
const FIXED: &[&[&str]] = &[&["MATERIALIZED", "VIEW"], &["SINK"], &["SOURCE"], &["TABLE"], &["VIEW"]];

/// Words between CREATE and the kind.
const MODIFIERS: &[&str] =
    &["OR", "REPLACE", "UNIQUE", "TRUSTED", "PROCEDURAL", "CONSTRAINT", "LOCAL", "GLOBAL", "TEMP", "TEMPORARY"];

/// Goes past the statement if it is one of those.
pub fn parse_refused(parser: &mut Parser<'_>) -> Option<Refused> {
    let refused = statement(parser).or_else(|| of_object(parser))?;
    skip_statement(parser);
    Some(refused)
}

fn statement(parser: &Parser<'_>) -> Option<Refused> {
    if at_words(parser, &["PREPARE", "TRANSACTION"])
        && matches!(parser.peek_nth_token_ref(2).token, Token::SingleQuotedString(_))
    {
        return Some(Refused { what: "PREPARE TRANSACTION".to_owned(), hint: None });
    }
    let (words, hint) = STATEMENTS.iter().find(|(words, _)| at_words(parser, words))?;
    // COMMENT alone says it.
    let words = if words[0] == "COMMENT" { &words[..1] } else { words };
    Some(Refused { what: words.join(" "), hint: *hint })
}

/// `CREATE`, `ALTER` or `DROP` of a kind of objects.
fn of_object(parser: &Parser<'_>) -> Option<Refused> {
    let verb = ["CREATE", "ALTER", "DROP"].into_iter().find(|verb| at_words(parser, &[verb]))?;
    let is = |at: usize, word: &str| is_word(&parser.peek_nth_token_ref(at).token, word);
    let mut at = 1;
    while verb == "CREATE" && MODIFIERS.iter().any(|word| is(at, word)) {
        at += 1;
    }
    let fixed = if verb == "ALTER" { FIXED } else { &[] };
    let stands = |kind: &&&[&str]| kind.iter().enumerate().all(|(more, word)| is(at + more, word));
    let kind = KINDS.iter().chain(fixed).find(stands)?.join(" ");
    let hint = match (verb, kind.as_str()) {
        ("CREATE", "INDEX") => Some(
            "Rows are looked up by the primary key of a table, and by what a materialized view groups by: make a view for \
             another one.",
        ),
        ("CREATE", "UNLOGGED TABLE") => Some("CREATE TABLE makes one whose rows are kept."),
        ("CREATE", "FOREIGN TABLE" | "SERVER" | "FOREIGN DATA WRAPPER") => Some("CREATE SOURCE reads from Kafka."),
        ("ALTER", "SYSTEM") => Some("The server's settings are flags, variables and lines of its configuration file."),
        ("ALTER", "TABLE" | "VIEW" | "MATERIALIZED VIEW" | "SOURCE" | "SINK") => {
            Some("Make another one under another name, or drop it and make it anew.")
        }
        (_, "ROLE" | "USER" | "GROUP" | "POLICY" | "DEFAULT PRIVILEGES") => NO_PRIVILEGES,
        (_, "DATABASE") => Some("There is one database."),
        _ => None,
    };
    Some(Refused { what: format!("{verb} {kind}"), hint })
}

/// Goes to the end of the statement. Semicolons in brackets are within it, as those of a rule are.
fn skip_statement(parser: &mut Parser<'_>) {
    let mut depth = 0usize;
    loop {
        match parser.peek_token_ref().token {
            Token::EOF => return,
            Token::SemiColon if depth == 0 => return,
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        parser.advance_token();
    }
}
