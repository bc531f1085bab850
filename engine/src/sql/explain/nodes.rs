//! The nodes of a dataflow, a line each, indented as PostgreSQL does.

use crate::data::ObjectId;
use crate::dataflow::{PlanLine, Properties};
use crate::sql::explain::expression::Reader;

/// What relations are called.
pub trait Names {
    /// The kind and the name of a relation, as `Table orders`, and its columns.
    fn relation(&self, id: ObjectId) -> Option<(String, Vec<String>)>;
}

/// A node with what it stands on.
struct Node<'a> {
    line: &'a PlanLine,
    inputs: Vec<Node<'a>>,
}

/// What is said of a node.
struct Shown {
    operator: String,
    /// What its columns are.
    columns: Vec<String>,
    /// The lines of the nodes below it.
    below: Vec<String>,
}

/// The lines of `EXPLAIN`; with `sizes`, each says how much its node keeps.
pub fn dataflow_text(lines: &[PlanLine], names: &dyn Names, sizes: bool) -> Vec<String> {
    let mut rest = lines;
    let Some(root) = node(&mut rest) else { return Vec::new() };
    // With several relations, columns say whose they are.
    let writer = Writer { names, sizes, qualified: relations(&root) > 2 };
    let Shown { operator, below, .. } = writer.show(&root, 0);
    std::iter::once(operator).chain(below).collect()
}

/// Reads a node and all below it from lines in which each stands before its inputs.
fn node<'a>(lines: &mut &'a [PlanLine]) -> Option<Node<'a>> {
    let (line, rest) = lines.split_first()?;
    *lines = rest;
    let mut inputs = Vec::new();
    while lines.first().is_some_and(|next| next.depth > line.depth) {
        inputs.extend(node(lines));
    }
    Some(Node { line, inputs })
}

fn relations(node: &Node<'_>) -> usize {
    usize::from(node.line.relation.is_some()) + node.inputs.iter().map(relations).sum::<usize>()
}

struct Writer<'a> {
    names: &'a dyn Names,
    sizes: bool,
    qualified: bool,
}

impl Writer<'_> {
    fn show(&self, node: &Node<'_>, depth: usize) -> Shown {
        let inputs: Vec<Shown> = node.inputs.iter().map(|input| self.show(input, depth + 1)).collect();
        let columns: Vec<&[String]> = inputs.iter().map(|input| input.columns.as_slice()).collect();
        let (name, columns) = match node.line.relation.and_then(|id| self.names.relation(id)) {
            Some((name, columns)) if depth == 0 || !self.qualified => (name, columns),
            Some((name, columns)) => {
                let own = name.rsplit(' ').next().unwrap_or_default();
                let columns = columns.iter().map(|column| format!("{own}.{column}")).collect();
                (name, columns)
            }
            None => operator(&node.line.operator, &columns),
        };
        let operator = format!("{name}{}", self.notes(node.line, &columns, depth));
        let indent = " ".repeat(6 * depth + 2);
        let mut below = Vec::new();
        for input in inputs {
            below.push(format!("{indent}->  {}", input.operator));
            below.extend(input.below);
        }
        Shown { operator, columns, below }
    }

    fn notes(&self, line: &PlanLine, columns: &[String], depth: usize) -> String {
        let mut notes: Vec<String> = key(&line.properties, columns).into_iter().collect();
        if line.properties.append_only {
            notes.push("append-only".to_owned());
        }
        let is_relation = line.relation.is_some();
        if line.readers > 1 && !is_relation {
            notes.push(format!("shared by {}", line.readers));
        }
        let mut text = match notes.is_empty() {
            true => String::new(),
            false => format!("  ({})", notes.join("; ")),
        };
        // What the relations below keep is theirs.
        if self.sizes && line.stateful && (depth == 0 || !is_relation) {
            text.push_str(&format!("  (rows={} bytes={})", line.size.rows, line.size.bytes));
        }
        text
    }
}

fn key(properties: &Properties, columns: &[String]) -> Option<String> {
    let key = properties.best_key()?;
    if key.is_empty() {
        return Some("at most one row".to_owned());
    }
    let names: Vec<&str> = key.iter().filter_map(|at| columns.get(*at)).map(String::as_str).collect();
    (names.len() == key.len()).then(|| format!("key: {}", names.join(", ")))
}

