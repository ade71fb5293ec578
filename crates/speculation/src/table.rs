//! Which origins the files of a tree have: one rule for most files of a directory, and exceptions.

use std::collections::BTreeMap;

use headstart_merkle::{BlobDigest, Name, TreePath};
use smallvec::SmallVec;

/// A rule's place in the list of rules.
pub(crate) type RuleId = u32;
/// A directory's place in a table.
pub(crate) type DirId = u32;

/// Candidates for a file's origin, best first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Rule(pub(crate) Vec<Candidate>);

/// One candidate for the origin of the files of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Candidate {
    pub(crate) kind: Kind,
    /// The element's place in the message's list.
    pub(crate) element: u32,
    /// The directory that the file is in at its origin.
    pub(crate) directory: TreePath,
    /// The file's name there; `None` if it is the same.
    pub(crate) name: Option<Name>,
}

/// The kind of an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Source,
    /// Of an action: its place among the base actions, and after them the actions of others.
    Action(u32),
    Artifact,
    Root,
}

impl Candidate {
    /// The path at the origin of a file that is called `name` here.
    pub(crate) fn path(&self, name: &Name) -> TreePath {
        self.directory.child(self.name.as_ref().unwrap_or(name))
    }
}

/// Rules for the files of a tree, by directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    /// The first is the root.
    pub(crate) directories: Vec<TableDirectory>,
}

/// Rules for the files of one directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TableDirectory {
    pub(crate) children: BTreeMap<Name, DirId>,
    /// For files that are no exception.
    pub(crate) rule: Option<RuleId>,
    pub(crate) exceptions: BTreeMap<Name, Exception>,
}

impl TableDirectory {
    /// All rules of its files.
    pub(crate) fn rules(&self) -> impl Iterator<Item = RuleId> {
        let exceptions = self.exceptions.values().flat_map(Exception::rules);
        self.rule.into_iter().chain(exceptions)
    }
}

/// A file whose rule is not the directory's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exception {
    Always(Option<RuleId>),
    /// It had several contents, of different origins.
    ByContent(BTreeMap<BlobDigest, Option<RuleId>>),
}

impl Default for Table {
    fn default() -> Self {
        Self {
            directories: vec![TableDirectory::default()],
        }
    }
}

impl Table {
    /// The directory's root.
    pub(crate) const ROOT: DirId = 0;

    pub(crate) fn child(&self, directory: DirId, name: &Name) -> Option<DirId> {
        self.at(directory).children.get(name).copied()
    }

    /// The directory at `path`, if anything is said of it or what is below it.
    pub(crate) fn find(&self, path: &TreePath) -> Option<DirId> {
        let mut at = Self::ROOT;
        for component in path.components() {
            at = *self.at(at).children.get(component)?;
        }
        Some(at)
    }

    /// The rule for the file `name` with this content.
    pub(crate) fn rule(
        &self,
        directory: DirId,
        name: &Name,
        content: BlobDigest,
    ) -> Option<RuleId> {
        let directory = self.at(directory);
        match directory.exceptions.get(name) {
            None => directory.rule,
            Some(Exception::Always(rule)) => *rule,
            Some(Exception::ByContent(rules)) => rules.get(&content).copied().flatten(),
        }
    }

    /// The paths of the directories below `path`, in order, parents first.
    pub(crate) fn below(&self, path: &TreePath) -> Vec<TreePath> {
        let mut paths = Vec::new();
        let mut pending: Vec<_> = self
            .find(path)
            .map(|at| (path.clone(), at))
            .into_iter()
            .collect();
        while let Some((path, at)) = pending.pop() {
            let children = self.at(at).children.iter().rev();
            pending.extend(children.map(|(name, child)| (path.child(name), *child)));
            paths.push(path);
        }
        paths.split_off(1.min(paths.len()))
    }

    /// The directory at `path`, made if it is not there.
    pub(crate) fn make(&mut self, path: &TreePath) -> DirId {
        let mut at = Self::ROOT;
        for component in path.components() {
            // A path's components are names.
            let Ok(name) = Name::new(component) else {
                continue;
            };
            let next = self.directories.len() as DirId;
            let children = &mut self.directories[at as usize].children;
            at = *children.entry(name).or_insert(next);
            if at == next {
                self.directories.push(TableDirectory::default());
            }
        }
        at
    }

    /// Whether nothing is said of any file.
    pub(crate) fn is_empty(&self) -> bool {
        let says_nothing = |d: &TableDirectory| d.rule.is_none() && d.exceptions.is_empty();
        self.directories.iter().all(says_nothing)
    }

    pub(crate) fn at(&self, directory: DirId) -> &TableDirectory {
        &self.directories[directory as usize]
    }
}

/// A table in the making: every file that was met, with its rule.
pub(crate) struct TableBuilder {
    directories: Vec<BuilderDirectory>,
}

#[derive(Default)]
struct BuilderDirectory {
    children: Named<DirId>,
    files: Named<Contents>,
}

