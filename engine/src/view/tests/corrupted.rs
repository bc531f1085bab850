//! Chunks and deletions of which the bytes have changed: refused, or rows of the right shape.

use arrow::array::{Array, Int64Array};
use levada_testing::{Dice, garble, seeds};

use super::model::{Row, batch, schema};
use crate::data::Epoch;
use crate::view::arrival::Arrivals;
use crate::view::chunk::{CHUNK_ROWS, Chunk, ChunkId, Created};
use crate::view::encoding::{decode_chunk, decode_rows, encode_chunk, encode_rows};

/// A chunk of so many rows, with or without weights and times.
fn chunk(rows: usize, dice: &mut Dice) -> Chunk {
    let mut random = Dice::new(dice.roll());
    let rows: Vec<Row> = (0..rows).map(|key| Row::random(&mut random, Some(key as i64))).collect();
    let weights = dice.one_in(2).then(|| Int64Array::from_iter_values((0..rows.len() as i64).map(|row| row % 3 + 1)));
    let chunk = Chunk::new(ChunkId(3), 2, batch(&rows), weights, Created::All(Epoch(1)));
    if dice.one_in(2) { chunk.with_arrivals(Arrivals::all(rows.len(), 77)) } else { chunk }
}

#[test]
fn a_chunk_that_is_another_is_refused_or_has_the_right_shape() {
    let mut refused = 0;
    for seed in seeds(3000) {
        let mut dice = Dice::new(seed);
        // Short ones stand as they are, long ones are compressed.
        let rows = dice.pick(&[1, 4, 200]);
        let mut bytes = encode_chunk(&chunk(rows, &mut dice)).unwrap();
        garble(&mut bytes, &mut dice);
        match decode_chunk(&bytes, &schema()) {
            Err(error) => {
                assert_eq!(error.sqlstate().code(), "XX001", "{error}");
                refused += 1;
            }
            Ok(read) => {
                let rows = read.batch.num_rows();
                assert!(rows > 0 && rows <= CHUNK_ROWS && read.weights.as_ref().is_none_or(|w| w.len() == rows));
                assert!(read.arrivals.is_empty() || read.arrivals.rows() == rows);
                // Every value can be looked at.
                read.batch.columns().iter().for_each(|column| column.to_data().validate_full().unwrap());
                assert_eq!(read.batch.schema(), schema());
            }
        }
        let mut set: Vec<u16> = (0..dice.below(300)).map(|_| dice.roll() as u16).collect();
        let mut bytes = encode_rows(&mut set);
        garble(&mut bytes, &mut dice);
        match decode_rows(&bytes) {
            Ok(rows) => assert!(rows.len() <= CHUNK_ROWS),
            Err(error) => assert_eq!(error.sqlstate().code(), "XX001"),
        }
    }
    assert!(refused > 0 || std::env::var_os("LEVADA_FUZZ").is_some());
}
