//! d(μ(X)) = μ(dX): a row for each element of its lists.

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;

use crate::data::ZSet;
use crate::dataflow::{Maker, Operator, Room, SLICE, StepContext};
use crate::error::{Error, Result};

/// Bytes that rows should become at once, and rows of the first run, as long as nobody knows how many they become.
const RUN_BYTES: usize = 4 << 20;
const FIRST_RUN: usize = 256;

/// `unnest(…)`: each row as often as its longest list is long, with an element of every list in the list's place, NULL
/// behind the end of a shorter one. A row whose lists are all empty or NULL is left out or, where such rows are kept, stands
/// once with NULLs.
#[derive(Clone)]
pub struct Unnest {
    schema: SchemaRef,
    /// Which columns are the lists.
    lists: Vec<usize>,
    /// The least number of rows that a row becomes: 1 where rows without elements are kept.
    least: usize,
}

impl Unnest {
    /// `schema` has the columns of the input, the lists replaced by their elements.
    pub fn new(schema: SchemaRef, lists: Vec<usize>, keep_empty: bool) -> Unnest {
        Unnest { schema, lists, least: usize::from(keep_empty) }
    }

    /// Some rows at a time, so that what becomes of one slice is not made at once.
    ///
    /// # Errors
    /// 54000 when there is no room for the rows.
    fn spread_all(&self, rows: &ZSet, room: &Room) -> Result<ZSet> {
        let mut parts = Vec::new();
        let (mut first, mut run) = (0, rows.len().min(FIRST_RUN));
        while first < rows.len() {
            let some = rows.slice(first, run.min(rows.len() - first));
            let spread = self.spread(&some)?;
            room.take(spread.bytes() + spread.len())?;
            first += some.len();
            run = (RUN_BYTES * some.len() / spread.bytes().max(1)).clamp(1, SLICE);
            parts.push(spread);
        }
        ZSet::concat(&self.schema, &parts)
    }

    fn spread(&self, rows: &ZSet) -> Result<ZSet> {
        let no_list = || Error::internal("unnest of a column that is no list");
        let list = |at: &usize| rows.column(*at).as_list_opt::<i32>().ok_or_else(no_list);
        let lists = self.lists.iter().map(list).collect::<Result<Vec<&ListArray>>>()?;
        let longest = |row| lists.iter().map(|list| length(list, row)).fold(self.least, usize::max);
        let lengths: Vec<usize> = (0..rows.len()).map(longest).collect();
        let repeated: UInt32Array =
            lengths.iter().enumerate().flat_map(|(row, count)| std::iter::repeat_n(row as u32, *count)).collect();
        // Without the lists: each would stand once for each of its elements.
        let others: Vec<usize> = (0..rows.batch().num_columns()).filter(|at| !self.lists.contains(at)).collect();
        let spread = rows.with_batch(rows.batch().project(&others)?).take(&repeated)?;
        let mut columns: Vec<ArrayRef> = rows.batch().columns().to_vec();
        for (at, column) in others.into_iter().zip(spread.batch().columns()) {
            columns[at] = column.clone();
        }
        for (at, list) in self.lists.iter().zip(lists) {
            let places = lengths.iter().enumerate().flat_map(|(row, count)| {
                let (first, own) = (list.value_offsets()[row] as u32, length(list, row));
                (0..*count).map(move |element| (element < own).then_some(first + element as u32))
            });
            columns[*at] = take(list.values(), &places.collect::<UInt32Array>(), None)?;
        }
        let options = RecordBatchOptions::new().with_row_count(Some(spread.len()));
        Ok(spread.with_batch(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?))
    }
}

fn length(list: &ListArray, row: usize) -> usize {
    if list.is_null(row) { 0 } else { list.value_length(row) as usize }
}

impl Operator for Unnest {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn step(&mut self, inputs: &[ZSet], context: &mut StepContext) -> Result<ZSet> {
        let room = context.room(Maker::Unnest);
        let parts = context.slices(&inputs[0], |slice| self.spread_all(slice, &room))?;
        ZSet::concat(&self.schema, &parts)
    }