/// Contents met at one path; nearly always one, which is looked at for each action that has it.
type Contents = SmallVec<[(BlobDigest, Option<RuleId>); 1]>;

/// Things in order of their names, of which many are looked up one after another.
struct Named<T> {
    all: Vec<(Name, T)>,
    /// What their names begin with, in the same order.
    beginnings: Vec<u64>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self::of(Vec::new())
    }
}

/// Where in a list the last name is or should be, when names are looked up in order.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Finger(usize);

impl<T> Named<T> {
    fn of(all: Vec<(Name, T)>) -> Self {
        let beginnings = all.iter().map(|(name, _)| beginning(name));
        Self {
            beginnings: beginnings.collect(),
            all,
        }
    }

    /// What is called `name`. Names come in order for each `finger`: then they are found in a step or
    /// two.
    fn get(&self, finger: &mut Finger, name: &Name) -> Option<&T> {
        let wanted = beginning(name);
        let ahead = self.beginnings.get(finger.0..)?;
        let mut beyond = 1;
        while ahead.get(beyond - 1).is_some_and(|one| *one < wanted) {
            beyond *= 2;
        }
        let before = beyond / 2;
        let between = &ahead[before..beyond.min(ahead.len())];
        finger.0 += before + between.partition_point(|one| *one < wanted);
        if self.beginnings.get(finger.0) != Some(&wanted) {
            return None;
        }
        let (one, thing) = self.all.get(finger.0)?;
        // What begins alike and ends within that is the same.
        if wanted & 0xff == 0 || one == name {
            return Some(thing);
        }
        finger.0 += self.all[finger.0..].partition_point(|(one, _)| one < name);
        let (_, thing) = self.all.get(finger.0).filter(|(one, _)| one == name)?;
        Some(thing)
    }

    /// Inserts what was not found, where it should be.
    fn insert(&mut self, Finger(place): Finger, name: &Name, thing: T) {
        self.beginnings.insert(place, beginning(name));
        self.all.insert(place, (name.clone(), thing));
    }
}

/// The first eight bytes of a name, in their order; shorter names end with zeros, which none has. So
/// most names are told apart by one comparison of numbers that lie next to each other.
pub(crate) fn beginning(name: &Name) -> u64 {
    let bytes = name.as_str().as_bytes();
    match bytes.first_chunk::<8>() {
        Some(first) => u64::from_be_bytes(*first),
        None => {
            let shifted = bytes.iter().zip((0..8).rev());
            shifted.fold(0, |sum, (byte, place)| {
                sum | u64::from(*byte) << (8 * place)
            })
        }
    }
}

/// A file of a directory that was looked up in vain, where it should be, and what was decided of it.
pub(crate) type Decided = (Finger, Name, BlobDigest, Option<RuleId>);

impl TableBuilder {
    pub(crate) fn new() -> Self {
        Self {
            directories: vec![BuilderDirectory::default()],
        }
    }

    /// The directory `name` in another, made if it is not there.
    pub(crate) fn child(&mut self, parent: DirId, finger: &mut Finger, name: &Name) -> DirId {
        let next = self.directories.len() as DirId;
        let children = &mut self.directories[parent as usize].children;
        if let Some(known) = children.get(finger, name) {
            return *known;
        }
        children.insert(*finger, name, next);
        self.directories.push(BuilderDirectory::default());
        next
    }

    /// What was decided of a file: `Some(None)` if it has no rule.
    pub(crate) fn known(
        &self,
        directory: DirId,
        finger: &mut Finger,
        name: &Name,
        content: BlobDigest,
    ) -> Option<Option<RuleId>> {
        let files = &self.directories[directory as usize].files;
        let mut contents = files.get(finger, name)?.iter();
        let known = contents.find(|(digest, _)| *digest == content);
        known.map(|(_, rule)| *rule)
    }

    /// Adds what was decided of files of a directory, in the order in which they were looked up in vain
    /// since the last time.
    pub(crate) fn add(&mut self, directory: DirId, decided: Vec<Decided>) {
        if decided.is_empty() {
            return;
        }
        let here = &mut self.directories[directory as usize];
        let mut files = Vec::with_capacity(here.files.all.len() + decided.len());
        let mut old = std::mem::take(&mut here.files).all.into_iter();
        let mut taken = 0;
        for (Finger(place), name, content, rule) in decided {
            files.extend(old.by_ref().take(place - taken));
            taken = place;
            match old.as_slice().first().filter(|(file, _)| *file == name) {
                Some(_) => {
                    files.extend(old.next());
                    taken += 1;
                    let last: Option<&mut (Name, Contents)> = files.last_mut();
                    if let Some((_, contents)) = last {
                        contents.push((content, rule));
                    }
                }
                None => files.push((name, Contents::from_iter([(content, rule)]))),
            }
        }
        files.extend(old);
        here.files = Named::of(files);
    }

