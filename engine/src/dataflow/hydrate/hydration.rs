//! New nodes on their own, from empty to level with the graph.

use std::collections::VecDeque;
use std::sync::Arc;

use super::contents::Work;
use super::progress::Progress;
use super::recorder::Hold;
use crate::data::{Epoch, ObjectId};
use crate::dataflow::StepContext;
use crate::dataflow::graph::{Graph, NodeId};
use crate::dataflow::operator::Outside;
use crate::dataflow::step::PortChange;
use crate::error::{Result, SqlState};
use crate::view::RowStore;

/// Rows that a last round may have, so that the rest is little.
const LITTLE: usize = 8192;
/// Rows that a round should have: with more, the next goes less far; with far fewer, farther.
const ROUND_ROWS: usize = 4 * LITTLE;
/// Rows of output, for each of input, that are little work.
const MOST_MADE: u64 = 16;
/// Rows that are fed at first: nobody knows what a join makes of them.
pub(super) const FIRST_FEED: usize = 32;
/// Rows that a node may emit before it is fed less at once, and so few that it may be fed more.
const MANY_EMITTED: usize = 8 * LITTLE;
const FEW_EMITTED: usize = 2 * LITTLE;
/// Rounds after which the graph takes the nodes back, however much is left: it comes faster than this can follow.
const MOST_ROUNDS: usize = 1000;
/// How many times fewer rows are fed at once after nodes made too much of them.
const FEWER: usize = 16;

/// New nodes that are being filled. Owned by whoever drives it; dropping it gives up.
pub struct Hydration {
    pub(super) relation: ObjectId,
    /// The new nodes, each under its number, and beside them what stands for their inputs.
    pub(super) graph: Graph,
    pub(super) work: VecDeque<Work>,
    /// Inputs with a store, which tell their changes themselves.
    pub(super) stored: Vec<StoredInput>,
    pub(super) own: Arc<[Arc<RowStore>]>,
    pub(super) recorder: Hold,
    pub(super) progress: Arc<Progress>,
    /// The last epoch made aside.
    pub(super) epoch: Epoch,
    /// The epoch of the graph that the nodes agree with.
    pub(super) reached: Epoch,
    /// Epochs of the graph that the next round takes in.
    pub(super) stride: u64,
    pub(super) rounds: usize,
    /// Rows that are fed at once: fewer where nodes make many of them.
    pub(super) feed: usize,
    /// The most of it, where an earlier try was fed too many.
    pub(super) most_fed: usize,
    /// Rows that nodes have emitted.
    pub(super) emitted: u64,
}

/// A node of the graph that keeps its rows, and the inputs aside that it feeds.
pub(super) struct StoredInput {
    pub rows: Arc<RowStore>,
    pub consumers: Vec<(NodeId, usize)>,
}

/// Where a hydration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// There is more to read.
    Reading,
    /// All is read, but the graph has gone on.
    CatchingUp,
    /// Next to nothing is left: it may be spliced.
    Level,
}

impl Hydration {
    /// The relation that it is for.
    pub fn relation(&self) -> ObjectId {
        self.relation
    }

    /// Whether all that is to be read is kept here: then nobody is waited for.
    pub fn is_inside(&self) -> bool {
        !self.progress.status().outside
    }

    /// Whether there are at most so many rows to read, and to meet in the stores of inputs: one row may meet all of them.
    pub fn is_small(&self, most: u64) -> bool {
        let met: u64 = self.stored.iter().map(|input| input.rows.rows()).sum();
        let known = self.stored.iter().all(|input| input.rows.is_readable());
        let status = self.progress.status();
        known && met <= most && !status.outside && status.expected.is_some_and(|rows| rows <= most)
    }

    /// Lets its progress tell that it waits for memory, or no longer does.
    pub fn paused(&self, paused: bool) {
        self.progress.paused(paused);
    }

    /// Rows that nodes have emitted: of each piece of work, by the node that emitted the most.
    #[cfg(test)]
    pub fn emitted(&self) -> u64 {
        self.emitted
    }

    /// Does a bounded piece of the work: some chunks of an index, a slice of the reading, or a round of catching up.
    ///
    /// # Errors
    /// What reading gives, a broken invariant, or 54000 where nodes make too much of what they are fed at once: the next try
    /// feeds them less, unless it was one row. The hydration is of no use any more.
    pub fn advance(&mut self) -> Result<Stage> {
        self.try_advance().inspect_err(|error| {
            if error.sqlstate() == SqlState::PROGRAM_LIMIT_EXCEEDED {
                self.progress.feed_at_most((self.feed / FEWER).max(1));
            }
        })
    }

