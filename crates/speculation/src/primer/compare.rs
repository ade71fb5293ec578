//! What has become of a tree that inputs came from: which files are new in it, and which directories are
//! there as those of another version.
//!
//! A directory that is gone has become another where that is new beside it, and their names differ in
//! version numbers only: `bar-1.2` and `bar-1.3`, `python3.11` and `python3.12`. Where several might be
//! meant none is. Their contents are compared in turn.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::str::Chars;
use std::sync::Arc;

use headstart_merkle::{Directory, DirectoryDigest, Name, Node, TreeError, TreePath};

use crate::includes::may_include;
use crate::storage::Storage;

/// How many directories are read at a time, or pairs of them.
const READ_TOGETHER: usize = 32;

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

/// What is still to be done for a comparison.
#[derive(Debug)]
enum Step {
    /// A directory is to be compared: where it was, as it was and as it is.
    Compare(TreePath, DirectoryDigest, DirectoryDigest),
    /// The names of all below a directory are wanted.
    Collect(DirectoryDigest, Why),
}

/// Why names are wanted.
#[derive(Debug, Clone, Copy)]
enum Why {
    /// The files are new.
    Added,
    /// They have come along with their directory.
    Moved,
}

impl Step {
    /// The Directories that it takes.
    fn wanted(&self) -> impl Iterator<Item = DirectoryDigest> {
        let (one, other) = match self {
            Self::Compare(_, was, is) => (*was, Some(*is)),
            Self::Collect(it, _) => (*it, None),
        };
        std::iter::once(one).chain(other)
    }
}

/// A comparison in the making.
#[derive(Debug, Default)]
pub(crate) struct Comparing {
    comparison: Comparison,
    pending: Vec<Step>,
}

impl Comparing {
    pub(crate) fn new((was, is): Pair) -> Self {
        Self {
            comparison: Comparison::default(),
            pending: vec![Step::Compare(TreePath::root(), was, is)],
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.pending.is_empty()
    }

    pub(crate) fn into_comparison(self) -> Comparison {
        self.comparison
    }

    /// Looks at some directories, without what is below them.
    pub(crate) fn step(&mut self, store: &dyn Storage) -> Result<(), TreeError> {
        let first = self.pending.len().saturating_sub(READ_TOGETHER);
        let steps = self.pending.split_off(first);
        // The empty Directory need not be stored.
        let mut wanted: Vec<DirectoryDigest> = steps.iter().flat_map(Step::wanted).collect();
        wanted.retain(|digest| !digest.is_of_nothing());
        let mut read = store.read_directories(&wanted).into_iter();
        let mut directory = |digest: DirectoryDigest| match digest.is_of_nothing() {
            true => Ok(Arc::default()),
            false => read
                .next()
                .unwrap_or(Err(TreeError::Missing(digest.blob()))),
        };
        for step in steps {
            match step {
                Step::Compare(at, was, is) => {
                    self.compare(&at, &*directory(was)?, &*directory(is)?);
                }
                Step::Collect(it, why) => self.collect(&*directory(it)?, why),
            }
        }
        Ok(())
    }

    fn compare(&mut self, at: &TreePath, was: &Directory, is: &Directory) {
        let mut versions = Versions::default();
        for (name, was, is) in was.entries.beside(&is.entries) {
            match (was, is) {
                (Some(Node::Directory(old)), Some(Node::Directory(new))) if old == new => {}
                (Some(Node::Directory(old)), Some(Node::Directory(new))) => {
                    self.pending.push(Step::Compare(at.child(name), *old, *new));
                }
                (Some(Node::Directory(old)), None) => versions.gone(name, *old),
                (None, Some(Node::Directory(new))) => versions.added(name, *new),
                (_, Some(Node::Directory(new))) => {
                    self.pending.push(Step::Collect(*new, Why::Added));
                }
                (None | Some(Node::Directory(_)), Some(_)) if may_include(name.as_str()) => {
                    self.comparison.added.insert(name.clone());
                }
                _ => {}
            }
        }
        for (old, new) in versions.0.into_values() {
            match (&old[..], &new[..]) {
                ([(from, was)], [(to, is)]) => {
                    let path = at.child(from);
                    self.pending.push(Step::Collect(*is, Why::Moved));
                    self.pending.push(Step::Compare(path.clone(), *was, *is));
                    self.comparison.moves.insert(path, to.clone());
                }
                _ => {
                    let new = new.into_iter();
                    self.pending
                        .extend(new.map(|(_, new)| Step::Collect(new, Why::Added)));
                }
            }
        }
    }

    /// Adds the names of those files of a directory that may be included.
    fn collect(&mut self, here: &Directory, why: Why) {
        let names = match why {
            Why::Added => &mut self.comparison.added,
            Why::Moved => &mut self.comparison.moved,
        };
        for (name, node) in &here.entries {
            match node {
                Node::Directory(below) => self.pending.push(Step::Collect(*below, why)),
                _ if may_include(name.as_str()) => _ = names.insert(name.clone()),
                _ => {}
            }
        }
    }
}

type Named = Vec<(Name, DirectoryDigest)>;

/// By what names have in common, the directories of one directory that are gone and those that are new.
#[derive(Default)]
struct Versions(BTreeMap<String, (Named, Named)>);

impl Versions {
    fn gone(&mut self, name: &Name, directory: DirectoryDigest) {
        if let Some(common) = without_versions(name.as_str()) {
            let (gone, _) = self.0.entry(common).or_default();
            gone.push((name.clone(), directory));
        }
    }

    fn added(&mut self, name: &Name, directory: DirectoryDigest) {
        // A name that has no version is like itself alone.
        let common = without_versions(name.as_str()).unwrap_or_else(|| name.to_string());
        let (_, new) = self.0.entry(common).or_default();
        new.push((name.clone(), directory));
    }
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
        let mut comparing = Comparing::new((was, is));
        while !comparing.is_done() {
            comparing.step(&fixture.store).unwrap();
        }
        let comparison = comparing.into_comparison();
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
