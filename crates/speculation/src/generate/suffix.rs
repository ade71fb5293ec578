//! Finding a file by its content and the end of its path, where only the end is known.

use std::cmp::Ordering;
use std::collections::HashMap;

use headstart_merkle::{BlobDigest, Name, TreePath};

/// Files by name and content; of those the one that shares the longest end of its path is meant.
///
/// Invariant once sealed: the files of one name and content are in order of their components read
/// backwards, so that those with the longest common end are neighbours.
pub(crate) struct Suffixes<T> {
    files: HashMap<(Name, BlobDigest), Vec<(TreePath, T)>>,
}

impl<T> Default for Suffixes<T> {
    fn default() -> Self {
        Self {
            files: HashMap::new(),
        }
    }
}

impl<T> Suffixes<T> {
    pub(crate) fn add(&mut self, path: TreePath, content: BlobDigest, what: T) {
        if let Some((_, name)) = path.split() {
            let files = self.files.entry((name, content)).or_default();
            files.push((path, what));
        }
    }

    /// To be called when all are added. Of those at the same path the first stays.
    pub(crate) fn seal(&mut self) {
        for files in self.files.values_mut() {
            files.sort_by(|(a, _), (b, _)| backwards(a, b));
            files.dedup_by(|(later, _), (earlier, _)| later == earlier);
        }
    }

    /// The one file whose path shares the longest end with `path`, and how many components that
    /// is; `None` if there is none, or several.
    ///
    /// An empty file says little by its content: it must agree as far as one of the paths goes.
    pub(crate) fn find(&self, path: &TreePath, content: BlobDigest) -> Option<(&T, usize)> {
        let (_, name) = path.split()?;
        let files = self.files.get(&(name, content))?;
        let after = files.partition_point(|(file, _)| backwards(file, path) == Ordering::Less);
        let shared = |place: Option<usize>| {
            let file = place.and_then(|place| files.get(place));
            file.map_or(0, |(file, _)| shared_end(file, path))
        };
        let (before, next) = (after.checked_sub(1), Some(after));
        let (least, most) = (shared(before), shared(next));
        let (place, length, beyond) = match least.cmp(&most) {
            Ordering::Equal => return None,
            Ordering::Greater => (before?, least, before?.checked_sub(1)),
            Ordering::Less => (after, most, Some(after + 1)),
        };
        // The whole path is shared by one file only: paths are unique.
        if shared(beyond) == length && files[place].0 != *path {
            return None;
        }
        let whole = || {
            let shorter = files[place].0.components().count();
            length == shorter.min(path.components().count())
        };
        (content.size() > 0 || whole()).then(|| (&files[place].1, length))
    }
}

fn backwards(a: &TreePath, b: &TreePath) -> Ordering {
    a.components().rev().cmp(b.components().rev())
}

fn shared_end(a: &TreePath, b: &TreePath) -> usize {
    let pairs = a.components().rev().zip(b.components().rev());
    pairs.take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::path;

    #[test]
    fn the_longest_common_end_decides_unless_it_is_ambiguous() {
        let content = BlobDigest::of(b"x");
        let empty = BlobDigest::of(b"");
        let mut index = Suffixes::default();
        for file in ["b/src/a.h", "b/lib/a.h", "b/lib/x/a.h", "b/one.h"] {
            index.add(path(file), content, file);
            index.add(path(file), empty, file);
        }
        index.seal();
        let check = |asked: &str, content, expected: Option<(&str, usize)>| {
            let found = index.find(&path(asked), content);
            assert_eq!(found.map(|(file, n)| (*file, n)), expected, "{asked}");
        };
        check("src/a.h", content, Some(("b/src/a.h", 2)));
        check("x/a.h", content, Some(("b/lib/x/a.h", 2)));
        check("b/lib/a.h", content, Some(("b/lib/a.h", 3)));
        check("a.h", content, None);
        check("other/a.h", content, None);
        check("other/one.h", content, Some(("b/one.h", 1)));
        check("one.h", content, Some(("b/one.h", 1)));
        check("lib/a.h", BlobDigest::of(b"y"), None);
        check("other/one.h", empty, None);
        check("one.h", empty, Some(("b/one.h", 1)));
    }
}
