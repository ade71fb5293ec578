//! The name that was probably meant.

/// Of some names the one that takes the fewest changes of a letter to get to from `name`, if they
/// are few enough for a slip of the hand, and leave something of it.
pub(crate) fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    let allowed = (length / 3).clamp(1, 3).min(length.saturating_sub(1));
    let distances = names
        .into_iter()
        .map(|other| (distance(name, other), other));
    let (distance, other) = distances.min()?;
    (distance <= allowed).then_some(other)
}

/// Insertions, deletions, replacements and swaps of neighbours (the optimal string alignment
/// distance).
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (row, &char) in from.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, &other) in to.iter().enumerate() {
            let replaced = last[column] + usize::from(char != other);
            let mut least = replaced.min(last[column + 1] + 1).min(next[column] + 1);
            if row > 0 && column > 0 && char == to[column - 1] && from[row - 1] == other {
                least = least.min(before[column - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut last, next);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_are_found_and_other_names_are_not() {
        let names = ["manual", "meson", "make", "import"];
        for (name, expected) in [
            ("manul", Some("manual")),
            ("mseon", Some("meson")),
            ("imprt", Some("import")),
            ("maek", Some("make")),
            ("compose", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(name, names), expected, "{name}");
        }
    }
}
