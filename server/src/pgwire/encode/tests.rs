//! Rows as messages. Values by type are tested with [`parameter`](super::super::parameter), which reads them again.

use arrow::array::{Int32Array, StringArray, StringViewArray};
use arrow::datatypes::{Field, Schema};
use levada_engine::data::SqlType;

use super::*;

fn encoder(types: &[SqlType], formats: &[Format]) -> RowEncoder {
    let column = |ty: &SqlType| OutputColumn { name: "c".to_owned(), ty: ty.clone(), relation: None };
    RowEncoder::new(types.iter().map(column).collect(), formats.to_vec(), FormatSettings::default())
}

fn batch(arrays: Vec<ArrayRef>) -> RecordBatch {
    let fields = arrays.iter().map(|array| Field::new("c", array.data_type().clone(), true));
    RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), arrays).unwrap()
}

#[test]
fn a_row_is_a_message() {
    let encoder =
        encoder(&[SqlType::Int4, SqlType::Text, SqlType::Int4], &[Format::Text, Format::Text, Format::Binary]);
    let arrays = encoder
        .conform(&batch(vec![
            Arc::new(Int32Array::from(vec![Some(12), None])),
            Arc::new(StringArray::from(vec![None, Some("")])),
            Arc::new(Int32Array::from(vec![7, 8])),
        ]))
        .unwrap();
    let mut open = encoder.open(&arrays).unwrap();
    let mut out = BytesMut::from(&b"before"[..]);
    open.row(0, &mut out).unwrap();
    let first = b"D\0\0\0\x18\0\x03\0\0\0\x0212\xff\xff\xff\xff\0\0\0\x04\0\0\0\x07";
    assert_eq!(out[6..], first[..]);
    out.clear();
    open.row(1, &mut out).unwrap();
    assert_eq!(out[..], b"D\0\0\0\x16\0\x03\xff\xff\xff\xff\0\0\0\0\0\0\0\x04\0\0\0\x08"[..]);
}

#[test]
fn other_carriers_are_taken_and_other_columns_are_not() {
    let encoder = encoder(&[SqlType::Text], &[Format::Binary]);
    let arrays = encoder.conform(&batch(vec![Arc::new(StringViewArray::from(vec!["a"]))])).unwrap();
    let mut out = BytesMut::new();
    encoder.open(&arrays).unwrap().row(0, &mut out).unwrap();
    assert!(out.ends_with(b"\0\0\0\x01a"));
    let none = RecordBatch::new_empty(Arc::new(Schema::empty()));
    let error = encoder.conform(&none).unwrap_err();
    assert_eq!(error.sqlstate().code(), "XX000");
}

#[test]
fn a_row_that_fails_leaves_nothing() {
    let encoder = encoder(&[SqlType::Int4, SqlType::Date], &[Format::Binary, Format::Binary]);
    let before_postgres = i32::MIN + 1;
    let dates = arrow::array::Date32Array::from(vec![before_postgres]);
    let arrays: Vec<ArrayRef> = vec![Arc::new(Int32Array::from(vec![1])), Arc::new(dates)];
    let mut out = BytesMut::from(&b"kept"[..]);
    let error = encoder.open(&arrays).unwrap().row(0, &mut out).unwrap_err();
    assert_eq!((error.sqlstate().code(), &out[..]), ("22008", &b"kept"[..]));
}
