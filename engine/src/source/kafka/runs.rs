//! A batch of messages cut into runs that are decoded side by side.

use std::collections::BTreeSet;
use std::ops::Range;

use rayon::prelude::*;

use crate::error::Result;
use crate::source::{Decoded, Decoder, Intake, Message, Refusal};

/// Bytes below which a run is not worth another thread.
const LEAST_RUN: usize = 128 << 10;

/// Bytes above which a run is cut in any case: columns hold at most 2 GB of text, and deliveries are better small.
const MOST_RUN: usize = 16 << 20;

/// Consecutive messages and what became of them.
pub struct Run {
    pub messages: Range<usize>,
    pub decoded: Decoded,
}

/// Decodes messages, in parallel where it pays. The runs are in the messages' order.
pub fn decode(messages: &[Message<'_>], decoder: &dyn Decoder, intake: &Intake) -> Result<Vec<Run>> {
    let ranges = cut(messages, intake.pool().current_num_threads());
    let decode = |range: Range<usize>| -> Result<Run> {
        Ok(Run { decoded: decoder.decode(&messages[range.clone()])?, messages: range })
    };
    if ranges.len() < 2 {
        return ranges.into_iter().map(decode).collect();
    }
    intake.pool().install(|| ranges.into_par_iter().map(decode).collect())
}

/// About as many bytes in each run, and as many runs as there are threads.
fn cut(messages: &[Message<'_>], threads: usize) -> Vec<Range<usize>> {
    let total: usize = messages.iter().map(Message::bytes).sum();
    let share = (total / threads.max(1) + 1).clamp(LEAST_RUN, MOST_RUN);
    let mut runs = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, message) in messages.iter().enumerate() {
        bytes += message.bytes();
        if bytes >= share {
            runs.push(start..index + 1);
            (start, bytes) = (index + 1, 0);
        }
    }
    if start < messages.len() {
        runs.push(start..messages.len());
    }
    runs
}

/// Which partitions the rows are of: those of the messages that were not refused.
pub fn partitions(messages: &[Message<'_>], refused: &[Refusal]) -> Vec<(i32, usize)> {
    let refused: BTreeSet<usize> = refused.iter().map(|refusal| refusal.index).collect();
    let mut runs: Vec<(i32, usize)> = Vec::new();
    for (_, message) in messages.iter().enumerate().filter(|(index, _)| !refused.contains(index)) {
        match runs.last_mut() {
            Some((partition, rows)) if *partition == message.partition => *rows += 1,
            _ => runs.push((message.partition, 1)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_cover_all_messages_once() {
        let value = vec![0_u8; 100_000];
        for count in [0, 1, 2, 3, 7, 100] {
            let messages: Vec<Message<'_>> =
                (0..count).map(|offset| Message { offset, value: Some(&value), ..Message::default() }).collect();
            for threads in [1, 2, 7] {
                let runs = cut(&messages, threads);
                let covered: Vec<usize> = runs.iter().flat_map(Clone::clone).collect();
                assert_eq!(covered, (0..messages.len()).collect::<Vec<_>>());
                assert!(runs.len() <= threads.max(1) + messages.len() * value.len() / MOST_RUN + 1, "{runs:?}");
            }
        }
    }
}
