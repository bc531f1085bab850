//! Our functions as DataFusion's.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility as DataFusionVolatility,
};

use super::call_name::call_name;
use super::signature::{CatalogKernel, Kernel, Volatility};
use crate::catalog::system::System;
use crate::data::SqlType;
use crate::error::Result;
use crate::sql::adt::time_zone::TimeZone;
use crate::sql::rows::{Call, retype, scalar};

/// A function bound to its types: the binder has coerced the arguments to exactly these.
#[derive(Clone, Debug)]
pub struct PgScalar {
    name: String,
    types: Vec<SqlType>,
    result: SqlType,
    zone: TimeZone,
    kernel: Implementation,
    signature: Signature,
}

/// What runs.
#[derive(Clone, Debug)]
enum Implementation {
    Kernel(Kernel),
    /// With the catalog as the statement sees it.
    Catalog(CatalogKernel, Arc<System>),
}

impl PgScalar {
    pub fn new(
        name: impl Into<String>,
        types: Vec<SqlType>,
        result: SqlType,
        zone: TimeZone,
        volatility: Volatility,
        kernel: Kernel,
    ) -> PgScalar {
        let signature = signature(volatility);
        let kernel = Implementation::Kernel(kernel);
        PgScalar { name: name.into(), types, result, zone, kernel, signature }
    }

    /// A function that answers from the catalog.
    pub fn of_catalog(
        name: impl Into<String>,
        types: Vec<SqlType>,
        result: SqlType,
        volatility: Volatility,
        (kernel, system): (CatalogKernel, Arc<System>),
    ) -> PgScalar {
        let signature = signature(volatility);
        let kernel = Implementation::Catalog(kernel, system);
        PgScalar { name: name.into(), types, result, zone: TimeZone::UTC, kernel, signature }
    }

    /// The call of this function.
    pub fn call(self, args: Vec<Expr>) -> Expr {
        ScalarUDF::new_from_impl(self).call(args)
    }

    /// Runs it on columns; those of one row may be constants.
    pub fn run(&self, args: &[ArrayRef], constant: &[bool], rows: usize) -> Result<ArrayRef> {
        let Self { types, result, zone, .. } = self;
        let call = Call { args, constant, rows, types, result, zone };
        let array = match &self.kernel {
            Implementation::Kernel(kernel) => kernel(&call),
            Implementation::Catalog(kernel, system) => kernel(system, &call),
        }?;
        retype(array, &result.arrow())
    }
}

const ITSELF: &str = "itself";

/// A value as an expression that DataFusion knows nothing of.
pub fn itself(value: Expr, ty: &SqlType) -> Expr {
    let kernel: Kernel = |call| Ok(call.args[0].clone());
    let (types, zone) = (vec![ty.clone()], TimeZone::UTC);
    PgScalar::new(ITSELF, types, ty.clone(), zone, Volatility::Immutable, kernel).call(vec![value])
}

/// What an expression made by [`itself`] is made of.
pub fn named_itself(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::ScalarFunction(call) if call.name() == ITSELF && call.func.inner().is::<PgScalar>() => call.args.first(),
        _ => None,
    }
}

fn signature(volatility: Volatility) -> Signature {
    let volatility = match volatility {
        Volatility::Immutable => DataFusionVolatility::Immutable,
        Volatility::Stable => DataFusionVolatility::Stable,
        Volatility::Volatile => DataFusionVolatility::Volatile,
    };
    Signature::new(TypeSignature::UserDefined, volatility)
}

impl PartialEq for PgScalar {
    fn eq(&self, other: &PgScalar) -> bool {
        let key = |it: &PgScalar| (it.name.clone(), it.types.clone(), it.result.clone(), it.zone.clone());
        key(self) == key(other)
    }
}

impl Eq for PgScalar {}

impl Hash for PgScalar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.name, &self.types, &self.result, &self.zone).hash(state);
    }
}

/// Whether values, or parts of them, can only be NULL.
fn is_untyped(ty: &DataType) -> bool {
    match ty {
        DataType::Null => true,
        DataType::List(element) => is_untyped(element.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| is_untyped(field.data_type())),
        _ => false,
    }
}

impl ScalarUDFImpl for PgScalar {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema_name(&self, args: &[Expr]) -> DataFusionResult<String> {
        call_name(&self.name, args)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The binder has coerced already.
    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        Ok(types.to_vec())
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(self.result.arrow())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> DataFusionResult<FieldRef> {
        Ok(Arc::new(self.result.field(self.name.clone(), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let volatile = self.signature.volatility == DataFusionVolatility::Volatile;
        let constant: Vec<bool> = args.args.iter().map(|arg| matches!(arg, ColumnarValue::Scalar(_))).collect();
        let once = constant.iter().all(|constant| *constant) && !volatile;
        let rows = if once { 1 } else { args.number_rows };
        let columns = args.args.iter().zip(&self.types).map(|(arg, ty)| {
            let array = match arg {
                ColumnarValue::Array(array) => array.clone(),
                ColumnarValue::Scalar(scalar) => scalar.to_array()?,
            };
            // The optimizer tries what a predicate makes of NULLs, and gives them no type: nor to what is made of them.
            Ok(if is_untyped(array.data_type()) { cast(&array, &ty.arrow())? } else { array })
        });
        let columns = columns.collect::<DataFusionResult<Vec<_>>>()?;
        let array = self.run(&columns, &constant, rows)?;
        if once {
            return Ok(ColumnarValue::Scalar(scalar(&array, 0)?));
        }
        Ok(ColumnarValue::Array(array))
    }
}
