//! What has become of a tree that inputs came from: which files are new in it, and which directories are
//! there as those of another version.
//!
//! A directory that is gone has become another where that is new beside it, and their names differ in
//! version numbers only: `bar-1.2` and `bar-1.3`, `python3.11` and `python3.12`. Where several might be
//! meant none is. Their contents are compared in turn.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::str::Chars;

use headstart_merkle::{Difference, DirectoryDigest, Name, Node, TreePath, Visit, diff, walk};

use crate::includes::may_include;
use crate::storage::{SpeculationError, Storage};

/// A tree as it was and as it is.
pub(crate) type Pair = (DirectoryDigest, DirectoryDigest);

/// What differs between them.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Names of files that may be included, at paths where there were none.
    pub(crate) added: BTreeSet<Name>,
    pub(crate) moves: Moves,
    /// The same names in the directories that have moved: there is a new file to each for whom nothing
    /// moves.
    pub(crate) moved: BTreeSet<Name>,
}

/// Directories that are called otherwise today: new names by the paths that they had.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Moves(BTreeMap<TreePath, Name>);

impl Moves {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&TreePath, &Name)> {
        self.0.iter()
    }

    pub(crate) fn insert(&mut self, path: TreePath, name: Name) {
        self.0.insert(path, name);
    }

    /// Where what was at or below `path` is today; `None` if it is where it was.
    pub(crate) fn today(&self, path: &TreePath) -> Option<TreePath> {
        if self.is_empty() {
            return None;
        }
        let (mut was, mut is, mut moved) = (TreePath::root(), TreePath::root(), false);
        for component in path.components() {
            let Ok(name) = Name::new(component) else {
                continue;
            };
            was = was.child(&name);
            let new = self.0.get(&was);
            moved |= new.is_some();
            is = is.child(new.unwrap_or(&name));
        }
        moved.then_some(is)
    }
}

impl Comparison {
    pub(crate) fn of((was, is): Pair, store: &dyn Storage) -> Result<Self, SpeculationError> {
        let mut comparison = Self::default();
        // Pairs of directories, and where the first was.
        let mut pending = vec![(TreePath::root(), was, is)];
        while let Some((at, was, is)) = pending.pop() {
            let differences = match (was.is_of_nothing(), is.is_of_nothing()) {
                // The empty Directory need not be stored.
                (_, true) => Vec::new(),
                (true, false) => {
                    comparison.added.append(&mut names(is, store)?);
                    Vec::new()
                }
                _ => diff(store, was, is)?,
            };
            let (moved, rest) = split_off_moved(differences);
            for (path, [was, is], name) in moved {
                let path = at.join(&path);
                comparison.moved.append(&mut names(is, store)?);
                pending.push((path.clone(), was, is));
                comparison.moves.insert(path, name);
            }
            for Difference {
                path,
                before,
                after,
            } in rest
            {
                match (before, after) {
                    (None | Some(Node::Directory(_)), Some(Node::Directory(below))) => {
                        comparison.added.append(&mut names(below, store)?);
                    }
                    (None | Some(Node::Directory(_)), Some(_)) => {
                        comparison.added.extend(name_of(&path));
                    }
                    _ => {}
                }
            }
        }
        Ok(comparison)
    }
}

/// The name of a file, if it may be included.
fn name_of(path: &TreePath) -> Option<Name> {
    let (_, name) = path.split()?;
    may_include(name.as_str()).then_some(name)
}

/// The names of all files in a tree that may be included.
fn names(tree: DirectoryDigest, store: &dyn Storage) -> Result<BTreeSet<Name>, SpeculationError> {
    let mut names = BTreeSet::new();
    walk(store, tree, &mut |path, node| {
        if !matches!(node, Node::Directory(_)) {
            names.extend(name_of(path));
        }
        Visit::Enter
    })?;
    Ok(names)
}

/// A directory's path, what it was and is, and its new name.
type Moved = (TreePath, [DirectoryDigest; 2], Name);

/// Takes from the differences those that are directories of another version.
fn split_off_moved(differences: Vec<Difference>) -> (Vec<Moved>, Vec<Difference>) {
    // By what names have in common, the places of those that are gone and of those that are new.
    let mut alike: BTreeMap<(TreePath, String), [Vec<usize>; 2]> = BTreeMap::new();
    for (place, difference) in differences.iter().enumerate() {
        let side = match (&difference.before, &difference.after) {
            (Some(Node::Directory(_)), None) => 0,
            (None, Some(Node::Directory(_))) => 1,
            _ => continue,
        };
        if let Some((parent, name)) = difference.path.split()
            && let Some(common) = without_versions(name.as_str())
        {
            alike.entry((parent, common)).or_default()[side].push(place);
        }
    }
    let mut moved = Vec::new();
    let mut taken = BTreeSet::new();
    for [gone, new] in alike.values() {
        let ([gone], [new]) = (&gone[..], &new[..]) else {
            continue;
        };
        let (from, to) = (&differences[*gone], &differences[*new]);
        if let (Some(Node::Directory(was)), Some(Node::Directory(is)), Some((_, name))) =
            (&from.before, &to.after, to.path.split())
        {
            moved.push((from.path.clone(), [*was, *is], name));
            taken.extend([*gone, *new]);
        }
    }
    let rest = differences.into_iter().enumerate();
    let rest = rest.filter(|(place, _)| !taken.contains(place));
    (moved, rest.map(|(_, difference)| difference).collect())
}

