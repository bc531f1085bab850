//! The functions and operators as the SQL reference lists them.

use super::signature::{Function, T};
use super::{FUNCTIONS, OPERATORS};
use crate::data::SqlType;

/// What the reference says of all functions, or all operators, of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceEntry {
    /// The heading under which it stands.
    pub family: &'static str,
    pub name: &'static str,
    /// Each form as `(arguments) → result`; of an operator `left, right → result`.
    pub forms: Vec<String>,
}

/// Every function, by family in the order of the reference, then by name.
pub fn functions() -> Vec<ReferenceEntry> {
    entries(FUNCTIONS)
}

/// Every operator but comparisons, likewise.
pub fn operators() -> Vec<ReferenceEntry> {
    entries(OPERATORS)
}

fn entries(families: &[(&'static str, &'static [Function])]) -> Vec<ReferenceEntry> {
    let mut entries: Vec<ReferenceEntry> = Vec::new();
    for (family, functions) in families {
        let first = entries.iter().position(|entry| entry.family == *family).unwrap_or(entries.len());
        for function in *functions {
            let form = form(function);
            match entries[first..].iter_mut().find(|entry| entry.family == *family && entry.name == function.name) {
                Some(entry) if entry.forms.contains(&form) => {}
                Some(entry) => entry.forms.push(form),
                None => entries.push(ReferenceEntry { family, name: function.name, forms: vec![form] }),
            }
        }
        let end = first + entries[first..].iter().take_while(|entry| entry.family == *family).count();
        entries[first..end].sort_by_key(|entry| entry.name);
    }
    entries
}

/// `(integer [, text]) → boolean`
fn form(function: &Function) -> String {
    let required = function.args.len() - function.optional;
    let mut text = String::from("(");
    for (position, arg) in function.args.iter().enumerate() {
        let separator = if position == 0 { "" } else { ", " };
        let name = type_name(*arg);
        let name = if function.variadic && position + 1 == function.args.len() { format!("{name} …") } else { name };
        match position < required {
            true => text.push_str(&format!("{separator}{name}")),
            false => {
                text.push_str(format!(" [{separator}{name}]").trim_start_matches(if position == 0 { " " } else { "" }))
            }
        }
    }
    format!("{}) → {}", text, type_name(function.result))
}

fn type_name(ty: T) -> String {
    if let Some(SqlType::Record(fields)) = ty.sql() {
        let fields: Vec<String> = fields.iter().map(|(name, ty)| format!("{name} {ty}")).collect();
        return format!("({})", fields.join(", "));
    }
    if let Some(ty) = ty.sql() {
        return ty.to_string().replace(" without time zone", "").replace("timestamp with time zone", "timestamptz");
    }
    let name = match ty {
        T::AnyArray => "anyarray",
        T::AnyNonArray => "anynonarray",
        T::AnyCompatible => "anycompatible",
        T::AnyCompatibleArray => "anycompatiblearray",
        T::Any => "any",
        T::Record => "record",
        _ => "anyelement",
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_stands_once_in_its_family() {
        let all = functions();
        for (position, entry) in all.iter().enumerate() {
            let again = all[..position].iter().any(|other| (other.family, other.name) == (entry.family, entry.name));
            assert!(!again, "{} stands twice in {}", entry.name, entry.family);
        }
        let abs = all.iter().find(|entry| entry.name == "abs").expect("abs is a function");
        assert!(abs.forms.contains(&"(integer) → integer".to_owned()), "{abs:?}");
        let concat = all.iter().find(|entry| entry.name == "concat").expect("concat is a function");
        assert_eq!(concat.forms, ["(any …) → text"]);
    }
}
