//! Keys come back as the columns they were made from, order as their values do, and keep their durable form.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float32Array,
    Float64Array, Int16Array, Int32Array, Int64Array, IntervalMonthDayNanoArray, ListArray, StringArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{Float64Type, IntervalMonthDayNano};

use super::*;
use crate::data::SqlType;
use crate::data::hash::{canonical, mix_bytes, mix_u64, mix_u128};

fn encoder(columns: &[ArrayRef]) -> KeyEncoder {
    let types: Vec<DataType> = columns.iter().map(|column| column.data_type().clone()).collect();
    KeyEncoder::new(&types).unwrap()
}

/// A list whose elements carry their PostgreSQL type as metadata.
fn jsonb_list() -> ArrayRef {
    let DataType::List(element) = SqlType::Jsonb.array().arrow() else { panic!("not a list") };
    let values = Arc::new(StringArray::from(vec![Some("1"), None, Some("{}")]));
    let offsets = OffsetBuffer::from_lengths([2, 0, 1]);
    let nulls = NullBuffer::from(vec![true, false, true]);
    Arc::new(ListArray::new(element, offsets, values, Some(nulls)))
}

fn columns() -> Vec<ArrayRef> {
    let uuids = [Some([7u8; 16]), None, Some([0; 16])];
    vec![
        Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        Arc::new(Int16Array::from(vec![Some(-3), None, Some(i16::MAX)])),
        Arc::new(Int32Array::from(vec![Some(i32::MIN), None, Some(0)])),
        Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX)])),
        Arc::new(Float32Array::from(vec![Some(-1.5), None, Some(f32::INFINITY)])),
        Arc::new(Float64Array::from(vec![Some(-1e300), None, Some(f64::NAN)])),
        Arc::new(Date32Array::from(vec![Some(-1), None, Some(20_000)])),
        Arc::new(TimestampMicrosecondArray::from(vec![Some(-1), None, Some(5)]).with_timezone("UTC")),
        Arc::new(
            Decimal128Array::from(vec![Some(-5), None, Some(i128::MAX / 2)]).with_precision_and_scale(38, 18).unwrap(),
        ),
        Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(uuids.into_iter(), 16).unwrap()),
        Arc::new(StringArray::from(vec![Some("a"), None, Some("")])),
        jsonb_list(),
    ]
}

#[test]
fn every_column_alone_and_every_pair_come_back() {
    let columns = columns();
    for a in &columns {
        let alone = std::slice::from_ref(a);
        let encoder_of_one = encoder(alone);
        assert_eq!(&encoder_of_one.decode(encoder_of_one.encode(alone, 3).unwrap()).unwrap()[0], a);
        for b in &columns {
            let pair = [a.clone(), b.clone()];
            let encoder = encoder(&pair);
            assert_eq!(encoder.decode(encoder.encode(&pair, 3).unwrap()).unwrap(), pair);
        }
    }
}

#[test]
fn layouts_are_the_smallest_that_fit() {
    let columns = columns();
    let layout = |positions: &[usize]| {
        let columns: Vec<ArrayRef> = positions.iter().map(|at| columns[*at].slice(0, 1)).collect();
        match encoder(&columns).encode(&columns, 1).unwrap() {
            Keys::U64(_) => "u64",
            Keys::U128(_) => "u128",
            Keys::Bytes(_) => "bytes",
        }
    };
    assert_eq!(layout(&[]), "u64");
    assert_eq!(layout(&[3]), "u64");
    assert_eq!(layout(&[8]), "u128");
    assert_eq!(layout(&[3, 2]), "u128");
    assert_eq!(layout(&[3, 7]), "bytes");
    assert_eq!(layout(&[2, 7]), "u128");
    assert_eq!(layout(&[10]), "bytes");
}

#[test]
fn keys_of_floats_are_canonical_and_in_order() {
    let values = [f64::NEG_INFINITY, -2.0, -0.0, 0.0, 1e-300, 3.5, f64::INFINITY, f64::NAN, -f64::NAN];
    let column: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
    let encoder = encoder(std::slice::from_ref(&column));
    let Keys::U64(keys) = encoder.encode(&[column], values.len()).unwrap() else { panic!("another layout") };
    assert!(keys.values.is_sorted());
    assert_eq!(keys.values[2], keys.values[3]);
    assert_eq!(keys.values[7], keys.values[8]);
    let back = encoder.decode(Keys::U64(keys)).unwrap();
    assert_eq!(back[0].as_primitive::<Float64Type>().value(2).to_bits(), 0);
}

