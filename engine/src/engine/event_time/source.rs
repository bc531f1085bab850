//! How far one source has come in event time.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use serde::{Deserialize, Serialize};

use crate::engine::clock::Micros;
use crate::error::{Error, Result};
use crate::source::{Offsets, Watermark};

/// How far a source has come in event time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceTime {
    /// In microseconds since 1970; None until every partition has brought a time.
    pub watermark: Option<Micros>,
    pub partitions: BTreeMap<i32, PartitionTime>,
    /// Whether what the topic had before the steps began with it is still being read: until then the watermark may be
    /// lower than it should, never higher.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaits_history: bool,
}

/// How far a partition has come in event time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionTime {
    pub watermark: Option<Micros>,
    /// Whether nobody waits for it.
    pub idle: bool,
    /// Rows that were below the watermark when they came.
    pub late: u64,
}

impl SourceTime {
    /// Takes in the times of rows: so many (`runs`) of one partition, then so many of another. Those that are `deleted`
    /// have none; `latest` is the latest time that counts.
    ///
    /// # Errors
    /// XX000 when the column is not what was declared.
    pub fn read(
        &mut self,
        watermark: &Watermark,
        rows: &RecordBatch,
        runs: &[(i32, usize)],
        deleted: Option<&BooleanArray>,
        latest: Micros,
    ) -> Result<()> {
        let times = rows.column(watermark.column).as_primitive_opt::<TimestampMicrosecondType>();
        let times = times.ok_or_else(|| Error::internal("a watermark of a column that is no time"))?;
        let deleted = |row: usize| deleted.is_some_and(|deleted| deleted.value(row));
        let mut first = 0;
        for (partition, rows) in runs {
            let run = first..first + rows;
            first = run.end;
            let counts = |row: &usize| times.is_valid(*row) && !is_infinite(times.value(*row)) && !deleted(*row);
            self.observe(*partition, watermark.delay, latest, run.filter(counts).map(|row| times.value(row)));
        }
        Ok(())
    }

    /// Waits for all partitions that are there from the start.
    pub(super) fn await_all(&mut self, start: &Offsets) {
        for (partition, _) in start.iter() {
            self.partitions.entry(partition).or_default();
        }
    }

    /// Takes in what the messages before those of the steps said. As a partition's watermark is that of its latest time,
    /// it is now what it would be if the steps had brought them all.
    pub(super) fn precede(&mut self, history: &SourceTime, latest: Option<Micros>) {
        for (partition, before) in &history.partitions {
            let partition = self.partitions.entry(*partition).or_default();
            partition.watermark = partition.watermark.max(before.watermark.min(latest));
            partition.late += before.late;
        }
        self.awaits_history = false;
        self.advance();
    }

    /// Takes in the times of a partition's rows, in their order; `latest` is the latest that counts.
    pub(super) fn observe(
        &mut self,
        partition: i32,
        delay: Micros,
        latest: Micros,
        times: impl Iterator<Item = Micros>,
    ) {
        let source = self.watermark;
        let new = !self.partitions.contains_key(&partition);
        let partition = self.partitions.entry(partition).or_default();
        // One that wakes, or that was added, joins where the others are.
        if new || std::mem::take(&mut partition.idle) {
            partition.watermark = partition.watermark.max(source);
        }
        for time in times {
            partition.late += u64::from(partition.watermark.is_some_and(|watermark| time < watermark));
            partition.watermark = partition.watermark.max(Some(time.min(latest).saturating_sub(delay)));
        }
    }

    /// Moves the source's watermark to where its partitions are: the slowest that is waited for. When none is, to the
    /// fastest, so that the order in which they were let go decides nothing.
    pub(super) fn advance(&mut self) {
        let active = self.partitions.values().filter(|partition| !partition.idle);
        let least = active.map(|partition| partition.watermark).min();
        let reached =
            least.unwrap_or_else(|| self.partitions.values().filter_map(|partition| partition.watermark).max());
        self.watermark = self.watermark.max(reached);
    }
}

