//! CASE, COALESCE, NULLIF, GREATEST and LEAST.

use datafusion::functions::core::expr_fn::{greatest, least};
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Expr, Operator};
use sqlparser::ast::{self, CaseWhen};

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::coerce::null;
use crate::sql::bind::select::without_equality;
use crate::sql::bind::{Binder, Bound, Scope};
use crate::sql::functions::comparison::{plain_nan, plain_order};
use crate::sql::functions::extreme::extreme;

impl Binder<'_> {
    pub(super) fn bind_case(
        &mut self,
        operand: Option<&ast::Expr>,
        conditions: &[CaseWhen],
        otherwise: Option<&ast::Expr>,
        scope: &Scope,
    ) -> Result<Bound> {
        let operand = match operand {
            Some(operand) => {
                let bound = self.bind_expr(operand, scope)?;
                Some(self.settle(bound)?)
            }
            None => None,
        };
        let mut tests = Vec::with_capacity(conditions.len());
        // PostgreSQL puts ELSE first when it looks for the common type.
        let mut values = Vec::with_capacity(conditions.len() + 1);
        values.push(match otherwise {
            Some(otherwise) => self.bind_expr(otherwise, scope)?,
            None => Bound::new(null(&SqlType::Unknown)?, SqlType::Unknown, None),
        });
        for CaseWhen { condition, result } in conditions {
            let test = self.bind_expr(condition, scope)?;
            tests.push(match &operand {
                Some(operand) => self.apply_comparison(operand.clone(), Operator::Eq, test)?.expr,
                None => self.boolean(test, "CASE/WHEN")?,
            });
            values.push(self.bind_expr(result, scope)?);
        }
        let (mut values, ty) = self.unify(values, "CASE")?;
        let otherwise = Box::new(values.remove(0));
        let branches = tests.into_iter().map(Box::new).zip(values.into_iter().map(Box::new)).collect();
        Ok(Bound::new(Expr::Case(Case::new(None, branches, Some(otherwise))), ty, None))
    }

    /// The functions that are syntax; None for other names.
    pub(super) fn bind_conditional(&mut self, name: &str, args: &[&ast::Expr], scope: &Scope) -> Result<Option<Bound>> {
        let construct = match (name, args.len()) {
            ("coalesce", 1..) => "COALESCE",
            ("greatest", 1..) => "GREATEST",
            ("least", 1..) => "LEAST",
            ("nullif", 2) => "NULLIF",
            _ => return Ok(None),
        };
        let args = args.iter().map(|arg| self.bind_expr(arg, scope)).collect::<Result<Vec<_>>>()?;
        if construct == "NULLIF" {
            return self.nullif(args).map(Some);
        }
        let (values, ty) = self.unify(args, construct)?;
        let expr = match construct {
            "COALESCE" => first_not_null(values),
            _ if values.len() == 1 => values.into_iter().next().unwrap_or_default(),
            _ if !plain_order(&ty) || matches!(ty, SqlType::Array(_)) => {
                if let Some(json) = without_equality(&ty) {
                    let message = format!("could not identify a comparison function for type {json}");
                    return Err(Error::new(SqlState::UNDEFINED_FUNCTION, message));
                }
                extreme(values, &ty, construct == "GREATEST")
            }
            "GREATEST" => greatest(values.into_iter().map(|value| plain_nan(value, &ty)).collect()),
            _ => least(values.into_iter().map(|value| plain_nan(value, &ty)).collect()),
        };
        Ok(Some(Bound::new(expr, ty, None)))
    }

    /// `NULLIF(a, b)`: NULL where `a = b`, else `a`.
    fn nullif(&mut self, args: Vec<Bound>) -> Result<Bound> {
        let mut args = args.into_iter();
        let (Some(value), Some(other)) = (args.next(), args.next()) else {
            return Err(Error::internal("NULLIF takes two arguments"));
        };
        // A bare NULL or literal has the type in which it is compared.
        let value = match other.ty {
            SqlType::Unknown => self.settle(value)?,
            ref ty => match value.ty {
                SqlType::Unknown => self.argument(value, &ty.bare())?,
                _ => value,
            },
        };
        let equal = self.apply_comparison(value.clone(), Operator::Eq, other)?;
        let branches = vec![(Box::new(equal.expr), Box::new(null(&value.ty)?))];
        let case = Case::new(None, branches, Some(Box::new(value.expr)));
        Ok(Bound::new(Expr::Case(case), value.ty, value.position))
    }
}

/// The first value that is not NULL; those behind it are not computed.
fn first_not_null(mut values: Vec<Expr>) -> Expr {
    let last = values.pop().unwrap_or_default();
    if values.is_empty() {
        return last;
    }
    let branches = values.into_iter().map(|value| (Box::new(value.clone().is_not_null()), Box::new(value))).collect();
    Expr::Case(Case::new(None, branches, Some(Box::new(last))))
}