/// A name with a sign in place of each version number, `1.2.3` being one; `None` if it has none.
fn without_versions(name: &str) -> Option<String> {
    let mut common = String::with_capacity(name.len());
    let mut chars = name.chars().peekable();
    let mut has_any = false;
    while let Some(one) = chars.next() {
        if one.is_ascii_digit() {
            skip_version(&mut chars);
            has_any = true;
            // No name has it.
            common.push('/');
        } else {
            common.push(one);
        }
    }
    has_any.then_some(common)
}

/// Skips digits, and dots that are followed by digits.
fn skip_version(chars: &mut Peekable<Chars<'_>>) {
    loop {
        let mut ahead = chars.clone();
        match (ahead.next(), ahead.next()) {
            (Some(digit), _) if digit.is_ascii_digit() => {}
            (Some('.'), Some(digit)) if digit.is_ascii_digit() => {}
            _ => return,
        }
        chars.next();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fixture, path};

    /// What has moved between trees of empty files, and the names of files that are new.
    fn compare(was: &[&str], is: &[&str]) -> (Vec<(String, String)>, Vec<String>) {
        let fixture = Fixture::default();
        let [was, is] = [was, is].map(|paths| {
            let files: Vec<_> = paths.iter().map(|path| (*path, "")).collect();
            fixture.tree(&files)
        });
        let comparison = Comparison::of((was, is), &fixture.store).unwrap();
        let moves = comparison.moves.iter();
        let moves = moves.map(|(path, name)| (path.as_str().to_owned(), name.to_string()));
        let added = comparison.added.iter().map(ToString::to_string);
        (moves.collect(), added.collect())
    }

    fn moved(was: &[&str], is: &[&str]) -> Vec<(String, String)> {
        compare(was, is).0
    }

    #[test]
    fn a_directory_of_another_version_is_told_by_its_name() {
        for (was, is) in [
            ("bar-1.2", "bar-1.3"),
            ("bar-1.9", "bar-1.10.1"),
            ("python3.11", "python3.12"),
            ("13", "14.2.0"),
            ("x86_64-2", "x86_64-3"),
        ] {
            let [old, new] = [was, is].map(|name| format!("include/{name}/a.h"));
            let expected = [(format!("include/{was}"), is.to_owned())];
            assert_eq!(moved(&[&old], &[&new]), expected, "{was}");
        }
    }

    #[test]
    fn nothing_else_is() {
        let none: [(String, String); 0] = [];
        for (was, is) in [
            ("bar", "baz"),
            ("bar", "bar-2"),
            ("bar-1", "baz-2"),
            ("bar-1.2rc1", "bar-1.3"),
            ("a.1", "a1"),
        ] {
            let [old, new] = [was, is].map(|name| format!("include/{name}/a.h"));
            assert_eq!(moved(&[&old], &[&new]), none, "{was}");
        }
        // Both are there, it is still there, it was there before, and it has become a file.
        assert_eq!(moved(&["a1/x"], &["a2/x", "a3/x"]), none);
        assert_eq!(moved(&["a1/x"], &["a1/x", "a2/x"]), none);
        assert_eq!(moved(&["a1/x", "a2/x"], &["a2/x"]), none);
        assert_eq!(moved(&["a1/x"], &["a2"]), none);
        assert_eq!(moved(&["one/a1/x"], &["two/a2/x"]), none);
    }

    #[test]
    fn directories_of_versions_are_compared_in_turn() {
        let (moves, added) = compare(
            &["lib/a-1/b-1/old.h", "lib/a-1/gone.h"],
            &["lib/a-2/b-2/old.h", "lib/a-2/b-2/new.h", "lib/c/other.h"],
        );
        let expected = [("lib/a-1", "a-2"), ("lib/a-1/b-1", "b-2")];
        assert_eq!(
            moves,
            expected.map(|(path, name)| (path.to_owned(), name.to_owned()))
        );
        assert_eq!(added, ["new.h", "other.h"]);
    }

    #[test]
    fn paths_follow_the_directories_that_they_go_through() {
        let mut moves = Moves::default();
        assert_eq!(moves.today(&path("lib/a-1")), None);
        moves.insert(path("lib/a-1"), Name::new("a-2").unwrap());
        moves.insert(path("lib/a-1/b-1"), Name::new("b-2").unwrap());
        let today = |text: &str| moves.today(&path(text)).map(|path| path.to_string());
        assert_eq!(today("lib/a-1").as_deref(), Some("lib/a-2"));
        assert_eq!(today("lib/a-1/b-1/c").as_deref(), Some("lib/a-2/b-2/c"));
        assert_eq!(today("lib/a-1/b/c").as_deref(), Some("lib/a-2/b/c"));
        assert_eq!(today("lib/a-10"), None);
        assert_eq!(today("a-1"), None);
    }
}
