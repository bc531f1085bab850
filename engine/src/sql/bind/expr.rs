//! Scalar expressions: one match over the syntax tree (`parse_expr.c`).

use datafusion::logical_expr::{Expr, lit};
use sqlparser::ast::{self, BinaryOperator, CastKind, ObjectName, Spanned};

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::coerce::Coercion;
use crate::sql::bind::{Binder, Bound, Scope, fold};
use crate::sql::functions::rounded_seconds;
use crate::sql::type_name::{coarse, sql_type};

impl Binder<'_> {
    /// Binds a scalar expression. Its errors say where.
    pub(super) fn bind_expr(&mut self, expr: &ast::Expr, scope: &Scope) -> Result<Bound> {
        self.settings.interrupt.check()?;
        let position = self.position(expr.span());
        let mut bound = self.bind_node(expr, scope).map_err(|error| error.at(position))?;
        bound.position = bound.position.or(position);
        Ok(bound)
    }

    fn bind_node(&mut self, expr: &ast::Expr, scope: &Scope) -> Result<Bound> {
        use ast::Expr as E;
        match expr {
            E::Identifier(ident) => match self.keyword(ident)? {
                Some(bound) => Ok(bound),
                None => scope.resolve(std::slice::from_ref(ident)),
            },
            E::CompoundIdentifier(parts) => scope.resolve(parts),
            E::Nested(inner) => self.bind_expr(inner, scope),
            E::Value(value) => self.bind_value(value),
            E::TypedString(typed) => self.bind_typed_string(typed),
            E::Interval(value) => self.bind_interval(value, scope),
            E::BinaryOp { left, op: op @ (BinaryOperator::And | BinaryOperator::Or), right } => {
                self.bind_logical(left, op, right, scope)
            }
            E::BinaryOp { left, op, right } => self.bind_binary(left, op, right, scope),
            E::UnaryOp { op, expr } => self.bind_unary(*op, expr, scope),
            E::IsNull(_)
            | E::IsNotNull(_)
            | E::IsTrue(_)
            | E::IsNotTrue(_)
            | E::IsFalse(_)
            | E::IsNotFalse(_)
            | E::IsUnknown(_)
            | E::IsNotUnknown(_)
            | E::IsDistinctFrom(..)
            | E::IsNotDistinctFrom(..)
            | E::Between { .. }
            | E::InList { .. }
            | E::Like { .. }
            | E::ILike { .. }
            | E::SimilarTo { .. }
            | E::AnyOp { .. }
            | E::AllOp { .. } => self.bind_predicate(expr, scope),
            E::Case { operand, conditions, else_result, .. } => {
                self.bind_case(operand.as_deref(), conditions, else_result.as_deref(), scope)
            }
            E::Cast { kind, expr, data_type, .. } => self.bind_cast(kind, expr, data_type, scope),
            E::Collate { expr, collation } => self.bind_collate(expr, collation, scope),
            E::Function(function) => self.bind_call(function, scope),
            E::AtTimeZone { .. }
            | E::Extract { .. }
            | E::Ceil { .. }
            | E::Floor { .. }
            | E::Position { .. }
            | E::Substring { .. }
            | E::Trim { .. }
            | E::Overlay { .. } => self.bind_special(expr, scope),
            E::Array(array) => self.bind_array(array, None, scope),
            E::CompoundFieldAccess { root, access_chain } => self.bind_access(root, access_chain, scope),
            E::Tuple(items) => self.bind_row(items.iter(), scope),
            E::Subquery(_) | E::Exists { .. } | E::InSubquery { .. } => self.bind_subquery_expr(expr, scope),
            E::Wildcard(_) | E::QualifiedWildcard(..) => {
                Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"*\""))
            }
            other => Err(Error::unsupported(format!("the expression {other}"))),
        }
    }

    fn bind_cast(
        &mut self,
        kind: &CastKind,
        expr: &ast::Expr,
        data_type: &ast::DataType,
        scope: &Scope,
    ) -> Result<Bound> {
        if !matches!(kind, CastKind::Cast | CastKind::DoubleColon) {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error: only CAST(… AS …) and :: are known"));
        }
        if let Some((fine, digits)) = coarse(data_type) {
            let bound = self.bind_cast(kind, expr, &fine, scope)?;
            return Ok(Bound { expr: rounded_seconds(bound.expr, &bound.ty, digits), ..bound });
        }
        let target = sql_type(data_type).map_err(|error| error.at(self.type_position(data_type)))?;
        // ARRAY[…]::t[] gives its elements the type at once.
        if let (ast::Expr::Array(array), SqlType::Array(element)) = (expr, &target) {
            return self.bind_array(array, Some(element), scope);
        }
        if let ast::DataType::Interval { fields: Some(fields), .. } = data_type
            && let ast::Expr::Value(value) = expr
            && let Some(text) = super::literal::string(&value.value)
        {
            let last = crate::sql::type_name::finest_field(fields);
            return super::literal::interval_literal(text, Some(last), self.position(value.span));
        }
        // A constant of a double may be beyond what numeric holds.
        if let (SqlType::Float4 | SqlType::Float8, ast::Expr::Value(value)) = (&target, expr)
            && let ast::Value::Number(digits, false) = &value.value
        {
            let literal = Bound::new(lit(digits.clone()), SqlType::Unknown, self.position(value.span));
            return self.coerce(literal, &target, Coercion::Explicit).map_err(|error| spelled_out(error, digits));
        }
        let bound = self.bind_expr(expr, scope)?;
        self.cast(bound, &target)
    }

    /// Where the name of a type of no keyword stands.
    fn type_position(&self, data_type: &ast::DataType) -> Option<usize> {
        match data_type {
            ast::DataType::Custom(name, _) => self.position(name.span()),
            ast::DataType::Array(ast::ArrayElemTypeDef::SquareBracket(element, _)) => self.type_position(element),
            _ => None,
        }
    }

    /// An explicit cast.
    pub(super) fn cast(&mut self, bound: Bound, target: &SqlType) -> Result<Bound> {
        match self.name_constant(&bound, target)? {
            Some(resolved) => Ok(resolved),
            None => self.coerce(bound, target, Coercion::Explicit),
        }
    }

    /// Text has one order, that of its bytes: other collations are refused.
    fn bind_collate(&mut self, expr: &ast::Expr, collation: &ObjectName, scope: &Scope) -> Result<Bound> {
        let bound = self.bind_expr(expr, scope)?;
        let name = collation.0.last().and_then(|part| part.as_ident()).map(fold).unwrap_or_default();
        if !matches!(name.as_str(), "C" | "POSIX" | "default" | "ucs_basic") {
            return Err(Error::unsupported(format!("collation \"{name}\""))
                .with_hint("Text compares by its bytes: COLLATE \"C\"."));
        }
        match bound.ty {
            SqlType::Text | SqlType::Varchar(_) | SqlType::Bpchar(_) | SqlType::Name | SqlType::Array(_) => Ok(bound),
            SqlType::Unknown => self.settle(bound),
            ty => {
                let message = format!("collations are not supported by type {}", ty.bare());
                Err(Error::new(SqlState::DATATYPE_MISMATCH, message))
            }
        }
    }

    /// `current_date` and its kind, where no parentheses make them calls.
    fn keyword(&mut self, ident: &ast::Ident) -> Result<Option<Bound>> {
        if ident.quote_style.is_some() {
            return Ok(None);
        }
        self.session_value(&fold(ident), self.position(ident.span))
    }

    pub(super) fn bind_row<'e>(
        &mut self,
        items: impl ExactSizeIterator<Item = &'e ast::Expr>,
        scope: &Scope,
    ) -> Result<Bound> {
        let mut args = Vec::with_capacity(items.len() * 2);
        let mut fields = Vec::with_capacity(items.len());
        for (at, item) in items.enumerate() {
            let item = self.bind_expr(item, scope)?;
            let item = self.settle(item)?;
            let name = format!("f{}", at + 1);
            args.extend([lit(name.clone()), item.expr]);
            fields.push((name, item.ty));
        }
        Ok(Bound::new(self.struct_of(args, &fields)?, SqlType::Record(fields), None))
    }

    pub(super) fn struct_of(&self, args: Vec<Expr>, fields: &[(String, SqlType)]) -> Result<Expr> {
        if fields.is_empty() {
            return Err(Error::unsupported("a row of no columns"));
        }
        Ok(datafusion::functions::core::expr_fn::named_struct(args))
    }
}

/// PostgreSQL reads a number as numeric before it is cast, so that its errors show it without exponent.
fn spelled_out(error: Error, digits: &str) -> Error {
    let lower = digits.to_ascii_lowercase();
    let Some((mantissa, exponent)) = lower.split_once('e') else { return error };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    match exponent.parse::<usize>() {
        Ok(exponent) if error.sqlstate() == SqlState::NUMERIC_OUT_OF_RANGE && exponent >= fraction.len() => {
            let shown = format!("{whole}{fraction}{}", "0".repeat(exponent - fraction.len()));
            let message = error.message().replace(&format!("\"{digits}\""), &format!("\"{shown}\""));
            Error::new(error.sqlstate(), message).at(error.position())
        }
        _ => error,
    }
}