/// An operator and its columns, from its canonical text; what cannot be read is shown by its first word alone.
fn operator(text: &str, inputs: &[&[String]]) -> (String, Vec<String>) {
    let first = inputs.first().copied().unwrap_or_default();
    let word = text.split(' ').next().unwrap_or_default();
    let read = match word {
        "map" => map(text, first),
        "aggregate" => aggregate(text, first),
        "distinct" => Some(("Distinct".to_owned(), first.to_vec())),
        "top" => top(text, first),
        "join" => join(text, first, inputs.get(1).copied().unwrap_or_default()),
        "arrange" => Some(("Stored Rows".to_owned(), first.to_vec())),
        "union" => Some(("Union All".to_owned(), first.to_vec())),
        "unnest" => unnest(text, first),
        "values" => Some(("Values".to_owned(), Vec::new())),
        "empty" => Some((if text.starts_with("empty 1") { "One Row" } else { "No Rows" }.to_owned(), Vec::new())),
        _ => None,
    };
    let mut unread = word.to_owned();
    if let Some(letter) = unread.get_mut(..1) {
        letter.make_ascii_uppercase();
    }
    read.unwrap_or((unread, Vec::new()))
}

/// `map where[…] select[…] types[…]`
fn map(text: &str, columns: &[String]) -> Option<(String, Vec<String>)> {
    let mut reader = Reader::new(text);
    reader.eat("map where")?;
    let conditions = reader.expressions(columns)?;
    reader.eat(" select")?;
    let outputs = reader.expressions(columns)?;
    let condition = conditions.join(" AND ");
    let shown = match (outputs == columns, condition.is_empty()) {
        (true, false) => format!("Filter: {condition}"),
        (_, true) => format!("Project: {}", outputs.join(", ")),
        (false, false) => format!("Project: {} where {condition}", outputs.join(", ")),
    };
    Some((shown, outputs))
}

/// `aggregate keys[0] calls[sum(1) filter -;…] types[…] …`; of one that is emitted window by window, `… closing view=7 …`
fn aggregate(text: &str, columns: &[String]) -> Option<(String, Vec<String>)> {
    let mut reader = Reader::new(text);
    reader.eat("aggregate keys")?;
    let keys = reader.numbers()?.into_iter().map(|at| columns.get(at).cloned()).collect::<Option<Vec<_>>>()?;
    reader.eat(" calls[")?;
    let mut calls = Vec::new();
    while reader.eat("]").is_none() {
        reader.eat(";").or(calls.is_empty().then_some(()))?;
        let function = reader.until(&['('])?;
        reader.eat("(")?;
        let distinct = if reader.eat("distinct ").is_some() { "DISTINCT " } else { "" };
        let argument = if reader.eat("-").is_some() { "*" } else { columns.get(reader.number()?)? };
        reader.eat(") filter ")?;
        let filter = match reader.eat("-") {
            Some(()) => String::new(),
            None => format!(" FILTER (WHERE {})", columns.get(reader.number()?)?),
        };
        calls.push(format!("{function}({distinct}{argument}){filter}"));
    }
    let name = if text.contains(" closing view=") { "Aggregate on Window Close" } else { "Aggregate" };
    let shown = match (keys.as_slice(), calls.as_slice()) {
        ([], calls) => format!("{name}: {}", calls.join(", ")),
        (keys, []) => format!("{name} by {}", keys.join(", ")),
        (keys, calls) => format!("{name} by {}: {}", keys.join(", "), calls.join(", ")),
    };
    Some((shown, keys.into_iter().chain(calls).collect()))
}