    /// The table, with the commonest rule of each directory as the directory's. Directories of
    /// which nothing is said are left out, and the others are numbered as a walk meets them.
    pub(crate) fn finish(self) -> Table {
        let directories = self.directories.into_iter().map(BuilderDirectory::finish);
        let mut all: Vec<TableDirectory> = directories.collect();
        let mut useful: Vec<bool> = vec![false; all.len()];
        // Children have higher numbers than their parents.
        for at in (0..all.len()).rev() {
            all[at].children.retain(|_, child| useful[*child as usize]);
            let TableDirectory {
                children,
                rule,
                exceptions,
            } = &all[at];
            useful[at] = !children.is_empty() || rule.is_some() || !exceptions.is_empty();
        }
        let mut table = Table::default();
        let mut pending = vec![(TreePath::root(), Table::ROOT)];
        while let Some((path, at)) = pending.pop() {
            let directory = std::mem::take(&mut all[at as usize]);
            let below = directory.children.into_iter().rev();
            pending.extend(below.map(|(name, child)| (path.child(&name), child)));
            let new = table.make(&path);
            let new = &mut table.directories[new as usize];
            new.rule = directory.rule;
            new.exceptions = directory.exceptions;
        }
        table
    }
}

impl BuilderDirectory {
    fn finish(self) -> TableDirectory {
        let mut counts: BTreeMap<Option<RuleId>, usize> = BTreeMap::new();
        let files = self.files.all.into_iter();
        let files = files.map(|(name, contents)| (name, Exception::of(contents)));
        let files: Vec<(Name, Exception)> = files.collect();
        for (_, exception) in &files {
            if let Exception::Always(rule) = exception {
                *counts.entry(*rule).or_default() += 1;
            }
        }
        // Of equally common ones the first; an actual rule before none.
        let mut common = (None, 0);
        for (rule, count) in counts {
            if count > common.1 || (count == common.1 && common.0.is_none()) {
                common = (rule, count);
            }
        }
        let exceptions = files.into_iter();
        let exceptions = exceptions.filter(|(_, rule)| *rule != Exception::Always(common.0));
        TableDirectory {
            children: self.children.all.into_iter().collect(),
            rule: common.0,
            exceptions: exceptions.collect(),
        }
    }
}

impl Exception {
    fn rules(&self) -> impl Iterator<Item = RuleId> {
        let (one, several) = match self {
            Self::Always(rule) => (*rule, None),
            Self::ByContent(rules) => (None, Some(rules.values())),
        };
        one.into_iter()
            .chain(several.into_iter().flatten().copied().flatten())
    }

    fn of(contents: Contents) -> Self {
        let first = contents.first().and_then(|(_, rule)| *rule);
        if contents.iter().all(|(_, rule)| *rule == first) {
            Self::Always(first)
        } else {
            Self::ByContent(contents.into_iter().collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commonest_rule_is_the_directorys_and_the_rest_are_exceptions() {
        let name = |text: &str| Name::new(text).unwrap();
        let digest = |text: &str| BlobDigest::of(text.as_bytes());
        let mut builder = TableBuilder::new();
        let include = builder.child(Table::ROOT, &mut Finger::default(), &name("include"));
        for (file, content, rule) in [
            ("c.h", "c", None),
            ("b.h", "b", Some(1)),
            ("a.h", "a", Some(1)),
            ("d.h", "old", Some(2)),
            ("d.h", "new", None),
            ("alike_in_8_2.h", "a", Some(1)),
            ("alike_in_8_1.h", "a", Some(1)),
            ("alike_in_8_3.h", "a", Some(1)),
        ] {
            let mut finger = Finger::default();
            let (file, content) = (name(file), digest(content));
            assert_eq!(builder.known(include, &mut finger, &file, content), None);
            builder.add(include, vec![(finger, file, content, rule)]);
        }
        let mut finger = Finger::default();
        for (file, content, expected) in [
            ("a.h", "a", Some(Some(1))),
            ("aa.h", "a", None),
            ("alike_in_8_1.h", "a", Some(Some(1))),
            ("alike_in_8_2.h", "a", Some(Some(1))),
            ("alike_in_8_2.hh", "a", None),
            ("alike_in_8_3.h", "a", Some(Some(1))),
            ("alike_in_8_4.h", "a", None),
            ("c.h", "x", None),
            ("c.h", "c", Some(None)),
            ("d.h", "new", Some(None)),
            ("e.h", "e", None),
        ] {
            let known = builder.known(include, &mut finger, &name(file), digest(content));
            assert_eq!(known, expected, "{file}");
        }
        let table = builder.finish();
        let include = table.find(&TreePath::new("include").unwrap()).unwrap();
        assert_eq!(table.at(include).rule, Some(1));
        assert_eq!(table.at(include).exceptions.len(), 2);
        assert_eq!(table.rule(include, &name("b.h"), digest("b")), Some(1));
        assert_eq!(table.rule(include, &name("c.h"), digest("c")), None);
        assert_eq!(table.rule(include, &name("d.h"), digest("old")), Some(2));
        assert_eq!(table.rule(include, &name("d.h"), digest("new")), None);
    }
}
