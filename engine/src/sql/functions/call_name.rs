//! The name that DataFusion gives a call: that of the column which it would make.
//!
//! DataFusion asks for it at every level of an expression, whether or not a column is made, and spells out all that is
//! below: for operators in a row that is time in proportion to the cube of their number. So calls of many calls are
//! named by a hash of what would be spelled out.

use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hash, Hasher};

use datafusion::common::Result;
use datafusion::logical_expr::Expr;

/// Nodes of an expression that are spelled out.
const SPELLED: usize = 24;

/// The name of a call. Equal for calls of which DataFusion's own names would be equal, and for no others.
pub fn call_name(function: &str, args: &[Expr]) -> Result<String> {
    let mut left = SPELLED;
    if args.iter().all(|arg| is_short(arg, &mut left)) {
        let mut name = format!("{function}(");
        for (at, arg) in args.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(name, "{comma}{}", arg.schema_name())?;
        }
        name.push(')');
        return Ok(name);
    }
    let mut hasher = DefaultHasher::new();
    for arg in args {
        hash_name(arg, &mut hasher)?;
    }
    Ok(format!("{function}(#{:016x})", hasher.finish()))
}

/// What is below an expression, as far as operators and functions make long chains of it.
fn parts(expr: &Expr) -> [&[Expr]; 2] {
    use std::slice::from_ref;
    match expr {
        Expr::Cast(cast) => [from_ref(&*cast.expr), &[]],
        Expr::TryCast(cast) => [from_ref(&*cast.expr), &[]],
        Expr::BinaryExpr(binary) => [from_ref(&*binary.left), from_ref(&*binary.right)],
        Expr::ScalarFunction(call) => [&call.args, &[]],
        _ => [&[], &[]],
    }
}

fn is_short(expr: &Expr, left: &mut usize) -> bool {
    match left.checked_sub(1) {
        Some(rest) => *left = rest,
        None => return false,
    }
    parts(expr).into_iter().all(|parts| parts.iter().all(|part| is_short(part, left)))
}

/// Hashes what the name of an expression would tell. Names leave out casts.
fn hash_name(expr: &Expr, hasher: &mut DefaultHasher) -> fmt::Result {
    match expr {
        Expr::Column(column) => column.hash(hasher),
        Expr::Literal(value, _) => value.hash(hasher),
        Expr::Cast(_) | Expr::TryCast(_) => {}
        Expr::BinaryExpr(binary) => binary.op.hash(hasher),
        Expr::ScalarFunction(call) => (call.name(), call.args.len()).hash(hasher),
        other => write!(Hashed(hasher), "{}", other.schema_name())?,
    }
    for parts in parts(expr) {
        for part in parts {
            hash_name(part, hasher)?;
        }
    }
    Ok(())
}

/// Text that is hashed, not kept.
struct Hashed<'a>(&'a mut DefaultHasher);

impl Write for Hashed<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::common::ScalarValue;
    use datafusion::logical_expr::{cast, col, lit};

    use super::*;
    use crate::data::SqlType;
    use crate::sql::functions::itself;

    /// Many calls around an expression.
    fn nested(innermost: Expr) -> Expr {
        (0..100).fold(innermost, |inner, _| itself(inner, &SqlType::Int4))
    }

    fn name(expr: &Expr) -> String {
        expr.schema_name().to_string()
    }

    #[test]
    fn a_few_calls_are_spelled_out() {
        let expr = itself(itself(col("a") + lit(1), &SqlType::Int4), &SqlType::Int4);
        assert_eq!(name(&expr), "itself(itself(a + Int32(1)))");
    }

    #[test]
    fn many_calls_have_a_short_name() {
        assert!(name(&nested(col("a"))).len() < 40, "{}", name(&nested(col("a"))));
    }

    #[test]
    fn different_expressions_have_different_names() {
        let null = lit(ScalarValue::Int32(None));
        let innermost =
            [col("a"), col("b"), col("t.a"), lit(1), lit(1_i64), null, col("a") + lit(1), col("a") - lit(1)];
        let mut names: Vec<String> = innermost.iter().map(|expr| name(&nested(expr.clone()))).collect();
        names.extend(innermost.iter().map(|expr| name(&nested(expr.clone().is_null()))));
        names.push(name(&itself(nested(col("a")), &SqlType::Int4)));
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all, "{names:?}");
    }

    #[test]
    fn casts_are_no_part_of_a_name() {
        use arrow::datatypes::DataType;
        assert_eq!(name(&nested(col("a"))), name(&nested(cast(col("a"), DataType::Int64))));
    }
}
