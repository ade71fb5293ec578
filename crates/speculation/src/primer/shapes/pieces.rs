//! A list that grows without moving what is in it.

/// How many things are together in memory.
const PIECE: usize = 256;

/// Things by number. To move a long list whenever it has grown to twice its size takes longer than
/// filling it, and twice the memory.
pub(super) struct Pieces<T>(Vec<Vec<T>>);

impl<T> Default for Pieces<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Pieces<T> {
    pub(super) fn get(&self, number: usize) -> Option<&T> {
        self.0.get(number / PIECE)?.get(number % PIECE)
    }

    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut T> {
        self.0.get_mut(number / PIECE)?.get_mut(number % PIECE)
    }

    /// Adds a thing, and gives its number.
    pub(super) fn push(&mut self, thing: T) -> usize {
        let full = self.0.len().saturating_sub(1) * PIECE;
        let number = full + self.0.last().map_or(0, Vec::len);
        match self.0.last_mut().filter(|piece| piece.len() < PIECE) {
            Some(piece) => piece.push(thing),
            None => {
                let mut piece = Vec::with_capacity(PIECE);
                piece.push(thing);
                self.0.push(piece);
            }
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_found_by_their_numbers() {
        let mut pieces = Pieces::default();
        for number in 0..3 * PIECE + 1 {
            assert_eq!(pieces.push(number), number);
        }
        *pieces.get_mut(PIECE).unwrap() = 7;
        assert_eq!(pieces.get(PIECE), Some(&7));
        assert_eq!(pieces.get(PIECE - 1), Some(&(PIECE - 1)));
        assert_eq!(pieces.get(3 * PIECE), Some(&(3 * PIECE)));
        assert_eq!(pieces.get(3 * PIECE + 1), None);
    }
}
