//! Who is to blame for a step that failed, and who depends on it.

use std::collections::BTreeSet;

use crate::data::ObjectId;
use crate::dataflow::{Fingerprint, Graph};

/// A node that failed a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blame {
    pub node: Fingerprint,
    /// The relations that are made from its output, by way of others too, and those that are yet to be filled.
    pub relations: BTreeSet<ObjectId>,
}

impl Graph {
    /// Bounds what an operator may make of the rows it is given in one step: so many bytes.
    pub fn bound_steps(&mut self, most_made: usize) {
        self.most_made = most_made;
    }

    /// The node at which the last step came to an end before its time; None where it did not, or where that was a base
    /// relation's.
    pub fn blame(&self) -> Option<Blame> {
        let failed = self.visiting?;
        let node = self.node(failed).ok().filter(|node| !node.inputs.is_empty())?;
        let mut blame = Blame { node: node.fingerprint, relations: BTreeSet::new() };
        let (mut reached, mut seen) = (vec![failed], BTreeSet::from([failed]));
        while let Some(node) = reached.pop().and_then(|id| self.node(id).ok()) {
            blame.relations.extend(node.relation);
            reached.extend(node.consumers.iter().map(|(id, _)| *id).filter(|id| seen.insert(*id)));
        }
        Some(blame)
    }
}
