//! Operators: logical, arithmetic, comparison and the rest (`parse_oper.c`).

use std::borrow::Cow;

use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, lit};
use sqlparser::ast::{self, BinaryOperator, Spanned, UnaryOperator};

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::call::no_function;
use crate::sql::bind::coerce::Coercion;
use crate::sql::bind::predicate::unnested;
use crate::sql::bind::{Binder, Bound, Scope};
use crate::sql::functions::{Choice, choose_comparison, choose_operator};
use crate::sql::functions::{comparison, padded_text};

impl Binder<'_> {
    /// AND and OR. Chains of them are walked, not recursed into: generated SQL has thousands.
    pub(super) fn bind_logical(
        &mut self,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
        scope: &Scope,
    ) -> Result<Bound> {
        let mut operands = vec![right];
        let mut first = left;
        while let ast::Expr::BinaryOp { left, op: inner, right } = first
            && inner == op
        {
            operands.push(right);
            first = left;
        }
        operands.push(first);
        let (operator, name) = match op {
            BinaryOperator::And => (Operator::And, "AND"),
            _ => (Operator::Or, "OR"),
        };
        let mut conditions = Vec::with_capacity(operands.len());
        for operand in operands.into_iter().rev() {
            let bound = self.bind_expr(operand, scope)?;
            conditions.push(self.boolean(bound, name)?);
        }
        Ok(Bound::new(balanced(conditions, operator)?, SqlType::Bool, None))
    }

    pub(super) fn bind_binary(
        &mut self,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
        scope: &Scope,
    ) -> Result<Bound> {
        let symbol = symbol(op)?;
        if let (Some(operator), Some(lefts)) = (comparison::operator(&symbol), row(left)) {
            if let Some(rights) = row(right) {
                return self.compare_rows(&lefts, operator, &rights, scope);
            }
            if let ast::Expr::Subquery(query) = unnested(right) {
                return self.compare_row_with_query(&lefts, operator, query, scope);
            }
        }
        if symbol == "OVERLAPS" {
            return self.overlaps(left, right, scope);
        }
        let place = self.operator_position(left, right, &symbol);
        let left = self.bind_expr(left, scope)?;
        let right = self.bind_expr(right, scope)?;
        self.apply_binary(left, &symbol, right).map_err(|error| error.at(place))
    }

    /// `(a, b) OVERLAPS (c, d)`, where the second of a pair may be how long it lasts.
    fn overlaps(&mut self, left: &ast::Expr, right: &ast::Expr, scope: &Scope) -> Result<Bound> {
        let mut ends = Vec::with_capacity(4);
        for (side, expr) in [("left", left), ("right", right)] {
            let Some([start, end]) =
                row(expr).as_deref().map(|items| items.to_vec()).and_then(|items| <[_; 2]>::try_from(items).ok())
            else {
                let message = format!("wrong number of parameters on {side} side of OVERLAPS expression");
                return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(self.position(expr.span())));
            };
            let (start, end) = (self.bind_expr(&start, scope)?, self.bind_expr(&end, scope)?);
            let end = match end.ty {
                SqlType::Interval => self.apply_binary(start.clone(), "+", end)?,
                _ => end,
            };
            ends.extend([start, end]);
        }
        let types: Vec<SqlType> = ends.iter().map(|end| end.ty.clone()).collect();
        self.call_by_name("overlaps", ends).map_err(|error| match error.sqlstate() {
            SqlState::UNDEFINED_FUNCTION => no_function("pg_catalog.overlaps", &types),
            _ => error,
        })
    }

    /// The operator between two bound operands.
    pub(super) fn apply_binary(&mut self, left: Bound, symbol: &str, right: Bound) -> Result<Bound> {
        if let Some(operator) = comparison::operator(symbol) {
            return self.apply_comparison(left, operator, right);
        }
        let left = if is_match(symbol) { padded(left) } else { left };
        match choose_operator(symbol, &[left.ty.clone(), right.ty.clone()]) {
            Choice::One { function, args, result } => {
                let position = left.position;
                let args = vec![self.argument(left, &args[0])?, self.argument(right, &args[1])?];
                self.invoke(function, args, result, position)
            }
            Choice::None => Err(no_operator(&format!("{} {symbol} {}", left.ty.bare(), right.ty.bare()), false)),
            Choice::Ambiguous => Err(ambiguous_operator(&format!("{} {symbol} {}", left.ty.bare(), right.ty.bare()))),
        }
    }

    /// `=`, `<`, IS DISTINCT FROM and their kind.
    pub(super) fn apply_comparison(&mut self, left: Bound, operator: Operator, right: Bound) -> Result<Bound> {
        let symbol = match operator {
            Operator::IsDistinctFrom | Operator::IsNotDistinctFrom => "=".to_owned(),
            operator => operator.to_string().replace("!=", "<>"),
        };
        let position = left.position;
        if let (SqlType::Record(_), SqlType::Record(_)) = (&left.ty, &right.ty) {
            return self.compare_records(left, operator, right);
        }
        let both = format!("{} {symbol} {}", left.ty.bare(), right.ty.bare());
        match choose_comparison(&[left.ty.clone(), right.ty.clone()]) {
            Choice::One { args, .. } => {
                // A real compares with a double as a double.
                let mixed = args.contains(&SqlType::Float8);
                let ty = if mixed { SqlType::Float8 } else { args[0].clone() };
                let left = self.argument(left, &ty)?.expr;
                let right = self.argument(right, &ty)?.expr;
                Ok(Bound::new(comparison::compare(left, operator, right, &ty)?, SqlType::Bool, position))
            }
            Choice::None => Err(no_operator(&both, false)),
            Choice::Ambiguous => Err(ambiguous_operator(&both)),
        }
    }

    /// An argument as the chosen function wants it.
    pub(super) fn argument(&mut self, bound: Bound, ty: &SqlType) -> Result<Bound> {
        self.coerce(bound, ty, Coercion::Implicit)
    }

    pub(super) fn bind_unary(&mut self, op: UnaryOperator, expr: &ast::Expr, scope: &Scope) -> Result<Bound> {
        let symbol = match op {
            UnaryOperator::Not => {
                let bound = self.bind_expr(expr, scope)?;
                return Ok(Bound::new(Expr::Not(Box::new(self.boolean(bound, "NOT")?)), SqlType::Bool, None));
            }
            UnaryOperator::Minus => "-",
            UnaryOperator::Plus => "+",
            UnaryOperator::BitwiseNot => "~",
            UnaryOperator::PGAbs => "@",
            UnaryOperator::PGSquareRoot => "|/",
            UnaryOperator::PGCubeRoot => "||/",
            other => return Err(Error::unsupported(format!("operator {other}"))),
        };
        if let (UnaryOperator::Minus, ast::Expr::Value(value)) = (op, expr)
            && let ast::Value::Number(digits, false) = &value.value
            && let Some((expr, ty)) = negated_integer(digits)
        {
            return Ok(Bound::new(expr, ty, None));
        }
        let bound = self.bind_expr(expr, scope)?;
        let operand = self.position(expr.span());
        let place = operand.zip(symbol.chars().next()).and_then(|(operand, sign)| self.text.last_before(operand, sign));
        let ty = bound.ty.bare();
        match choose_operator(symbol, std::slice::from_ref(&bound.ty)) {
            Choice::One { function, args, result } => {
                let argument = self.argument(bound, &args[0])?;
                self.invoke(function, vec![argument], result, None)
            }
            Choice::None => Err(no_operator(&format!("{symbol} {ty}"), true).at(place)),
            Choice::Ambiguous => Err(ambiguous_operator(&format!("{symbol} {ty}")).at(place)),
        }
    }

    /// `(a, b) = (c, d)`: equality column by column, order by the first that differs.
    pub(super) fn compare_rows(
        &mut self,
        lefts: &[ast::Expr],
        operator: Operator,
        rights: &[ast::Expr],
        scope: &Scope,
    ) -> Result<Bound> {
        if lefts.len() != rights.len() {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "unequal number of entries in row expressions"));
        }
        let mut pairs = Vec::with_capacity(lefts.len());
        for (left, right) in lefts.iter().zip(rights) {
            pairs.push((self.bind_expr(left, scope)?, self.bind_expr(right, scope)?));
        }
        self.compare_pairs(&pairs, operator)
    }

    /// The fields of two rows, pair by pair.
    pub(super) fn compare_pairs(&mut self, pairs: &[(Bound, Bound)], operator: Operator) -> Result<Bound> {
        let mut compare = |pair: &(Bound, Bound), operator| -> Result<Expr> {
            Ok(self.apply_comparison(pair.0.clone(), operator, pair.1.clone())?.expr)
        };
        let expr = match operator {
            Operator::Eq | Operator::IsNotDistinctFrom | Operator::NotEq | Operator::IsDistinctFrom => {
                let any = matches!(operator, Operator::NotEq | Operator::IsDistinctFrom);
                let terms = pairs.iter().map(|pair| compare(pair, operator)).collect::<Result<Vec<_>>>()?;
                balanced(terms, if any { Operator::Or } else { Operator::And })?
            }
            operator => {
                let strict = match operator {
                    Operator::LtEq => Operator::Lt,
                    Operator::GtEq => Operator::Gt,
                    other => other,
                };
                let mut pairs = pairs.iter().rev();
                let last = pairs.next().ok_or_else(|| Error::internal("a row of no columns"))?;
                let mut expr = compare(last, operator)?;
                for pair in pairs {
                    let (decides, same) = (compare(pair, strict)?, compare(pair, Operator::Eq)?);
                    expr = match fails_nowhere(&expr) {
                        true => decides.or(same.and(expr)),
                        // The columns behind one that is not the same, or NULL, are not computed.
                        false => {
                            let branches = vec![(Box::new(same), Box::new(expr))];
                            Expr::Case(Case::new(None, branches, Some(Box::new(decides))))
                        }
                    };
                }
                expr
            }
        };
        Ok(Bound::new(expr, SqlType::Bool, None))
    }

    /// Where an operator stands: behind its left operand. The syntax tree keeps no place for it.
    fn operator_position(&self, left: &ast::Expr, right: &ast::Expr, symbol: &str) -> Option<usize> {
        let start = self.position(left.span())?;
        let end = self.position(right.span())?;
        let between: Vec<char> = self.text.text().chars().skip(start - 1).take(end.saturating_sub(start)).collect();
        let wanted: Vec<char> = symbol.chars().collect();
        let found = between.windows(wanted.len()).rposition(|window| window == wanted.as_slice())?;
        Some(start + found)
    }
}