#[test]
fn equal_intervals_have_one_key() {
    let interval = |months, days, hours: i64| IntervalMonthDayNano::new(months, days, hours * 3_600_000_000_000);
    let column: ArrayRef = Arc::new(IntervalMonthDayNanoArray::from(vec![
        interval(1, 0, 0),
        interval(0, 30, 0),
        interval(0, 29, 24),
        interval(2, -30, 0),
        interval(0, -1, 0),
    ]));
    let back = canonical(&column);
    let expected = IntervalMonthDayNanoArray::from(vec![
        interval(1, 0, 0),
        interval(1, 0, 0),
        interval(1, 0, 0),
        interval(1, 0, 0),
        interval(0, -1, 0),
    ]);
    assert_eq!(&back, &(Arc::new(expected) as ArrayRef));
}

#[test]
fn exact_keys_order_as_values_and_give_them_back() {
    let interval = |months, days| Some(IntervalMonthDayNano::new(months, days, 0));
    let columns: [ArrayRef; 3] = [
        Arc::new(Float64Array::from(vec![None, Some(-1.0), Some(-0.0), Some(0.0), Some(f64::NAN)])),
        Arc::new(IntervalMonthDayNanoArray::from(vec![
            None,
            interval(0, 29),
            interval(0, 30),
            interval(1, 0),
            interval(0, 31),
        ])),
        Arc::new(StringArray::from(vec![None, Some(""), Some("a"), Some("aa"), Some("b")])),
    ];
    for column in columns {
        let encoder = KeyEncoder::exact(column.data_type()).unwrap();
        let keys = encoder.encode(std::slice::from_ref(&column), 5).unwrap();
        match &keys {
            Keys::U64(keys) => assert!(keys.is_null(0) && keys.values[1..].is_sorted_by(|a, b| a < b)),
            Keys::Bytes(keys) => assert!(keys.iter().is_sorted_by(|a, b| a < b)),
            Keys::U128(_) => panic!("another layout"),
        }
        let back = encoder.decode(keys).unwrap();
        assert_eq!((back.len(), &back[0]), (1, &column));
    }
}

/// Durable keys and their buckets depend on these bytes: a change here needs another on-disk format.
#[test]
fn keys_and_hashes_stay_as_they_are() {
    let columns: [ArrayRef; 3] = [
        Arc::new(Int32Array::from(vec![Some(-2), None])),
        Arc::new(StringArray::from(vec![Some("levada"), None])),
        Arc::new(Float64Array::from(vec![Some(1.5), None])),
    ];
    let Keys::U64(one) = encoder(&columns[..1]).encode(&columns[..1], 2).unwrap() else { panic!("another layout") };
    assert_eq!((one.values[0], one.is_null(1)), (0x7fff_fffe, true));
    let pair = [columns[0].clone(), columns[2].clone()];
    let Keys::U128(packed) = encoder(&pair).encode(&pair, 2).unwrap() else { panic!("another layout") };
    assert_eq!(packed.values, [(((1u128 << 32) | 0x7fff_fffe) << 65) | (1 << 64) | 0xbff8_0000_0000_0000, 0]);
    let Keys::Bytes(rows) = encoder(&columns).encode(&columns, 2).unwrap() else { panic!("another layout") };
    assert_eq!(
        rows.value(0),
        [1, 0x7f, 0xff, 0xff, 0xfe, 2, b'l', b'e', b'v', b'a', b'd', b'a', 0, 0, 6, 1, 0xbf, 0xf8, 0, 0, 0, 0, 0, 0]
    );
    assert_eq!(rows.value(1), [0; 15]);
    let hashes = (mix_u64(1), mix_u128(1), mix_bytes(b"levada"));
    assert_eq!(hashes, (12_994_781_566_227_106_604, 9_038_243_705_893_100_514, 18_114_699_535_632_143_205));
}
