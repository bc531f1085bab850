//! Vectors that become long.

/// From this length on a vector grows by a quarter; before that it doubles.
const LONG: usize = 4096;

/// Makes room for so many elements more. A vector of millions that doubles is half empty at its worst; this one wastes a fifth
/// at most, and its elements are moved some five times instead of two.
pub fn make_room<T>(vector: &mut Vec<T>, more: usize) {
    if vector.capacity() - vector.len() < more {
        let step = if vector.len() < LONG { vector.len() } else { vector.len() / 4 };
        vector.reserve_exact(more.max(step));
    }
}

/// Brings a vector to a length, if it is shorter, with copies of a value.
#[inline]
pub fn lengthen<T: Clone>(vector: &mut Vec<T>, length: usize, value: T) {
    if length > vector.len() {
        make_room(vector, length - vector.len());
        vector.resize(length, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_wasted_and_little_is_moved() {
        let (mut vector, mut moves) = (Vec::new(), 0);
        for value in 0..1_000_000_u32 {
            let before = vector.capacity();
            make_room(&mut vector, 1);
            moves += u32::from(vector.capacity() != before);
            vector.push(value);
            assert!(vector.len() < LONG || vector.capacity() - vector.len() <= vector.len() / 4);
        }
        assert!(moves < 50, "{moves} moves");
        make_room(&mut vector, 5_000_000);
        assert_eq!(vector.capacity(), 6_000_000);
    }
}