/// `top partition[0] order[1 descending=true nulls_first=true;…] offset 0 limit Some(3) …`
fn top(text: &str, columns: &[String]) -> Option<(String, Vec<String>)> {
    let mut reader = Reader::new(text);
    reader.eat("top partition")?;
    let partition = reader.numbers()?.into_iter().map(|at| columns.get(at).cloned()).collect::<Option<Vec<_>>>()?;
    reader.eat(" order[")?;
    let mut order = Vec::new();
    while reader.eat("]").is_none() {
        reader.eat(";").or(order.is_empty().then_some(()))?;
        let column = columns.get(reader.number()?)?;
        reader.eat(" descending=")?;
        let descending = reader.until(&[' '])? == "true";
        reader.eat(" nulls_first=")?;
        let nulls_first = reader.eat("true").is_some();
        if !nulls_first {
            reader.eat("false")?;
        }
        // PostgreSQL's default: NULLs are greater than everything.
        let nulls = match (descending, nulls_first) {
            (false, true) => " NULLS FIRST",
            (true, false) => " NULLS LAST",
            _ => "",
        };
        order.push(format!("{column}{}{nulls}", if descending { " DESC" } else { "" }));
    }
    reader.eat(" offset ")?;
    let offset = reader.number()?;
    let limit = match reader.eat(" limit Some(") {
        Some(()) => Some(reader.number()?),
        None => None,
    };
    let mut shown = String::from("Limit");
    if let Some(limit) = limit {
        shown.push_str(&format!(" {limit}"));
    }
    if offset > 0 {
        shown.push_str(&format!(" offset {offset}"));
    }
    if !partition.is_empty() {
        shown.push_str(&format!(" of each {}", partition.join(", ")));
    }
    if !order.is_empty() {
        shown.push_str(&format!(" by {}", order.join(", ")));
    }
    Some((shown, columns.to_vec()))
}

/// `join inner nulls_match=false left[[1][0, 1]] right[[0][0, 1]] where[…]`: the keys of each side, and its columns.
fn join(text: &str, left: &[String], right: &[String]) -> Option<(String, Vec<String>)> {
    let mut reader = Reader::new(text);
    reader.eat("join ")?;
    let kind = reader.until(&[' '])?;
    reader.eat(" nulls_match=")?;
    let equals = if reader.until(&[' '])? == "true" { "IS NOT DISTINCT FROM" } else { "=" };
    let mut side = |name: &str, columns: &[String]| -> Option<[Vec<String>; 2]> {
        reader.eat(name)?;
        let named = |numbers: Vec<usize>| numbers.into_iter().map(|at| columns.get(at).cloned()).collect::<Option<_>>();
        let both = [named(reader.numbers()?)?, named(reader.numbers()?)?];
        reader.eat("]")?;
        Some(both)
    };
    let [left_keys, left] = side(" left[", left)?;
    let [right_keys, right] = side(" right[", right)?;
    let mut pairs = left.clone();
    pairs.extend(right);
    reader.eat(" where[")?;
    let residual = if reader.at("]") { None } else { Some(reader.expression(&pairs)?) };
    let mut conditions: Vec<String> =
        left_keys.iter().zip(&right_keys).map(|(left, right)| format!("{left} {equals} {right}")).collect();
    conditions.extend(residual);
    let (name, columns) = match kind {
        "inner" if conditions.is_empty() => ("Cross Join", pairs),
        "inner" => ("Inner Join", pairs),
        "left" => ("Left Join", pairs),
        "semi" => ("Semi Join", left),
        "anti" => ("Anti Join", left),
        "mark" => ("Mark Join", left.into_iter().chain(["matched".to_owned()]).collect()),
        _ => return None,
    };
    let on = if conditions.is_empty() { String::new() } else { format!(" on {}", conditions.join(" AND ")) };
    Some((format!("{name}{on}"), columns))
}

/// `unnest [1] keep_empty=false`
fn unnest(text: &str, columns: &[String]) -> Option<(String, Vec<String>)> {
    let mut reader = Reader::new(text);
    reader.eat("unnest ")?;
    let lists = reader.numbers()?;
    let mut outputs = columns.to_vec();
    for at in &lists {
        let column = outputs.get_mut(*at)?;
        *column = format!("unnest({column})");
    }
    let shown: Vec<&str> = lists.iter().filter_map(|at| columns.get(*at)).map(String::as_str).collect();
    Some((format!("Unnest {}", shown.join(", ")), outputs))
}