/// A char(n) as the text with its blanks.
fn padded(bound: Bound) -> Bound {
    match bound.ty {
        SqlType::Bpchar(Some(_)) => Bound::new(padded_text(bound.expr, bound.ty), SqlType::Text, bound.position),
        _ => bound,
    }
}

/// Operators that match a text with a pattern.
fn is_match(symbol: &str) -> bool {
    matches!(symbol, "~~" | "!~~" | "~~*" | "!~~*" | "~" | "!~" | "~*" | "!~*")
}

fn is_comparison(operator: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(operator, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

/// Whether an expression only compares columns and constants.
fn fails_nowhere(expr: &Expr) -> bool {
    let computes = |part: &Expr| {
        Ok(!matches!(
            part,
            Expr::BinaryExpr(BinaryExpr { op: Operator::And | Operator::Or, .. })
                | Expr::Column(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::Literal(..)
                | Expr::Placeholder(_)
                | Expr::Cast(_)
        ) && !matches!(part, Expr::BinaryExpr(comparison) if is_comparison(comparison.op)))
    };
    !expr.exists(computes).unwrap_or(true)
}

/// The elements of a row constructor.
pub(super) fn row(expr: &ast::Expr) -> Option<Cow<'_, [ast::Expr]>> {
    match expr {
        ast::Expr::Tuple(items) => Some(Cow::Borrowed(items)),
        ast::Expr::Nested(inner) => row(inner),
        ast::Expr::Function(call) => written_row(call).map(Cow::Owned),
        _ => None,
    }
}

/// The elements of `ROW(a, b)`.
fn written_row(call: &ast::Function) -> Option<Vec<ast::Expr>> {
    let [name] = &call.name.0[..] else { return None };
    let ast::FunctionArguments::List(list) = &call.args else { return None };
    let is_row =
        name.as_ident().is_some_and(|name| name.quote_style.is_none() && name.value.eq_ignore_ascii_case("row"));
    if !is_row || call.over.is_some() || list.args.is_empty() {
        return None;
    }
    let item = |arg: &ast::FunctionArg| match arg {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    list.args.iter().map(item).collect()
}

/// Conditions joined as a tree of little depth.
pub(super) fn balanced(mut terms: Vec<Expr>, operator: Operator) -> Result<Expr> {
    while terms.len() > 1 {
        let mut pairs = terms.into_iter();
        let mut joined = Vec::new();
        while let Some(left) = pairs.next() {
            joined.push(match pairs.next() {
                Some(right) => Expr::BinaryExpr(BinaryExpr::new(Box::new(left), operator, Box::new(right))),
                None => left,
            });
        }
        terms = joined;
    }
    terms.pop().ok_or_else(|| Error::internal("no conditions"))
}

/// A negated integer constant is one: `-2147483648` is an integer, though its digits alone are a bigint.
fn negated_integer(digits: &str) -> Option<(Expr, SqlType)> {
    let value = -digits.parse::<i128>().ok()?;
    match i32::try_from(value) {
        Ok(value) => Some((lit(value), SqlType::Int4)),
        Err(_) => i64::try_from(value).ok().map(|value| (lit(value), SqlType::Int8)),
    }
}

/// PostgreSQL's symbol of an operator.
pub(super) fn symbol(op: &BinaryOperator) -> Result<String> {
    Ok(match op {
        BinaryOperator::NotEq => "<>".into(),
        BinaryOperator::PGExp => "^".into(),
        // `OPERATOR(pg_catalog.~)`.
        BinaryOperator::PGCustomBinaryOperator(parts) => {
            let schema_fits = parts.len() < 2 || parts[0].eq_ignore_ascii_case("pg_catalog");
            match parts.last() {
                Some(symbol) if schema_fits => symbol.clone(),
                _ => return Err(Error::unsupported(format!("operator {op}"))),
            }
        }
        BinaryOperator::BitwiseXor => "^".into(),
        other => other.to_string(),
    })
}

fn no_operator(call: &str, unary: bool) -> Error {
    let hint = match unary {
        true => "No operator matches the given name and argument type. You might need to add an explicit type cast.",
        false => "No operator matches the given name and argument types. You might need to add explicit type casts.",
    };
    Error::new(SqlState::UNDEFINED_FUNCTION, format!("operator does not exist: {call}")).with_hint(hint)
}

fn ambiguous_operator(call: &str) -> Error {
    Error::new(SqlState::AMBIGUOUS_FUNCTION, format!("operator is not unique: {call}"))
        .with_hint("Could not choose a best candidate operator. You might need to add explicit type casts.")
}