fn is_infinite(micros: Micros) -> bool {
    micros == Micros::MIN || micros == Micros::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(partitions: &[i32]) -> SourceTime {
        let partitions = partitions.iter().map(|partition| (*partition, PartitionTime::default())).collect();
        SourceTime { partitions, ..SourceTime::default() }
    }

    fn observe(source: &mut SourceTime, partition: i32, times: &[Micros]) -> Option<Micros> {
        source.observe(partition, 5, 1000, times.iter().copied());
        source.advance();
        source.watermark
    }

    #[test]
    fn a_source_is_where_its_slowest_partition_is() {
        let mut source = source(&[0, 1]);
        assert_eq!(observe(&mut source, 0, &[10, 30, 20]), None);
        assert_eq!(observe(&mut source, 1, &[12]), Some(7));
        assert_eq!(observe(&mut source, 1, &[50]), Some(25));
        // Nothing goes back, and what is below its own partition's watermark is late.
        assert_eq!(observe(&mut source, 0, &[1, 24, 25]), Some(25));
        assert_eq!((source.partitions[&0].late, source.partitions[&1].late), (3, 0));
    }

    #[test]
    fn a_partition_that_wakes_or_comes_joins_the_others() {
        let mut source = source(&[0, 1]);
        observe(&mut source, 0, &[105]);
        source.partitions.get_mut(&1).unwrap().idle = true;
        source.advance();
        assert_eq!(source.watermark, Some(100));
        assert_eq!(observe(&mut source, 1, &[50]), Some(100));
        assert_eq!((source.partitions[&1].watermark, source.partitions[&1].late), (Some(100), 1));
        assert_eq!(observe(&mut source, 2, &[101]), Some(100));
        assert_eq!(observe(&mut source, 0, &[205]), Some(100));
    }

    #[test]
    fn when_all_are_idle_the_fastest_decides_whichever_was_let_go_last() {
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let mut source = source(&[0, 1, 2]);
            observe(&mut source, 0, &[105]);
            observe(&mut source, 1, &[305]);
            for partition in order {
                source.partitions.get_mut(&partition).unwrap().idle = true;
                source.advance();
            }
            assert_eq!(source.watermark, Some(300), "let go as {order:?}");
        }
    }

    #[test]
    fn a_time_that_cannot_be_yet_moves_the_watermark_to_what_can() {
        let mut source = source(&[0]);
        assert_eq!(observe(&mut source, 0, &[i64::MAX - 1]), Some(995));
        assert_eq!(observe(&mut source, 0, &[i64::MIN + 1]), Some(995));
    }

    #[test]
    fn what_was_before_counts_as_if_it_had_come() {
        for seed in 1..50_u64 {
            let mut state = seed;
            let mut random = |below: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                ((state >> 33) % below) as i64
            };
            let rows: Vec<(i32, Micros)> =
                (0..random(30)).map(|row| (random(3) as i32, 10 * row + random(100))).collect();
            before_and_after(&rows);
        }
    }

    /// Every cut of the rows into a history and what the steps bring.
    fn before_and_after(rows: &[(i32, Micros)]) {
        let mut live = source(&[0, 1, 2]);
        for (partition, time) in rows {
            observe(&mut live, *partition, &[*time]);
        }
        for cut in 0..=rows.len() {
            let (mut history, mut later) = (SourceTime::default(), source(&[0, 1, 2]));
            later.awaits_history = true;
            for (partition, time) in &rows[..cut] {
                history.observe(*partition, 5, 1000, std::iter::once(*time));
            }
            for (partition, time) in &rows[cut..] {
                let before = later.watermark;
                observe(&mut later, *partition, &[*time]);
                assert!(before <= later.watermark && later.watermark <= live.watermark);
            }
            later.precede(&history, Some(1000));
            let watermarks = |time: &SourceTime| time.partitions.values().map(|p| p.watermark).collect::<Vec<_>>();
            assert_eq!((later.watermark, watermarks(&later)), (live.watermark, watermarks(&live)), "cut at {cut}");
        }
    }

    #[test]
    fn a_history_of_wrong_clocks_counts_up_to_what_can_be() {
        let (mut history, mut later) = (SourceTime::default(), source(&[0]));
        history.observe(0, 5, i64::MAX, [10, i64::MAX - 1].into_iter());
        later.precede(&history, Some(995));
        assert_eq!(later.watermark, Some(995));
    }
}
