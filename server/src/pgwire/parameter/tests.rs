//! Values that are written as results and read as parameters are the same; garbage is an error.

use arrow::array::Array;
use bytes::{Bytes, BytesMut};
use levada_engine::OutputColumn;

use super::super::encode::RowEncoder;
use super::*;

fn bind(value: Bytes) -> Bind {
    Bind {
        portal: String::new(),
        statement: String::new(),
        parameter_formats: vec![Format::Binary],
        parameters: vec![Some(value)],
        result_formats: vec![],
    }
}

/// Writes one value as a row of one column, without what is around it.
fn encoded(value: &ScalarValue, ty: &SqlType, format: Format) -> Bytes {
    let columns = Arc::new([OutputColumn { name: "v".to_owned(), ty: ty.clone(), relation: None }]);
    let encoder = RowEncoder::new(columns, vec![format], FormatSettings::default());
    let arrays = [value.to_array().unwrap()];
    let mut out = BytesMut::new();
    encoder.open(&arrays).unwrap().row(0, &mut out).unwrap();
    let mut row = out.freeze();
    let header = row.split_to(11);
    assert_eq!(header[..1], *b"D");
    assert_eq!(header[7..11], (row.len() as u32).to_be_bytes());
    row
}

fn same_again(text: &str, ty: SqlType) {
    let settings = FormatSettings::default();
    let value = input::value(text, &ty, &settings).unwrap();
    let bytes = encoded(&value, &ty, Format::Binary);
    let again = decode_all(&bind(bytes.clone()), std::slice::from_ref(&ty), &settings).unwrap();
    assert_eq!(again, std::slice::from_ref(&value), "{text} as {ty}");
    assert_eq!(encoded(&value, &ty, Format::Text), text.as_bytes(), "{ty}");
    // Every part of it is an error or, for types of any length, another value; never a panic.
    for end in 0..bytes.len() {
        let _ = decode_all(&bind(bytes.slice(..end)), std::slice::from_ref(&ty), &settings);
    }
}

#[test]
fn binary_values_come_back() {
    for (text, ty) in [
        ("t", SqlType::Bool),
        ("-32768", SqlType::Int2),
        ("2147483647", SqlType::Int4),
        ("-9223372036854775808", SqlType::Int8),
        ("1.5", SqlType::Float4),
        ("-0.1", SqlType::Float8),
        ("0", SqlType::NUMERIC),
        ("-12345.67", SqlType::NUMERIC),
        ("100000000", SqlType::NUMERIC),
        ("0.000000000000000001", SqlType::NUMERIC),
        ("11.00", SqlType::Numeric(Some((12, 2)))),
        ("čaj", SqlType::Text),
        ("abc", SqlType::Varchar(None)),
        ("pg_class", SqlType::Name),
        ("\\x00ff", SqlType::Bytea),
        ("1999-12-31", SqlType::Date),
        ("infinity", SqlType::Date),
        ("23:59:59.999999", SqlType::Time),
        ("2024-02-29 12:00:00.5", SqlType::Timestamp),
        ("-infinity", SqlType::Timestamp),
        ("1969-07-20 20:17:40+00", SqlType::Timestamptz),
        ("1 year 2 mons -3 days +04:05:06.789", SqlType::Interval),
        ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", SqlType::Uuid),
        ("{\"a\": 1}", SqlType::Json),
        ("{\"a\": 1}", SqlType::Jsonb),
        ("4294967295", SqlType::Oid),
        ("{1,NULL,3}", SqlType::Int4.array()),
        ("{}", SqlType::Text.array()),
        ("{\"a b\",c}", SqlType::Text.array()),
        ("1 2", SqlType::Int2vector),
    ] {
        same_again(text, ty);
    }
}

#[test]
fn formats_are_postgres_own() {
    let value = |text: &str, ty: &SqlType| input::value(text, ty, &FormatSettings::default()).unwrap();
    let bytes = |text: &str, ty: SqlType| encoded(&value(text, &ty), &ty, Format::Binary).to_vec();
    assert_eq!(bytes("2000-01-02", SqlType::Date), 1_i32.to_be_bytes());
    assert_eq!(bytes("2000-01-01 00:00:01", SqlType::Timestamp), 1_000_000_i64.to_be_bytes());
    assert_eq!(bytes("{}", SqlType::Jsonb), b"\x01{}");
    assert_eq!(bytes("ab", SqlType::Bpchar(Some(4))), b"ab  ");
    let array = bytes("{7,NULL}", SqlType::Int4.array());
    let words: Vec<i32> = array.chunks(4).map(|word| i32::from_be_bytes(word.try_into().unwrap())).collect();
    assert_eq!(words, [1, 1, 23, 2, 1, 4, 7, -1]);
    let vector = bytes("7", SqlType::Oidvector);
    assert_eq!(vector[16..20], 0_i32.to_be_bytes(), "vectors count from 0");
}

#[test]
fn nested_lists_are_arrays_of_more_dimensions() {
    let ty = SqlType::Int4.array().array();
    let inner = input::value("{1,2}", &SqlType::Int4.array(), &FormatSettings::default()).unwrap();
    let inner = ScalarValue::iter_to_array([inner.clone(), inner]).unwrap();
    let DataType::List(field) = ty.arrow() else { panic!() };
    let list = ListArray::new(field, OffsetBuffer::from_lengths([inner.len()]), inner, None);
    let bytes = encoded(&ScalarValue::List(Arc::new(list)), &ty, Format::Binary);
    let words: Vec<i32> = bytes.chunks(4).map(|word| i32::from_be_bytes(word.try_into().unwrap())).collect();
    assert_eq!(words, [2, 0, 23, 2, 1, 2, 1, 4, 1, 4, 2, 4, 1, 4, 2]);
}

#[test]
fn wrong_values_are_errors() {
    let settings = FormatSettings::default();
    let code = |bytes: &'static [u8], ty: SqlType| {
        decode_all(&bind(Bytes::from_static(bytes)), &[ty], &settings).unwrap_err().sqlstate().code()
    };
    assert_eq!(code(b"\0\0\0", SqlType::Int4), "08P01");
    assert_eq!(code(b"\0\0\0\0\0", SqlType::Int4), "22P03");
    assert_eq!(code(b"\xff", SqlType::Text), "22021");
    assert_eq!(code(b"a\0b", SqlType::Text), "22021");
    assert_eq!(code(b"\0\0\0\x01\0\0\0\0\0\0\0\x19\0\0\0\x01\0\0\0\x01\0\0\0\x01\0", SqlType::Text.array()), "22021");
    assert_eq!(code(b"\x02{}", SqlType::Jsonb), "22P03");
    assert_eq!(code(b"\0\x01\0\0\0\0\0\0\x27\x10", SqlType::NUMERIC), "22P03");
    assert_eq!(code(b"\0\0\0\x01\0\0\0\0\0\0\0\x17\x7f\xff\xff\xff\0\0\0\x01", SqlType::Int4.array()), "08P01");
    assert_eq!(code(b"\0\0\0\0\0\0\0\0\0\0\0\x19", SqlType::Int4.array()), "42804");
    assert_eq!(code(b"\x7f\xff\xff\xff\xff\xff\xff\xf0", SqlType::Time), "22008");

    let none = Bind { parameters: vec![], ..bind(Bytes::new()) };
    assert_eq!(decode_all(&none, &[SqlType::Int4], &settings).unwrap_err().sqlstate().code(), "08P01");
    let null = Bind { parameters: vec![None], ..none };
    assert_eq!(decode_all(&null, &[SqlType::Int4], &settings).unwrap(), [ScalarValue::Int32(None)]);
}
