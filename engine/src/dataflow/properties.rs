//! What is known of a node's output without looking at it.

/// Properties of a relation, derived from those of its inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// Sets of columns in which no two rows agree (NULL agreeing with NULL). The empty set: at most one row.
    pub keys: Vec<Vec<usize>>,
    /// Rows only ever come.
    pub append_only: bool,
}

impl Properties {
    /// Of a relation that nothing is known of.
    pub fn unknown() -> Properties {
        Properties::default()
    }

    /// The key with the fewest columns, the first of equals.
    pub fn best_key(&self) -> Option<&Vec<usize>> {
        self.keys.iter().min_by_key(|key| key.len())
    }

    /// Whether no two rows agree in all of these columns.
    pub fn is_unique(&self, columns: &[usize]) -> bool {
        self.keys.iter().any(|key| key.iter().all(|column| columns.contains(column)))
    }

    /// Of the rows reduced to some columns: `columns[i]` says which one stands at place i, None where it is computed.
    pub fn project(&self, columns: &[Option<usize>]) -> Properties {
        let place = |column: &usize| columns.iter().position(|source| source.as_ref() == Some(column));
        let keys = self.keys.iter().filter_map(|key| key.iter().map(place).collect()).collect();
        Properties { keys, append_only: self.append_only }
    }

    /// The keys of pairs of rows: of each left row with each right row, whose columns come after `left_width` others.
    pub fn pair_keys(&self, right: &Properties, left_width: usize) -> Vec<Vec<usize>> {
        let shifted = |key: &Vec<usize>| key.iter().map(|column| column + left_width).collect::<Vec<_>>();
        let pairs = self.keys.iter().flat_map(|left| right.keys.iter().map(move |right| (left, right)));
        pairs.map(|(left, right)| left.iter().copied().chain(shifted(right)).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_a_projection_that_keeps_their_columns() {
        let properties = Properties { keys: vec![vec![0, 2], vec![1]], append_only: true };
        let projected = properties.project(&[Some(2), None, Some(0)]);
        assert_eq!(projected.keys, vec![vec![2, 0]]);
        assert!(projected.append_only);
        assert!(properties.is_unique(&[3, 1]) && !properties.is_unique(&[0]));
    }

    #[test]
    fn a_pair_is_told_by_both_keys() {
        let left = Properties { keys: vec![vec![0]], append_only: true };
        let right = Properties { keys: vec![vec![1], vec![]], append_only: true };
        assert_eq!(left.pair_keys(&right, 3), vec![vec![0, 4], vec![0]]);
    }
}