    fn try_advance(&mut self) -> Result<Stage> {
        let stage = match self.work.front_mut() {
            Some(Work::Open) => {
                if self.open()? {
                    self.work.pop_front();
                }
                Stage::Reading
            }
            Some(Work::Start(node)) => {
                let node = *node;
                self.work.pop_front();
                self.start(node)?;
                Stage::Reading
            }
            Some(Work::Feed(_)) => {
                self.feed()?;
                Stage::Reading
            }
            None => self.catch_up()?,
        };
        self.graph.compact(self.epoch)?;
        Ok(stage)
    }

    /// Works until next to nothing is left. `rows` of input are as much as it may take, and several times as many of output:
    /// whether it came to the end.
    pub fn advance_by(&mut self, rows: u64) -> Result<bool> {
        while self.progress.status().rows <= rows && self.emitted <= MOST_MADE * rows {
            if self.advance()? == Stage::Level {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Feeds the next rows, so many that nodes do not make too much of them at once.
    fn feed(&mut self) -> Result<()> {
        let Some(Work::Feed(reading)) = self.work.front_mut() else { return Ok(()) };
        let Some((fed, deliveries)) = reading.next(self.feed)? else {
            self.work.pop_front();
            return Ok(());
        };
        let read = deliveries.iter().map(|delivery| delivery.change.len()).max().unwrap_or(0);
        let stepped = self.step(deliveries).inspect_err(|error| {
            if fed == 1 && error.sqlstate() == SqlState::PROGRAM_LIMIT_EXCEEDED {
                self.progress.give_up();
            }
        });
        let emitted = stepped?.max(read);
        let next = match emitted {
            MANY_EMITTED.. => (fed * MANY_EMITTED / emitted).max(1),
            // Less than it could have been tells nothing.
            0..FEW_EMITTED if fed == self.feed => self.feed.saturating_mul(2),
            _ => self.feed,
        };
        self.feed = next.min(self.most_fed);
        Ok(())
    }

    /// A piece of what the nodes need; whether there is no more to do.
    fn open(&mut self) -> Result<bool> {
        for node in self.graph.nodes.iter_mut().flatten() {
            if !node.operator.open()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn start(&mut self, id: NodeId) -> Result<()> {
        let mut context = StepContext::new(self.epoch.next());
        let node = self.graph.node_mut(id)?;
        let Some(state) = node.operator.state() else { return Ok(()) };
        let output = state.start(&mut context)?;
        self.graph.dirty.insert(id);
        let Some(output) = output else { return Ok(()) };
        let deliver = |&(node, port): &(NodeId, usize)| PortChange { node, port, change: output.clone() };
        let deliveries = self.graph.node(id)?.consumers.iter().map(deliver).collect();
        self.step(deliveries).map(drop)
    }

    /// A step of the nodes aside in which nothing changes around them; returns the rows that the node with the most emitted.
    fn step(&mut self, deliveries: Vec<PortChange>) -> Result<usize> {
        let at = self.reached;
        self.step_to(at, deliveries)
    }

    fn step_to(&mut self, to: Epoch, deliveries: Vec<PortChange>) -> Result<usize> {
        self.epoch = self.epoch.next();
        self.graph.outside = Some(Outside { own: self.own.clone(), before: self.reached, now: to });
        let report = self.graph.run(self.epoch, deliveries, Vec::new())?;
        self.reached = to;
        self.emitted += report.emitted as u64;
        Ok(report.emitted)
    }

    fn catch_up(&mut self) -> Result<Stage> {
        if self.rounds == 0 {
            self.progress.catching_up();
        }
        self.rounds += 1;
        let latest = self.recorder.0.latest();
        let to = latest.min(Epoch(self.reached.0.saturating_add(self.stride)));
        let (rows, emitted) = self.round(to)?;
        self.stride = match rows.max(emitted) {
            rows if rows > ROUND_ROWS => (self.stride / 2).max(1),
            rows if rows < LITTLE && self.most_fed == usize::MAX => self.stride.saturating_mul(2),
            _ => self.stride,
        };
        let level = to == latest && rows <= LITTLE || self.rounds >= MOST_ROUNDS;
        Ok(if level { Stage::Level } else { Stage::CatchingUp })
    }

    /// Takes in what changed up to an epoch; returns how many rows, and how many the node with the most made of them.
    pub(super) fn round(&mut self, to: Epoch) -> Result<(usize, usize)> {
        if to == self.reached {
            return Ok((0, 0));
        }
        let mut deliveries = self.recorder.0.take(to);
        for input in &self.stored {
            for change in input.rows.changes(self.reached, to)? {
                let deliver = |(node, port)| PortChange { node, port, change: change.clone() };
                deliveries.extend(input.consumers.iter().copied().map(deliver));
            }
        }
        let rows = deliveries.iter().map(|delivery| delivery.change.len()).sum();
        let emitted = self.step_to(to, deliveries)?;
        self.recorder.0.reach(to);
        Ok((rows, emitted))
    }
}
