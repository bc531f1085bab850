//! When the rows of a chunk arrived, kept where rows go by their age.
//!
//! Most rows of a step arrive together, and rows are in the order of their arrival, so a few runs say it for thousands.

/// The time of each row of a chunk, in the order of the rows. Empty where times are not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Arrivals {
    runs: Vec<Run>,
}

/// Rows of one time, up to and not including `end`; they begin where the run before ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    end: u32,
    at: i64,
}

/// Bytes of a run in durable storage.
const RUN: usize = 12;

impl Arrivals {
    /// So many rows of one time.
    pub(super) fn all(rows: usize, at: i64) -> Arrivals {
        Arrivals { runs: vec![Run { end: rows as u32, at }] }
    }

    /// Whether times are not kept.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// One row more.
    pub(super) fn push(&mut self, at: i64) {
        let end = self.rows() as u32 + 1;
        match self.runs.last_mut().filter(|run| run.at == at) {
            Some(run) => run.end = end,
            None => self.runs.push(Run { end, at }),
        }
    }

    /// How many rows there are times of.
    pub(super) fn rows(&self) -> usize {
        self.runs.last().map_or(0, |run| run.end as usize)
    }

    /// The rows of each time, in the order of the rows.
    pub(super) fn runs(&self) -> impl Iterator<Item = (std::ops::Range<usize>, i64)> {
        let starts = std::iter::once(0).chain(self.runs.iter().map(|run| run.end as usize));
        starts.zip(&self.runs).map(|(start, run)| (start..run.end as usize, run.at))
    }

    /// The earliest time later than this one.
    pub(super) fn earliest_after(&self, time: i64) -> Option<i64> {
        self.runs.iter().map(|run| run.at).filter(|at| *at > time).min()
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> u64 {
        (self.runs.capacity() * size_of::<Run>()) as u64
    }

    /// Number of runs, then each: end u32 and time i64, little-endian.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.runs.len() as u32).to_le_bytes());
        for run in &self.runs {
            out.extend_from_slice(&run.end.to_le_bytes());
            out.extend_from_slice(&run.at.to_le_bytes());
        }
    }

    /// Reads what [`encode`](Arrivals::encode) wrote; returns the rest. None for other bytes.
    pub(super) fn decode(bytes: &[u8]) -> Option<(Arrivals, &[u8])> {
        let (count, rest) = bytes.split_first_chunk()?;
        let (runs, rest) = rest.split_at_checked((u32::from_le_bytes(*count) as usize).checked_mul(RUN)?)?;
        let run = |bytes: &[u8; RUN]| {
            let (end, at) = bytes.split_first_chunk::<4>()?;
            Some(Run { end: u32::from_le_bytes(*end), at: i64::from_le_bytes(at.try_into().ok()?) })
        };
        let runs = runs.as_chunks().0.iter().map(run).collect::<Option<Vec<Run>>>()?;
        let rising =
            runs.windows(2).all(|pair| pair[0].end < pair[1].end) && runs.first().is_none_or(|run| run.end > 0);
        rising.then_some((Arrivals { runs }, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(times: &[i64]) -> Arrivals {
        let mut arrivals = Arrivals::default();
        times.iter().for_each(|at| arrivals.push(*at));
        arrivals
    }

    #[test]
    fn runs_are_what_was_pushed() {
        let arrivals = arrivals(&[7, 7, 7, 9, 8, 8]);
        assert_eq!(arrivals.runs().collect::<Vec<_>>(), [(0..3, 7), (3..4, 9), (4..6, 8)]);
        assert_eq!((arrivals.rows(), arrivals.earliest_after(i64::MIN)), (6, Some(7)));
        assert_eq!((arrivals.earliest_after(7), arrivals.earliest_after(9)), (Some(8), None));
        assert_eq!(Arrivals::all(3, 5), self::arrivals(&[5, 5, 5]));
        assert!(Arrivals::default().is_empty() && !arrivals.is_empty());
    }

    /// If this fails, data directories written before do not read any more: raise the format of the state.
    #[test]
    fn golden_bytes() {
        let arrivals = arrivals(&[-2, -2, 0x0102]);
        let mut bytes = Vec::new();
        arrivals.encode(&mut bytes);
        let runs = [2, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 3, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0];
        assert_eq!(bytes, [&[2, 0, 0, 0], &runs[..]].concat());
        bytes.push(99);
        assert_eq!(Arrivals::decode(&bytes), Some((arrivals, &[99][..])));
        for length in 0..28 {
            assert_eq!(Arrivals::decode(&bytes[..length]), None);
        }
        // Ends that do not rise.
        bytes[4] = 3;
        assert_eq!(Arrivals::decode(&bytes), None);
    }
}
