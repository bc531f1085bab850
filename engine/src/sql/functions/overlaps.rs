//! `OVERLAPS`: whether two spans of time, each given by its ends in either order, have a moment in common.

use arrow::array::ArrayRef;

use super::signature::T::{Bool, Time, Timestamp, Timestamptz};
use super::signature::{Function, f};
use crate::error::Result;
use crate::sql::rows::{Call, Clock, Micros, map_rows, read};

pub const FUNCTIONS: &[Function] = &[
    f("overlaps", &[Timestamptz, Timestamptz, Timestamptz, Timestamptz], Bool, of_moments),
    f("overlaps", &[Timestamp, Timestamp, Timestamp, Timestamp], Bool, of_moments),
    f("overlaps", &[Time, Time, Time, Time], Bool, |call| {
        let [a, b, c, d] =
            [read::<Clock>(call, 0)?, read::<Clock>(call, 1)?, read::<Clock>(call, 2)?, read::<Clock>(call, 3)?];
        each(call, [&|row| a(row).0, &|row| b(row).0, &|row| c(row).0, &|row| d(row).0])
    }),
];

fn of_moments(call: &Call) -> Result<ArrayRef> {
    let [a, b, c, d] =
        [read::<Micros>(call, 0)?, read::<Micros>(call, 1)?, read::<Micros>(call, 2)?, read::<Micros>(call, 3)?];
    each(call, [&|row| a(row).0, &|row| b(row).0, &|row| c(row).0, &|row| d(row).0])
}

fn each(call: &Call, ends: [&dyn Fn(usize) -> i64; 4]) -> Result<ArrayRef> {
    map_rows(call, |row| {
        let end = |at: usize| (!call.is_null(at, row)).then(|| ends[at](row));
        Ok(overlap([end(0), end(1)], [end(2), end(3)]))
    })
}

/// By PostgreSQL's `overlaps_timestamp`: a span is half open unless it is a moment, and where an end is unknown the answer
/// may be, too.
fn overlap(one: [Option<i64>; 2], other: [Option<i64>; 2]) -> Option<bool> {
    let ((start, end), (other_start, other_end)) = (in_order(one)?, in_order(other)?);
    match start.cmp(&other_start) {
        std::cmp::Ordering::Greater => later(start, end, other_end),
        std::cmp::Ordering::Less => later(other_start, other_end, end),
        std::cmp::Ordering::Equal => end.and(other_end).map(|_| true),
    }
}

/// Whether a span overlaps one that begins before it and ends at `earlier_end`.
fn later(start: i64, end: Option<i64>, earlier_end: Option<i64>) -> Option<bool> {
    match earlier_end? {
        earlier_end if start < earlier_end => Some(true),
        _ => end.map(|_| false),
    }
}

/// The start and what is known of the end; None where nothing is known.
fn in_order(ends: [Option<i64>; 2]) -> Option<(i64, Option<i64>)> {
    match ends {
        [Some(start), Some(end)] => Some((start.min(end), Some(start.max(end)))),
        [Some(start), None] | [None, Some(start)] => Some((start, None)),
        [None, None] => None,
    }
}