    fn again(&self) -> Option<Box<dyn Operator>> {
        Some(Box::new(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, Int64Array};
    use arrow::datatypes::{DataType, Field, Int32Type, Schema};

    use super::*;
    use crate::data::Epoch;

    #[test]
    fn lists_of_different_lengths_stand_side_by_side() {
        let ids: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3, 4]));
        let list = |rows: Vec<Option<Vec<Option<i32>>>>| -> ArrayRef {
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(rows))
        };
        let left = list(vec![Some(vec![Some(1), None]), None, Some(vec![]), Some(vec![Some(5)])]);
        let right = list(vec![Some(vec![Some(7)]), Some(vec![Some(8)]), None, None]);
        let input = RecordBatch::try_from_iter([("a", ids), ("b", left), ("c", right)]).unwrap();
        let field = |name: &str| Field::new(name, DataType::Int32, true);
        let schema = Arc::new(Schema::new(vec![field("0"), field("1"), field("2")]));
        let input = ZSet::new(input, Int64Array::from(vec![2, 1, 1, -1]));
        let mut keeping = Unnest::new(schema.clone(), vec![1, 2], true);
        let kept = keeping.step(std::slice::from_ref(&input), &mut StepContext::new(Epoch(1))).unwrap();
        let output = Unnest::new(schema, vec![1, 2], false).step(&[input], &mut StepContext::new(Epoch(1))).unwrap();
        let column = |at: usize| output.column(at).as_primitive::<Int32Type>().iter().collect::<Vec<_>>();
        assert_eq!(column(0), vec![Some(1), Some(1), Some(2), Some(4)]);
        assert_eq!(column(1), vec![Some(1), None, None, Some(5)]);
        assert_eq!(column(2), vec![Some(7), None, Some(8), None]);
        assert_eq!(output.weights().unwrap(), &[2, 2, 1, -1]);
        assert_eq!(kept.weights().unwrap(), &[2, 2, 1, 1, -1]);
        assert!(kept.column(1).is_null(3) && kept.column(2).is_null(3));
    }

    fn long(rows: i32, elements: i32) -> ZSet {
        let ids: ArrayRef = Arc::new(Int32Array::from_iter_values(0..rows));
        let lists = (0..rows).map(|_| Some((0..elements).map(Some)));
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists));
        ZSet::inserts(RecordBatch::try_from_iter([("a", ids), ("b", lists)]).unwrap())
    }

    fn unnest() -> Unnest {
        let field = |name: &str| Field::new(name, DataType::Int32, true);
        Unnest::new(Arc::new(Schema::new(vec![field("0"), field("1")])), vec![1], false)
    }

    /// All elements as often as there are elements would be more than an array can hold.
    #[test]
    fn a_long_list_stands_beside_none_of_its_elements() {
        let output = unnest().step(&[long(3, 50_000)], &mut StepContext::new(Epoch(1))).unwrap();
        let sum =
            |at: usize| output.column(at).as_primitive::<Int32Type>().iter().flatten().map(i64::from).sum::<i64>();
        assert_eq!((output.len(), sum(0), sum(1)), (150_000, 3 * 50_000, 3 * 50_000 * 49_999 / 2));
    }

    #[test]
    fn what_lists_become_is_bounded() {
        let context = |most| StepContext::new(Epoch(1)).with_most_made(most);
        // Eight bytes a row, and one for the row.
        let rows = long(1000, 100);
        assert_eq!(unnest().step(std::slice::from_ref(&rows), &mut context(900_000)).unwrap().len(), 100_000);
        let error = unnest().step(&[rows], &mut context(899_999)).unwrap_err();
        assert_eq!(
            (error.sqlstate().code(), error.message()),
            ("54000", "unnest() makes more than 878 kB of rows at once")
        );
    }
}
