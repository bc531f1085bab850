//! Secrets among the options: brokers need them, and nobody is shown them.

use std::ops::Range;

use sqlparser::tokenizer::Location;

use super::ast::{ConnectorOption, CreateConnector};
use crate::sql::bind::SourceText;

/// What stands in a secret's place.
const MASK: &str = "'********'";

/// Last parts of the names of options that are secret.
const SECRET: &[&str] = &["password", "secret", "passphrase", "token"];

/// Parts of names of options that are, or may hold, a secret.
const HOLDERS: &[&str] = &["key.pem", "private.key", "oauthbearer.config", "jaas.config"];

impl CreateConnector {
    /// The part of the query string that is the statement, as it may be shown: without secrets.
    pub fn shown(&self, text: &str, statement: Range<usize>) -> String {
        let source = SourceText::new(text);
        let offset = |location: Location| {
            let position = source.position_of(location)?;
            text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(position - 1)
        };
        let mut shown = String::new();
        let mut from = statement.start;
        for option in self.options.iter().filter(|option| is_secret(option)) {
            let (Some(start), Some(end)) = (offset(option.value_span.start), offset(option.value_span.end)) else {
                continue;
            };
            shown.push_str(text.get(from..start).unwrap_or_default());
            shown.push_str(MASK);
            from = end;
        }
        shown.push_str(text.get(from..statement.end).unwrap_or_default());
        shown.trim().to_owned()
    }
}

fn is_secret(option: &ConnectorOption) -> bool {
    let name = option.name.to_ascii_lowercase();
    let last = name.rsplit(['.', '_']).next().unwrap_or_default();
    SECRET.contains(&last) || HOLDERS.iter().any(|holder| name.contains(holder))
}

#[cfg(test)]
mod tests {
    use crate::sql::connector::parse_create_connector;
    use sqlparser::dialect::PostgreSqlDialect;
    use sqlparser::parser::Parser;

    #[test]
    fn secrets_are_not_shown() {
        let before = "SELECT 'ä\n';\n ";
        let statement = "CREATE TABLE t (a int) WITH (connector = 'kafka', topic = 'pass''word',
            properties.sasl.password = 'it''s ü', properties.sasl.username = 'me',
            properties.SSL.Key.Password = 123, properties.ssl.key.pem = '-----BEGIN
            KEY', properties.ssl.ca.pem = 'public',
            properties.sasl.oauthbearer.client.secret='s'
        ) FORMAT PLAIN ENCODE JSON";
        let text = format!("{before}{statement} ;");
        let dialect = PostgreSqlDialect {};
        let mut parser = Parser::new(&dialect).try_with_sql(&text).unwrap();
        parser.parse_statement().unwrap();
        parser.next_token();
        let create = parse_create_connector(&mut parser).unwrap().unwrap();
        let expected = "CREATE TABLE t (a int) WITH (connector = 'kafka', topic = 'pass''word',
            properties.sasl.password = '********', properties.sasl.username = 'me',
            properties.SSL.Key.Password = '********', properties.ssl.key.pem = '********', properties.ssl.ca.pem = 'public',
            properties.sasl.oauthbearer.client.secret='********'
        ) FORMAT PLAIN ENCODE JSON";
        assert_eq!(create.shown(&text, before.len()..text.len() - 1), expected);
    }
}
