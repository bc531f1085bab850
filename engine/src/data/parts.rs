//! Parts of rows.

use std::collections::BTreeMap;

/// Which columns of a relation, and of a column of records which fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parts {
    /// All there is.
    All,
    /// Of those at these positions, these parts; nothing else.
    Some(BTreeMap<usize, Parts>),
}

impl Parts {
    pub fn none() -> Parts {
        Parts::Some(BTreeMap::new())
    }

    /// Whole columns.
    pub fn columns(positions: impl IntoIterator<Item = usize>) -> Parts {
        Parts::Some(positions.into_iter().map(|at| (at, Parts::All)).collect())
    }

    /// Adds a column, or a field of a field of one: the positions that lead there.
    pub fn add(&mut self, path: &[usize]) {
        let Some((first, rest)) = path.split_first() else {
            *self = Parts::All;
            return;
        };
        if let Parts::Some(parts) = self {
            parts.entry(*first).or_insert_with(Parts::none).add(rest);
        }
    }

    /// Adds what other parts there are.
    pub fn extend(&mut self, other: &Parts) {
        match (&mut *self, other) {
            (Parts::All, _) => {}
            (_, Parts::All) => *self = Parts::All,
            (Parts::Some(parts), Parts::Some(others)) => {
                for (at, other) in others {
                    parts.entry(*at).or_insert_with(Parts::none).extend(other);
                }
            }
        }
    }

    /// What is wanted of the column, or field, at a position; None where that is nothing.
    pub fn of(&self, at: usize) -> Option<&Parts> {
        match self {
            Parts::All => Some(self),
            Parts::Some(parts) => parts.get(&at),
        }
    }

    /// Whether all of the other parts are among these.
    pub fn cover(&self, other: &Parts) -> bool {
        match (self, other) {
            (Parts::All, _) => true,
            (Parts::Some(_), Parts::All) => false,
            (Parts::Some(_), Parts::Some(others)) => {
                others.iter().all(|(at, other)| self.of(*at).is_some_and(|own| own.cover(other)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Parts;

    #[test]
    fn parts_grow_and_cover() {
        let mut parts = Parts::none();
        parts.add(&[2, 1]);
        parts.add(&[0]);
        let small = parts.clone();
        parts.add(&[2, 3, 0]);
        assert!(parts.cover(&small) && !small.cover(&parts) && !parts.cover(&Parts::All));
        assert_eq!(parts.of(0), Some(&Parts::All));
        assert_eq!(parts.of(1), None);
        assert_eq!(parts.of(2).and_then(|column| column.of(3)).and_then(|field| field.of(1)), None);
        let mut both = Parts::columns([1]);
        both.extend(&parts);
        assert!(both.cover(&parts) && both.cover(&Parts::columns([0, 1])) && !both.cover(&Parts::columns([2])));
        // What is there as a whole stays whole.
        both.add(&[1, 7]);
        assert_eq!(both.of(1), Some(&Parts::All));
        both.add(&[]);
        assert_eq!(both, Parts::All);
    }
}
