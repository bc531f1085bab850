//! Rust source without its comments and literals, and the paths that are named in it.

/// The same text with comments and the contents of string and character literals blanked out: the line breaks stay.
pub fn without_comments_and_literals(text: &str) -> String {
    let mut rest = text;
    let mut code = String::with_capacity(text.len());
    while let Some(first) = rest.chars().next() {
        let skipped = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => quoted(rest, 1),
            'r' | 'b' | 'c' if !code.ends_with(is_identifier) => literal_with_prefix(rest),
            '\'' => character(rest),
            _ => 0,
        };
        if skipped == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.push(' ');
            code.extend(rest[..skipped].chars().filter(|character| *character == '\n'));
            rest = &rest[skipped..];
        }
    }
    code
}

pub fn is_identifier(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Length of a block comment, which may hold others.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Length of a string literal whose contents begin at `start`.
fn quoted(text: &str, start: usize) -> usize {
    let mut escaped = false;
    for (at, character) in text[start..].char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return start + at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of `r"…"`, `r#"…"#`, `b"…"`, `br#"…"#`, `c"…"`, `b'…'`; 0 when it is an identifier after all.
fn literal_with_prefix(text: &str) -> usize {
    let prefix = text.find(|character| !matches!(character, 'r' | 'b' | 'c')).unwrap_or(0);
    let raw = text[..prefix].contains('r');
    let hashes = text[prefix..].chars().take_while(|character| *character == '#').count();
    let after = &text[prefix + hashes..];
    if prefix == 0 || prefix > 2 {
        0
    } else if raw && after.starts_with('"') {
        let end = format!("\"{}", "#".repeat(hashes));
        let start = prefix + hashes + 1;
        text[start..].find(&end).map_or(text.len(), |at| start + at + end.len())
    } else if after.starts_with('"') && hashes == 0 {
        quoted(text, prefix + 1)
    } else if &text[..prefix] == "b" && after.starts_with('\'') && hashes == 0 {
        prefix + character(after)
    } else {
        0
    }
}

/// Length of a character literal; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), Some((at, escaped))) => {
            let after = at + escaped.len_utf8();
            text[after..].find('\'').map_or(0, |end| after + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

/// The identifiers of `code` with the text that follows each.
pub fn identifiers(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + code[at..].find(is_identifier)?;
        let length = code[start..].find(|character| !is_identifier(character)).unwrap_or(code.len() - start);
        at = start + length;
        Some((start, &code[start..at]))
    })
}

/// What is named right below `root` in paths such as `root::name` and `root::{name::x, other}`: (offset, name).
pub fn named_below<'a>(code: &'a str, root: &str) -> Vec<(usize, &'a str)> {
    let mut names = Vec::new();
    for (start, name) in identifiers(code) {
        let end = start + name.len();
        if name == root
            && !code[..start].ends_with("::")
            && let Some(path) = code[end..].strip_prefix("::")
        {
            collect_first_names(code, code.len() - path.len(), &mut names);
        }
    }
    names
}

/// The first name of a path at `start`, or of each path of the group there.
fn collect_first_names<'a>(code: &'a str, start: usize, names: &mut Vec<(usize, &'a str)>) {
    if !code[start..].starts_with('{') {
        names.extend(identifiers(&code[start..]).next().map(|(at, name)| (start + at, name)));
        return;
    }
    let mut depth = 0;
    let mut expects_name = false;
    for (at, character) in code[start..].char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return;
        }
        if depth == 1 && matches!(character, '{' | ',') {
            expects_name = true;
        } else if expects_name && is_identifier(character) {
            names.extend(identifiers(&code[start + at..]).next().map(|(offset, name)| (start + at + offset, name)));
            expects_name = false;
        }
    }
}

/// How many `super` each chain of them has: (offset, count).
pub fn super_chains(code: &str) -> Vec<(usize, usize)> {
    let mut chains: Vec<(usize, usize, usize)> = Vec::new();
    for (start, name) in identifiers(code) {
        if name != "super" {
            continue;
        }
        match chains.last_mut() {
            Some((_, count, end)) if *end == start => {
                *count += 1;
                *end = start + "super::".len();
            }
            _ => chains.push((start, 1, start + "super::".len())),
        }
    }
    chains.into_iter().map(|(start, count, _)| (start, count)).collect()
}

/// How many modules written in the file itself (`mod tests { … }`) are around an offset.
pub fn inline_modules_around(code: &str, offset: usize) -> usize {
    let opens = |start: usize| {
        let header = code[start..].split_inclusive(['{', ';']).next()?;
        header.ends_with('{').then_some(start + header.len())
    };
    let closes = |open: usize| {
        let mut depth = 1;
        let end = code[open..].find(|character| {
            depth += i32::from(character == '{') - i32::from(character == '}');
            depth == 0
        });
        end.map_or(code.len(), |end| open + end)
    };
    identifiers(code)
        .take_while(|(start, _)| *start < offset)
        .filter(|(_, name)| *name == "mod")
        .filter_map(|(start, _)| opens(start))
        .filter(|open| (*open..closes(*open)).contains(&offset))
        .count()
}

/// The line, from 1, of an offset.
pub fn line(code: &str, offset: usize) -> usize {
    code[..offset].matches('\n').count() + 1
}
