//! Predicates with syntax of their own: IS …, BETWEEN, IN, LIKE, ANY and ALL.

use arrow::array::Array;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, lit};
use sqlparser::ast::{self, BinaryOperator, FunctionArg, FunctionArgExpr, FunctionArguments, ValueWithSpan};

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::adt::pattern;
use crate::sql::adt::time_zone::TimeZone;
use crate::sql::bind::operator::{balanced, row, symbol};
use crate::sql::bind::{Binder, Bound, Scope};
use crate::sql::functions::signature::Volatility;
use crate::sql::functions::{PgScalar, array, comparison, element};

impl Binder<'_> {
    pub(super) fn bind_predicate(&mut self, expr: &ast::Expr, scope: &Scope) -> Result<Bound> {
        use ast::Expr as E;
        let expr = match expr {
            E::IsNull(inner) => return self.bind_null_test(inner, true, scope),
            E::IsNotNull(inner) => return self.bind_null_test(inner, false, scope),
            E::IsTrue(inner) => Expr::IsTrue(self.bind_test(inner, "IS TRUE", scope)?),
            E::IsNotTrue(inner) => Expr::IsNotTrue(self.bind_test(inner, "IS NOT TRUE", scope)?),
            E::IsFalse(inner) => Expr::IsFalse(self.bind_test(inner, "IS FALSE", scope)?),
            E::IsNotFalse(inner) => Expr::IsNotFalse(self.bind_test(inner, "IS NOT FALSE", scope)?),
            E::IsUnknown(inner) => Expr::IsUnknown(self.bind_test(inner, "IS UNKNOWN", scope)?),
            E::IsNotUnknown(inner) => Expr::IsNotUnknown(self.bind_test(inner, "IS NOT UNKNOWN", scope)?),
            E::IsDistinctFrom(left, right) => return self.bind_distinct(left, Operator::IsDistinctFrom, right, scope),
            E::IsNotDistinctFrom(left, right) => {
                return self.bind_distinct(left, Operator::IsNotDistinctFrom, right, scope);
            }
            E::Between { expr, negated, low, high } => return self.bind_between(expr, *negated, low, high, scope),
            E::InList { expr, list, negated } => return self.bind_in(expr, list, *negated, scope),
            E::Like { negated, any: false, expr, pattern, escape_char } => {
                let name = if *negated { "!~~" } else { "~~" };
                return self.bind_like(expr, name, pattern, escape_char.as_ref(), scope);
            }
            E::ILike { negated, any: false, expr, pattern, escape_char } => {
                let name = if *negated { "!~~*" } else { "~~*" };
                return self.bind_like(expr, name, pattern, escape_char.as_ref(), scope);
            }
            E::Like { negated, any: true, expr, pattern, escape_char: None } => {
                let op = if *negated { BinaryOperator::PGNotLikeMatch } else { BinaryOperator::PGLikeMatch };
                return self.bind_quantified(expr, &op, pattern, true, scope);
            }
            E::ILike { negated, any: true, expr, pattern, escape_char: None } => {
                let op = if *negated { BinaryOperator::PGNotILikeMatch } else { BinaryOperator::PGILikeMatch };
                return self.bind_quantified(expr, &op, pattern, true, scope);
            }
            E::SimilarTo { negated, expr, pattern, escape_char } => {
                return self.bind_similar(expr, *negated, pattern, escape_char.as_ref(), scope);
            }
            E::AnyOp { left, compare_op, right, .. } => {
                return self.bind_quantified(left, compare_op, right, true, scope);
            }
            E::AllOp { left, compare_op, right } => return self.bind_quantified(left, compare_op, right, false, scope),
            other => return Err(Error::unsupported(format!("the predicate {other}"))),
        };
        Ok(Bound::new(expr, SqlType::Bool, None))
    }

    fn bind_test(&mut self, inner: &ast::Expr, clause: &str, scope: &Scope) -> Result<Box<Expr>> {
        let bound = self.bind_expr(inner, scope)?;
        Ok(Box::new(self.boolean(bound, clause)?))
    }

    /// A row IS NULL when all its fields are, and IS NOT NULL when none is.
    fn bind_null_test(&mut self, inner: &ast::Expr, null: bool, scope: &Scope) -> Result<Bound> {
        let test = |expr: Expr| if null { expr.is_null() } else { expr.is_not_null() };
        if let Some(items) = row(inner) {
            let tests = items.iter().map(|item| Ok(test(self.bind_expr(item, scope)?.expr)));
            let tests = tests.collect::<Result<Vec<_>>>()?;
            return Ok(Bound::new(balanced(tests, Operator::And)?, SqlType::Bool, None));
        }
        let bound = self.bind_expr(inner, scope)?;
        let bound = self.settle(bound)?;
        if let SqlType::Record(fields) = &bound.ty {
            let tests = fields.iter().map(|(name, _)| test(super::access::field(bound.expr.clone(), name)));
            let all = balanced(tests.collect(), Operator::And)?;
            let whole = bound.expr.clone().is_null();
            return Ok(Bound::new(if null { whole.or(all) } else { all }, SqlType::Bool, None));
        }
        Ok(Bound::new(test(bound.expr), SqlType::Bool, None))
    }

    fn bind_distinct(
        &mut self,
        left: &ast::Expr,
        operator: Operator,
        right: &ast::Expr,
        scope: &Scope,
    ) -> Result<Bound> {
        if let (Some(lefts), Some(rights)) = (row(left), row(right)) {
            return self.compare_rows(&lefts, operator, &rights, scope);
        }
        let (left, right) = (self.bind_expr(left, scope)?, self.bind_expr(right, scope)?);
        // As in PostgreSQL it is IS [NOT] NULL of any type, but for a row whose fields are all NULL.
        let position = left.position;
        let is_null = |bound: &Bound| bound.ty == SqlType::Unknown && is_null_literal(&bound.expr);
        let other = match (is_null(&left), is_null(&right)) {
            (false, true) => Some(&left),
            (true, false) => Some(&right),
            _ => None,
        };
        if let Some(other) = other.filter(|other| matches!(other.ty, SqlType::Record(_))) {
            let expr = other.expr.clone();
            let expr = if operator == Operator::IsDistinctFrom { expr.is_not_null() } else { expr.is_null() };
            return Ok(Bound::new(expr, SqlType::Bool, position));
        }
        self.apply_comparison(left, operator, right)
    }

    fn bind_between(
        &mut self,
        expr: &ast::Expr,
        negated: bool,
        low: &ast::Expr,
        high: &ast::Expr,
        scope: &Scope,
    ) -> Result<Bound> {
        let value = self.bind_expr(expr, scope)?;
        let (low, high) = (self.bind_expr(low, scope)?, self.bind_expr(high, scope)?);
        let (below, above) = if negated { (Operator::Lt, Operator::Gt) } else { (Operator::GtEq, Operator::LtEq) };
        let low = self.apply_comparison(value.clone(), below, low)?.expr;
        let high = self.apply_comparison(value, above, high)?.expr;
        Ok(Bound::new(if negated { low.or(high) } else { low.and(high) }, SqlType::Bool, None))
    }

    fn bind_in(&mut self, expr: &ast::Expr, list: &[ast::Expr], negated: bool, scope: &Scope) -> Result<Bound> {
        let operator = if negated { Operator::NotEq } else { Operator::Eq };
        let junction = if negated { Operator::And } else { Operator::Or };
        if let Some(lefts) = row(expr) {
            let tests = list.iter().map(|item| {
                let rights = row(item).ok_or_else(|| Error::unsupported("comparing a row with a value"))?;
                Ok(self.compare_rows(&lefts, operator, &rights, scope)?.expr)
            });
            let tests = tests.collect::<Result<Vec<_>>>()?;
            return Ok(Bound::new(balanced(tests, junction)?, SqlType::Bool, None));
        }
        let value = self.bind_expr(expr, scope)?;
        let items = list.iter().map(|item| self.bind_expr(item, scope)).collect::<Result<Vec<_>>>()?;
        // With a common type the items are compared as that, as one list; else each by itself.
        let all: Vec<&Bound> = std::iter::once(&value).chain(&items).collect();
        let common = self.common_type(&all, "IN").ok().map(|ty| ty.bare());
        let mut tests = Vec::with_capacity(items.len());
        for item in items {
            let item = match &common {
                Some(ty) => self.argument(item, ty)?,
                None => item,
            };
            let place = item.position;
            tests.push(self.apply_comparison(value.clone(), operator, item).map_err(|error| error.at(place))?.expr);
        }
        // PostgreSQL computes no item behind the one that decides, and of a list all are computed.
        let list = one_list(&tests, negated).filter(|_| tests.iter().skip(1).all(compares_plainly));
        let expr = match list {
            Some(list) => list,
            None => balanced(tests, junction)?,
        };
        Ok(Bound::new(expr, SqlType::Bool, None))
    }

    fn bind_like(
        &mut self,
        expr: &ast::Expr,
        operator: &str,
        pattern: &ast::Expr,
        escape: Option<&ValueWithSpan>,
        scope: &Scope,
    ) -> Result<Bound> {
        // LIKE ALL (…) comes as a call of a function of that name.
        if let Some((list, any)) = quantified_pattern(pattern) {
            return self.bind_quantified_by(expr, operator, list, any, scope);
        }
        let value = self.bind_expr(expr, scope)?;
        let mut pattern = self.bind_expr(pattern, scope)?;
        if let Some(escape) = escape {
            let escape = escape_char(escape)?;
            pattern = self.settle(pattern)?;
            pattern.expr = match pattern.expr {
                Expr::Literal(ScalarValue::Utf8(Some(text)), _) => lit(pattern::like_escape(&text, escape)?),
                expr if escape == Some('\\') => expr,
                expr => {
                    let escape = lit(escape.map(String::from).unwrap_or_default());
                    self.call_by_name(
                        "like_escape",
                        vec![Bound::new(expr, SqlType::Text, None), Bound::new(escape, SqlType::Text, None)],
                    )?
                    .expr
                }
            };
        }
        self.apply_binary(value, operator, pattern)
    }

    fn bind_similar(
        &mut self,
        expr: &ast::Expr,
        negated: bool,
        pattern: &ast::Expr,
        escape: Option<&ValueWithSpan>,
        scope: &Scope,
    ) -> Result<Bound> {
        let escape = match escape {
            Some(escape) => escape_char(escape)?,
            None => Some('\\'),
        };
        let value = self.bind_expr(expr, scope)?;
        let pattern = self.bind_expr(pattern, scope)?;
        let pattern = self.settle(pattern)?;
        let pattern = match pattern.expr {
            Expr::Literal(ScalarValue::Utf8(Some(text)), _) => {
                Bound::new(lit(pattern::similar(&text, escape)?), SqlType::Text, pattern.position)
            }
            expr => {
                let escape = Bound::new(lit(escape.map(String::from).unwrap_or_default()), SqlType::Text, None);
                self.call_by_name("similar_to_escape", vec![Bound::new(expr, pattern.ty, pattern.position), escape])?
            }
        };
        self.apply_binary(value, if negated { "!~" } else { "~" }, pattern)
    }

    /// `value op ANY (array)` and `value op ALL (array)`.
    fn bind_quantified(
        &mut self,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
        any: bool,
        scope: &Scope,
    ) -> Result<Bound> {
        self.bind_quantified_by(left, &symbol(op)?, right, any, scope)
    }

    fn bind_quantified_by(
        &mut self,
        left: &ast::Expr,
        symbol: &str,
        right: &ast::Expr,
        any: bool,
        scope: &Scope,
    ) -> Result<Bound> {
        if let ast::Expr::Subquery(query) = unnested(right) {
            return self.bind_quantified_subquery(left, symbol, query, any, scope);
        }
        let value = self.bind_expr(left, scope)?;
        let junction = if any { Operator::Or } else { Operator::And };
        if let ast::Expr::Array(array) = unnested(right) {
            let items = array.elem.iter().map(|item| self.bind_expr(item, scope)).collect::<Result<Vec<_>>>()?;
            let refs: Vec<&Bound> = items.iter().collect();
            let ty = self.common_type(&refs, "ARRAY")?;
            if !items.is_empty() && !matches!(ty, SqlType::Array(_)) {
                let value_type = value.ty.clone();
                let ty = if refs.iter().all(|item| item.ty == SqlType::Unknown) { value_type } else { ty };
                return self.quantify(value, symbol, items, &ty, junction);
            }
        }
        let array = self.bind_expr(right, scope)?;
        let wanted = match &value.ty {
            SqlType::Unknown => SqlType::Text,
            ty => ty.bare(),
        };
        let array = match array.ty {
            SqlType::Unknown => self.argument(array, &wanted.array())?,
            _ => array,
        };
        let Some(element) = element(&array.ty) else {
            let message = "op ANY/ALL (array) requires array on right side";
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).at(array.position));
        };
        if let Expr::Literal(ScalarValue::List(list), _) = &array.expr
            && list.len() == 1
            && list.is_valid(0)
        {
            let values = list.value(0);
            let items = (0..values.len()).map(|at| {
                let item = ScalarValue::try_from_array(&values, at)?;
                Ok(Bound::new(Expr::Literal(item, None), element.clone(), array.position))
            });
            let items = items.collect::<Result<Vec<_>>>()?;
            if items.is_empty() {
                return Ok(Bound::new(lit(!any), SqlType::Bool, None));
            }
            return self.quantify(value, symbol, items, &element, junction);
        }
        self.quantify_column(value, symbol, array, &element, any)
    }

    fn quantify(
        &mut self,
        value: Bound,
        symbol: &str,
        items: Vec<Bound>,
        ty: &SqlType,
        junction: Operator,
    ) -> Result<Bound> {
        let mut tests = Vec::with_capacity(items.len());
        for item in items {
            let item = self.argument(item, ty)?;
            tests.push(self.apply_binary(value.clone(), symbol, item)?);
        }
        if let Some(wrong) = tests.iter().find(|test| test.ty != SqlType::Bool) {
            return Err(not_boolean().at(wrong.position));
        }
        let tests: Vec<Expr> = tests.into_iter().map(|test| test.expr).collect();
        let negated = junction == Operator::And;
        let expr = match one_list(&tests, negated) {
            Some(list) => list,
            None => balanced(tests, junction)?,
        };
        Ok(Bound::new(expr, SqlType::Bool, None))
    }

    /// The array is a column: each row's elements are compared at once.
    fn quantify_column(
        &mut self,
        value: Bound,
        symbol: &str,
        array: Bound,
        element: &SqlType,
        any: bool,
    ) -> Result<Bound> {
        let Some((kernel, name)) = array::quantifier(symbol, any) else {
            return Err(Error::unsupported(format!(
                "{symbol} {} over an array column",
                if any { "ANY" } else { "ALL" }
            )));
        };
        let ty = match value.ty {
            SqlType::Unknown => element.bare(),
            _ => {
                let item = Bound::new(lit(true), element.clone(), array.position);
                self.common_type(&[&value, &item], "ANY/ALL")
                    .map_err(|_| {
                        let both = format!("{} {symbol} {}", value.ty.bare(), element.bare());
                        Error::new(SqlState::UNDEFINED_FUNCTION, format!("operator does not exist: {both}"))
                    })?
                    .bare()
            }
        };
        if comparison::operator(symbol).is_some() && !comparison::plain_order(&ty) {
            return Err(Error::unsupported(format!("{symbol} ANY/ALL over an array of {ty}")));
        }
        let value = self.argument(value, &ty)?;
        let list = ty.clone().array();
        let array = self.argument(array, &list)?;
        let function = PgScalar::new(name, vec![ty, list], SqlType::Bool, TimeZone::UTC, Volatility::Immutable, kernel);
        Ok(Bound::new(function.call(vec![value.expr, array.expr]), SqlType::Bool, None))
    }
}

