//! Comparing values that are rows (`record_eq`), and their fields as columns of their own.

use datafusion::logical_expr::{Expr, Operator, lit, when};

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::access::field;
use crate::sql::bind::operator::balanced;
use crate::sql::bind::{Binder, Bound};

impl Binder<'_> {
    /// Equality of two row values. Unlike those of row constructors, fields that are both NULL are equal.
    pub(super) fn compare_records(&mut self, left: Bound, operator: Operator, right: Bound) -> Result<Bound> {
        let negated = matches!(operator, Operator::NotEq | Operator::IsDistinctFrom);
        let (left_null, right_null) = (left.expr.clone().is_null(), right.expr.clone().is_null());
        let equal = self.equal_fields(&left, &right)?;
        let equal = if negated { Expr::Not(Box::new(equal)) } else { equal };
        let absent = match operator {
            Operator::Eq | Operator::NotEq => lit(datafusion::common::ScalarValue::Boolean(None)),
            Operator::IsNotDistinctFrom => left_null.clone().and(right_null.clone()),
            Operator::IsDistinctFrom => Expr::Not(Box::new(left_null.clone().and(right_null.clone()))),
            other => {
                return Err(Error::unsupported(format!("{other} of row values"))
                    .with_hint("Compare their fields, as in ROW((a).x, (a).y) < ROW((b).x, (b).y)."));
            }
        };
        let compared = when(left_null.or(right_null), absent).otherwise(equal)?;
        Ok(Bound::new(compared, SqlType::Bool, left.position))
    }

    /// Whether no field differs: never NULL, and false or true of rows that are NULL themselves.
    fn equal_fields(&mut self, left: &Bound, right: &Bound) -> Result<Expr> {
        let (SqlType::Record(lefts), SqlType::Record(rights)) = (&left.ty, &right.ty) else {
            return Err(Error::internal("two rows expected"));
        };
        if lefts.len() != rights.len() {
            let message = "cannot compare record types with different numbers of columns";
            return Err(Error::new(SqlState::DATATYPE_MISMATCH, message).at(left.position));
        }
        let mut terms = Vec::with_capacity(lefts.len());
        for (at, ((left_name, left_ty), (right_name, right_ty))) in lefts.iter().zip(rights).enumerate() {
            let records = matches!((left_ty, right_ty), (SqlType::Record(_), SqlType::Record(_)));
            if !records && left_ty.bare() != right_ty.bare() {
                let message = format!(
                    "cannot compare dissimilar column types {} and {} at record column {}",
                    left_ty.bare(),
                    right_ty.bare(),
                    at + 1
                );
                return Err(Error::new(SqlState::DATATYPE_MISMATCH, message).at(left.position));
            }
            let one = Bound::new(field(left.expr.clone(), left_name), left_ty.clone(), left.position);
            let other = Bound::new(field(right.expr.clone(), right_name), right_ty.clone(), right.position);
            terms.push(self.apply_comparison(one, Operator::IsNotDistinctFrom, other)?.expr);
        }
        balanced(terms, Operator::And)
    }
}
