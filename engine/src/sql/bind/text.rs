//! Places in the query string, and identifiers.

use std::sync::Arc;

use sqlparser::ast::Ident;
use sqlparser::tokenizer::{Location, Span};

/// Longest identifier, in bytes: PostgreSQL's `NAMEDATALEN - 1`.
const MAX_IDENTIFIER: usize = 63;

/// The text of a query string, to turn the parser's lines and columns into positions.
#[derive(Clone, Debug, Default)]
pub struct SourceText {
    text: Arc<str>,
    /// Characters before each line.
    lines: Arc<[usize]>,
}

impl SourceText {
    pub fn new(text: &str) -> SourceText {
        let mut lines = vec![0];
        let newlines = text.chars().enumerate().filter(|(_, character)| *character == '\n');
        lines.extend(newlines.map(|(index, _)| index + 1));
        SourceText { text: text.into(), lines: lines.into() }
    }

    /// The whole text; empty where places mean nothing.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The position of a span's first character, counted from 1 as PostgreSQL's `P` field is; None for empty spans.
    pub fn position(&self, span: Span) -> Option<usize> {
        self.position_of(span.start)
    }

    /// The position of the last such character before a position.
    pub(super) fn last_before(&self, position: usize, wanted: char) -> Option<usize> {
        let before = self.text.chars().take(position.saturating_sub(1)).enumerate();
        before.filter(|(_, character)| *character == wanted).last().map(|(index, _)| index + 1)
    }

    /// The position of a place, counted from 1.
    pub fn position_of(&self, location: Location) -> Option<usize> {
        let line = (location.line as usize).checked_sub(1)?;
        Some(self.lines.get(line)? + location.column as usize)
    }
}

/// An identifier as the catalog knows it: unquoted ones in lower case, cut to 63 bytes.
pub fn fold(ident: &Ident) -> String {
    let mut name = match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    };
    if name.len() > MAX_IDENTIFIER {
        let end = (0..=MAX_IDENTIFIER).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
        name.truncate(end);
    }
    name
}