/// The array of `ALL (…)` or `ANY (…)` in the place of a pattern, and whether it is ANY.
fn quantified_pattern(pattern: &ast::Expr) -> Option<(&ast::Expr, bool)> {
    let ast::Expr::Function(call) = pattern else {
        return None;
    };
    let name = call.name.to_string().to_ascii_lowercase();
    let any = match name.as_str() {
        "all" => false,
        "any" | "some" => true,
        _ => return None,
    };
    match &call.args {
        FunctionArguments::List(list) => match list.args.as_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(array))] => Some((array, any)),
            _ => None,
        },
        _ => None,
    }
}

/// What stands in parentheses.
pub(super) fn unnested(expr: &ast::Expr) -> &ast::Expr {
    match expr {
        ast::Expr::Nested(inner) => unnested(inner),
        other => other,
    }
}

fn not_boolean() -> Error {
    Error::new(SqlState::WRONG_OBJECT_TYPE, "op ANY/ALL (array) requires operator to yield boolean")
}

/// One IN list for comparisons of one value with many.
fn one_list(tests: &[Expr], negated: bool) -> Option<Expr> {
    let wanted = if negated { Operator::NotEq } else { Operator::Eq };
    let mut value: Option<&Expr> = None;
    let mut list = Vec::with_capacity(tests.len());
    for test in tests {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = test else {
            return None;
        };
        if *op != wanted || value.is_some_and(|value| value != &**left) {
            return None;
        }
        value = Some(left);
        list.push((**right).clone());
    }
    if list.len() < 2 {
        return None;
    }
    Some(Expr::InList(InList::new(Box::new(value?.clone()), list, negated)))
}

/// Whether what a comparison compares with is a column, or has none: it fails on no row, or on all.
fn compares_plainly(test: &Expr) -> bool {
    let mut item = match test {
        Expr::BinaryExpr(BinaryExpr { right, .. }) => &**right,
        _ => return false,
    };
    while let Expr::Cast(cast) = item {
        item = &*cast.expr;
    }
    match item {
        Expr::Column(_) | Expr::OuterReferenceColumn(..) | Expr::Literal(..) | Expr::Placeholder(_) => true,
        Expr::ScalarFunction(_) | Expr::BinaryExpr(_) => item.column_refs().is_empty() && !item.contains_outer(),
        _ => false,
    }
}

/// The character of `ESCAPE '…'`; none for an empty string.
fn escape_char(escape: &ValueWithSpan) -> Result<Option<char>> {
    let text = super::literal::string(&escape.value).unwrap_or_default();
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (first, None) => Ok(first),
        _ => Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "invalid escape string")
            .with_hint("Escape string must be empty or one character.")),
    }
}

fn is_null_literal(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _) if value.is_null())
}
