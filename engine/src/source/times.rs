//! When messages were made.

/// Times of messages in milliseconds since 1970, in the order of the messages; those without a time are left out.
/// Messages in a row with the same time take the room of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times(Vec<(i64, u32)>);

impl Times {
    /// A time, and how many messages in a row have it.
    pub fn runs(&self) -> impl Iterator<Item = (i64, u32)> {
        self.0.iter().copied()
    }
}

impl FromIterator<i64> for Times {
    fn from_iter<I: IntoIterator<Item = i64>>(times: I) -> Times {
        let mut runs: Vec<(i64, u32)> = Vec::new();
        for time in times {
            match runs.last_mut() {
                Some((last, count)) if *last == time => *count += 1,
                _ => runs.push((time, 1)),
            }
        }
        Times(runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_times_in_a_row_are_one_run() {
        let times: Times = [5, 5, 5, 6, 5].into_iter().collect();
        assert_eq!(times.runs().collect::<Vec<_>>(), [(5, 3), (6, 1), (5, 1)]);
    }
}
