//! Which name may have been meant.

/// The hint that names the one or two columns most like `name`, if any is like it at all.
pub(super) fn similar<'n>(name: &str, candidates: impl Iterator<Item = (&'n str, &'n str)>) -> Option<String> {
    let mut best: Vec<(&str, &str)> = Vec::new();
    let mut least = name.chars().count() / 2 + 1;
    for (relation, column) in candidates {
        let distance = edit_distance(name, column);
        if distance < least {
            best.clear();
            least = distance;
        }
        if distance == least && distance <= name.chars().count() / 2 && !best.contains(&(relation, column)) {
            best.push((relation, column));
        }
    }
    match best[..] {
        [(relation, column)] => Some(format!("Perhaps you meant to reference the column \"{relation}.{column}\".")),
        [(r1, c1), (r2, c2)] => {
            Some(format!("Perhaps you meant to reference the column \"{r1}.{c1}\" or the column \"{r2}.{c2}\"."))
        }
        _ => None,
    }
}

/// Levenshtein's distance.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}
