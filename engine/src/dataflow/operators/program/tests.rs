use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{AsArray, Int64Array};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::common::config::ConfigOptions;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use datafusion::physical_expr::expressions::{binary, case, col, in_list, lit};

use super::*;

fn columns() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("0", DataType::Int64, true), Field::new("1", DataType::Int64, true)]))
}

fn rows() -> ZSet {
    let batch = RecordBatch::try_new(
        columns(),
        vec![Arc::new(Int64Array::from(vec![0, 1, 2, 3])), Arc::new(Int64Array::from(vec![10, 11, 12, 13]))],
    );
    ZSet::inserts(batch.unwrap())
}

/// `twice(x)`, and how many rows it was asked about.
fn twice() -> (Arc<dyn PhysicalExpr>, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let body = move |args: &[ColumnarValue]| {
        let values = ColumnarValue::values_to_arrays(args)?;
        counted.fetch_add(values[0].len(), Ordering::Relaxed);
        let values = values[0].as_primitive::<Int64Type>();
        Ok(ColumnarValue::Array(Arc::new(values.unary::<_, Int64Type>(|value| value * 2))))
    };
    let twice: ScalarUDF =
        create_udf("twice", vec![DataType::Int64], DataType::Int64, Volatility::Immutable, Arc::new(body));
    let options = Arc::new(ConfigOptions::new());
    let call = ScalarFunctionExpr::try_new(Arc::new(twice), vec![column(0)], &columns(), options).unwrap();
    (Arc::new(call), asked)
}

fn number(value: i64) -> Arc<dyn PhysicalExpr> {
    lit(ScalarValue::Int64(Some(value)))
}

fn over(left: &Arc<dyn PhysicalExpr>, op: Operator, right: &Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
    binary(left.clone(), op, right.clone(), &columns()).unwrap()
}

fn outputs(program: &Program) -> Vec<Vec<i64>> {
    let (_, outputs) = program.evaluate(&rows()).unwrap();
    outputs.iter().map(|output| output.as_primitive::<Int64Type>().values().to_vec()).collect()
}

#[test]
fn what_a_condition_and_outputs_share_is_computed_once() {
    let (twice, asked) = twice();
    let condition = over(&twice, Operator::Gt, &number(2));
    let sum = over(&twice, Operator::Plus, &column(1));
    let program = Program::new(&columns(), vec![condition], vec![sum, twice, col("1", &columns()).unwrap()]).unwrap();
    assert_eq!(outputs(&program), [vec![16, 19], vec![4, 6], vec![12, 13]]);
    assert_eq!(asked.load(Ordering::Relaxed), 4);
}

#[test]
fn what_only_some_rows_need_is_not_computed_for_all() {
    // The quotient has no value for the first row, which is not asked for it.
    let quotient = over(&number(6), Operator::Divide, &column(0));
    let is_zero = over(&column(0), Operator::Eq, &number(0));
    let safe = case(None, vec![(is_zero.clone(), number(-1))], Some(quotient.clone())).unwrap();
    let small = over(&safe, Operator::Lt, &number(6));
    let program = Program::new(&columns(), vec![small], vec![safe.clone(), safe]).unwrap();
    assert_eq!(outputs(&program), [vec![-1, 3, 2], vec![-1, 3, 2]]);
}

#[test]
fn later_conditions_and_outputs_find_their_columns() {
    let (twice, asked) = twice();
    let first = over(&column(1), Operator::Gt, &number(10));
    let second = over(&twice, Operator::Lt, &number(6));
    let program = Program::new(&columns(), vec![first, second], vec![twice.clone(), column(1)]).unwrap();
    assert_eq!(outputs(&program), [vec![2, 4], vec![11, 12]]);
    // Of the rows that the first condition leaves.
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[test]
fn nothing_passes_and_nothing_is_put_out() {
    let never = over(&column(0), Operator::Gt, &number(100));
    let program = Program::new(&columns(), vec![never], vec![column(1)]).unwrap();
    let (kept, outputs) = program.evaluate(&rows()).unwrap();
    assert!(kept.is_empty() && outputs.is_empty());
}

/// Several parts that are shared, one of them part of another: each has a place of its own.
#[test]
fn what_is_shared_is_not_mixed_up() {
    let (twice, asked) = twice();
    let more = over(&twice, Operator::Plus, &number(100));
    let less = over(&column(1), Operator::Minus, &number(10));
    let conditions = vec![over(&more, Operator::Gt, &less), over(&less, Operator::Gt, &number(0))];
    let both = over(&more, Operator::Multiply, &less);
    let program = Program::new(&columns(), conditions, vec![less, both, more, twice, column(0), column(1)]).unwrap();
    let expected =
        [vec![1, 2, 3], vec![102, 208, 318], vec![102, 104, 106], vec![2, 4, 6], vec![1, 2, 3], vec![11, 12, 13]];
    assert_eq!(outputs(&program), expected);
    assert_eq!(asked.load(Ordering::Relaxed), 4);
}

/// Of a list, the items behind the one that is equal are not computed.
#[test]
fn later_items_of_a_list_are_not_computed_for_all() {
    let quotient = over(&number(6), Operator::Divide, &column(0));
    let items = vec![number(0), number(7), quotient.clone()];
    let listed = in_list(column(0), items, &false, &columns()).unwrap();
    let is_zero = over(&column(0), Operator::Eq, &number(0));
    let safe = case(None, vec![(is_zero, number(-1))], Some(quotient)).unwrap();
    let program = Program::new(&columns(), vec![], vec![listed, safe]).unwrap();
    // Row by row, as it is done where all rows together have no answer.
    let row = |at| program.evaluate(&rows().slice(at, 1)).unwrap().1;
    let values = |at| (row(at)[0].as_boolean().value(0), row(at)[1].as_primitive::<Int64Type>().value(0));
    assert_eq!([0, 1, 2, 3].map(values), [(true, -1), (false, 6), (false, 3), (false, 2)]);
}
