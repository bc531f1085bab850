//! Which column a member belongs to.

use std::collections::HashMap;

/// A column that a member belongs to, and whether by its exact name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    pub column: usize,
    pub exact: bool,
}

/// The names of an object's columns.
///
/// Messages of a topic have their members in one order nearly always, so what was found for the member at a place is
/// tried first for the next message's member there: one comparison instead of a look-up.
pub struct Names {
    exact: HashMap<String, usize>,
    /// Lower case; None where several columns are equal but for case, so that only exact names count.
    folded: HashMap<String, Option<usize>>,
    /// Per place in the object: the last member's name there and what it belongs to.
    places: Vec<(String, Option<Match>)>,
}

/// Places that are remembered between messages.
const MOST_PLACES: usize = 1024;

impl Names {
    pub fn new<'a>(names: impl Iterator<Item = &'a str>) -> Names {
        let mut exact = HashMap::new();
        let mut folded = HashMap::new();
        for (column, name) in names.enumerate() {
            exact.insert(name.to_owned(), column);
            folded.entry(name.to_lowercase()).and_modify(|known| *known = None).or_insert(Some(column));
        }
        Names { exact, folded, places: Vec::new() }
    }

    /// What the member at a place of the object belongs to.
    pub fn find(&mut self, place: usize, name: &str) -> Option<Match> {
        if let Some((known, found)) = self.places.get(place)
            && known == name
        {
            return *found;
        }
        let found = match self.exact.get(name) {
            Some(column) => Some(Match { column: *column, exact: true }),
            None => {
                let column = self.folded.get(&name.to_lowercase()).copied().flatten();
                column.map(|column| Match { column, exact: false })
            }
        };
        match self.places.get_mut(place) {
            Some((known, remembered)) => {
                known.clear();
                known.push_str(name);
                *remembered = found;
            }
            None => self.places.push((name.to_owned(), found)),
        }
        found
    }

    /// The name of the member that was at a place of this object.
    pub fn name_at(&self, place: usize) -> &str {
        self.places.get(place).map_or("", |(name, _)| name)
    }

    /// At the end of an object.
    pub fn forget_excess(&mut self) {
        self.places.truncate(MOST_PLACES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_before_folded_and_neither_when_ambiguous() {
        let mut names = Names::new(["id", "orderid", "Total", "total"].into_iter());
        assert_eq!(names.find(0, "id"), Some(Match { column: 0, exact: true }));
        assert_eq!(names.find(1, "orderId"), Some(Match { column: 1, exact: false }));
        assert_eq!(names.find(2, "TOTAL"), None);
        assert_eq!(names.find(3, "total"), Some(Match { column: 3, exact: true }));
        assert_eq!(names.find(4, "other"), None);
        // Another order, the remembered places notwithstanding.
        assert_eq!(names.find(0, "ORDERID"), Some(Match { column: 1, exact: false }));
        assert_eq!(names.find(1, "ID"), Some(Match { column: 0, exact: false }));
    }
}
