//! The guard of a scalar subquery.

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::{DataFusionError, Result as FusionResult};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::{Error, SqlState};

/// `single_value(value, rows)`: the value, unless there are several rows to take it from (21000). It stands where the
/// subquery stood, so a branch of CASE that is not taken raises nothing.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct SingleValue {
    signature: Signature,
}

impl SingleValue {
    pub fn call(value: Expr, rows: Expr) -> Expr {
        let function = SingleValue { signature: Signature::any(2, Volatility::Immutable) };
        ScalarUDF::new_from_impl(function).call(vec![value, rows])
    }
}

impl ScalarUDFImpl for SingleValue {
    fn name(&self) -> &str {
        "single_value"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> FusionResult<DataType> {
        match args {
            [value, DataType::Int64] => Ok(value.clone()),
            _ => Err(DataFusionError::Internal("single_value() of something without a number of rows".into())),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> FusionResult<FieldRef> {
        match args.arg_fields {
            [value, _] => Ok(FieldRef::new(value.as_ref().clone().with_nullable(true))),
            _ => Err(DataFusionError::Internal("single_value() takes two arguments".into())),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> FusionResult<ColumnarValue> {
        let rows = args.args[1].to_array(args.number_rows)?;
        let rows = rows.as_primitive::<Int64Type>();
        if rows.iter().flatten().any(|rows| rows > 1) && args.number_rows > 0 {
            let message = "more than one row returned by a subquery used as an expression";
            let error = Error::new(SqlState::CARDINALITY_VIOLATION, message);
            return Err(DataFusionError::External(Box::new(error)));
        }
        Ok(args.args[0].clone())
    }
}
