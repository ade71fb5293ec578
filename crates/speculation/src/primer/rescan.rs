//! Headers that an edit adds to an action's inputs, or takes away.
//!
//! An adapted action has the files that the recorded one had. Where a changed file includes others
//! than it did, the client in the sandbox will find others: what is included anew is looked for along
//! the compiler's search path, in the directories that the recorded inputs came from, and what
//! nothing includes any more is left out. So it is where a directive means another file than it did,
//! since there is a new one in front of it or the old one is removed. Nothing is looked at unless
//! directives have changed, inputs are removed, or there are new files of their names
//! ([`shadows`](super::shadows)).
//!
//! Directives are read, not preprocessed: one in a branch that is not compiled is taken for one that
//! is. Then the prediction is wrong, and nobody asks for it.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use headstart_execution::ActionSpec;
use headstart_merkle::{
    BlobDigest, Directory, DirectoryDigest, Name, Node, Tree, TreeError, TreePath,
};

use super::group::Change;
use super::knowledge::{Knowledge, Known};
use super::pace::Slices;
use super::resolve::Source;
use super::shapes::Changed;
use crate::includes::{Include, Includes, includes, may_include};
use crate::storage::{SpeculationError, Storage, lookup};
use crate::table::{Kind, RuleId, Table};

/// Larger files are generated tables, and include nothing.
const MAX_SIZE: u64 = 4 * 1024 * 1024;
/// How many files one edit may bring in.
const MAX_FILES: usize = 10_000;

/// Directories that compilers search by themselves, before those of their versions and platforms.
const SYSTEM: [&str; 2] = ["usr/local/include", "usr/include"];
/// Where the latter are. The recorded inputs tell which there are.
const SYSTEM_ABOVE: [&str; 3] = ["usr/include", "usr/lib/gcc", "usr/lib/clang"];

/// How many files and directives each generation of what was scanned may have; one takes about 100
/// bytes. More than one compile reads.
const GENERATION: usize = 64 * 1024;

/// What files include, by their content. Of those that nobody asked for of late it is forgotten, as
/// [`headstart_store::Directories`] does.
#[derive(Default)]
pub(crate) struct Scanner {
    younger: HashMap<BlobDigest, Scanned>,
    older: HashMap<BlobDigest, Scanned>,
    /// Files and directives in the younger generation.
    weight: usize,
}

/// `None` if it can't be said what a file includes, since it is not here.
type Scanned = Option<Arc<Includes>>;

impl Scanner {
    fn scan(&mut self, content: BlobDigest, store: &dyn Storage) -> Scanned {
        if let Some(known) = self.younger.get(&content) {
            return known.clone();
        }
        let known = self.older.remove(&content);
        let scanned = known.unwrap_or_else(|| {
            if content.size() > MAX_SIZE {
                return None;
            }
            let bytes = store.blobs().read(content).ok()?;
            Some(Arc::new(includes(&bytes)))
        });
        self.insert(content, scanned.clone());
        scanned
    }

    fn insert(&mut self, content: BlobDigest, scanned: Scanned) {
        if self.weight >= GENERATION {
            self.older = std::mem::take(&mut self.younger);
            self.weight = 0;
        }
        self.weight += 1 + scanned.as_ref().map_or(0, |found| found.named.len());
        self.younger.insert(content, scanned);
    }

    fn knows(&self, content: BlobDigest) -> bool {
        self.younger.contains_key(&content) || self.older.contains_key(&content)
    }

    /// Reads together what `changes` of files that were in `here` have to be scanned for.
    pub(crate) fn read(&mut self, changes: &[Change], here: &Directory, store: &dyn Storage) {
        let pairs = changes.iter().filter_map(|change| change_of(change, here));
        let mut unknown: Vec<BlobDigest> = pairs.flat_map(|(old, new)| [old, new]).collect();
        unknown.retain(|content| content.size() <= MAX_SIZE && !self.knows(*content));
        unknown.sort_unstable();
        unknown.dedup();
        let read = store.blobs().read_all(&unknown);
        for (content, bytes) in unknown.into_iter().zip(read) {
            let scanned = bytes.ok().map(|bytes| Arc::new(includes(&bytes)));
            self.insert(content, scanned);
        }
    }

    /// Whether a file that was in `here` is there no more, or includes others than it did.
    pub(crate) fn is_notable(
        &mut self,
        change: &Change,
        here: &Directory,
        store: &dyn Storage,
    ) -> bool {
        let Some((old, new)) = change_of(change, here) else {
            return change.new.is_none();
        };
        let (old, new) = (self.scan(old, store), self.scan(new, store));
        matches!((old, new), (Some(old), Some(new)) if old.named != new.named)
    }

    /// The directives that `changed` files have and had not, and had and have not, each with the file
    /// it is in.
    pub(super) fn differences(&mut self, changed: &[Changed], store: &dyn Storage) -> Differences {
        let mut differences = Differences::default();
        for Changed { path, old, new } in changed {
            let name = path.split().map(|(_, name)| name);
            let contents = name.and_then(|name| edited(&name, old, new.as_ref()));
            let Some((old, new)) = contents else {
                continue;
            };
            let (Some(old), Some(new)) = (self.scan(old, store), self.scan(new, store)) else {
                continue;
            };
            let one_sided = |a: &Includes, b: &Includes| {
                let only = a.named.difference(&b.named).cloned();
                only.map(|include| (path.clone(), include))
                    .collect::<Vec<_>>()
            };
            differences.added.extend(one_sided(&new, &old));
            differences.removed.extend(one_sided(&old, &new));
        }
        differences
    }
}

/// The contents of a file that has been edited and may include others, before and after.
fn edited(name: &Name, old: &Node, new: Option<&Node>) -> Option<(BlobDigest, BlobDigest)> {
    let (Node::File(old), Some(Node::File(new))) = (old, new) else {
        return None;
    };
    (old.digest != new.digest && may_include(name.as_str())).then_some((old.digest, new.digest))
}

/// The same for a change of what was in `here`.
fn change_of(change: &Change, here: &Directory) -> Option<(BlobDigest, BlobDigest)> {
    let (name, old) = here.entries.nth(change.place as usize)?;
    edited(name, old, change.new.as_ref())
}

/// Directives that have changed, each with the file it is in.
#[derive(Default)]
pub(super) struct Differences {
    added: Vec<(TreePath, Include)>,
    removed: Vec<(TreePath, Include)>,
    /// Directives that have not changed, and may mean other files than they did.
    pub(super) elsewhere: Vec<(TreePath, Include)>,
}

impl Differences {
    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.elsewhere.is_empty()
    }
}

/// A compile whose files include others than they did.
pub(super) struct Rescan<'a> {
    pub(super) spec: &'a ActionSpec,
    pub(super) base_root: DirectoryDigest,
    pub(super) source: Source<'a>,
    pub(super) knowledge: &'a mut Knowledge,
    pub(super) scanner: &'a mut Scanner,
    pub(super) slices: &'a mut Slices,
    pub(super) store: &'a dyn Storage,
}

/// Why a rescan comes to no end.
pub(super) enum Halt {
    /// The slice is over. What was read is known when it is tried again.
    Over,
    Failed(SpeculationError),
}

impl From<SpeculationError> for Halt {
    fn from(error: SpeculationError) -> Self {
        Self::Failed(error)
    }
}

impl From<TreeError> for Halt {
    fn from(error: TreeError) -> Self {
        Self::Failed(error.into())
    }
}

impl Rescan<'_> {
    /// The tree that the client will ask with, where `root` has today's content of what it had.
    pub(super) fn run(
        mut self,
        root: DirectoryDigest,
        differences: Differences,
    ) -> Result<DirectoryDigest, Halt> {
        let search = Search::new(self.spec, &self.source.message.inputs);
        let mut tree = Tree::stored(root);
        let mut pending = differences.added;
        let mut shadowed = Vec::new();
        for (file, include) in differences.elsewhere {
            // What was found nowhere stands where nothing is compiled.
            let was = self.first(search.candidates(&file, &include), self.base_root)?;
            let is = self.find(&search, &file, &include, root)?;
            if let (Some(was), Some((is, _))) = (was, is)
                && was != is
            {
                shadowed.push(was);
                pending.push((file, include));
            }
        }
        let mut count = 0;
        while let Some((file, include)) = pending.pop() {
            let Some((path, node)) = self.find(&search, &file, &include, root)? else {
                continue;
            };
            if tree.get(&path, self.store)?.is_some() || count > MAX_FILES {
                continue;
            }
            count += 1;
            if let Node::File(file) = &node
                && let Some(below) = self.scan(file.digest)?
            {
                pending.extend(below.named.iter().map(|i| (path.clone(), i.clone())));
            }
            tree.insert(&path, node, self.store)?;
        }
        let mut root = tree.write(self.store)?;
        if !differences.removed.is_empty() || !shadowed.is_empty() {
            root = self.without_unused(&search, root, &differences.removed, shadowed)?;
            root = self.with_folders(&search, root)?;
        }
        Ok(root)
    }

    /// Folders that the command names are there for it, whether or not anything is taken from them.
    fn with_folders(
        &self,
        search: &Search,
        root: DirectoryDigest,
    ) -> Result<DirectoryDigest, SpeculationError> {
        let mut tree = Tree::stored(root);
        for folder in &search.named {
            if let Some(Node::Directory(_)) = lookup(self.store, self.base_root, folder, true)? {
                tree.make_directory(folder, self.store)?;
            }
        }
        Ok(tree.write(self.store)?)
    }

    fn scan(&mut self, content: BlobDigest) -> Result<Scanned, Halt> {
        scan(self.scanner, self.slices, content, self.store)
    }

    /// What a directive means: a path that the tree has, or that it would have.
    fn find(
        &mut self,
        search: &Search,
        file: &TreePath,
        include: &Include,
        root: DirectoryDigest,
    ) -> Result<Option<(TreePath, Node)>, Halt> {
        for path in search.candidates(file, include) {
            if let Some(node @ Node::File(_)) = lookup(self.store, root, &path, true)? {
                return Ok(Some((path, node)));
            }
            if let Some(node) = self.source.find_new(&path, self.knowledge, self.store)? {
                return Ok(Some((path, node)));
            }
        }
        Ok(None)
    }

    /// Leaves out what `removed` directives named and what is `shadowed`, with what that included, unless
    /// something else includes it. Where names are computed nobody knows, and all stays.
    fn without_unused(
        &mut self,
        search: &Search,
        root: DirectoryDigest,
        removed: &[(TreePath, Include)],
        shadowed: Vec<TreePath>,
    ) -> Result<DirectoryDigest, Halt> {
        let mains = self.spec.arguments.iter().skip(1);
        let mains = mains.filter_map(|argument| search.path(argument));
        let Some(used) = self.reachable(search, root, mains.collect())? else {
            return Ok(root);
        };
        let mut named = shadowed;
        for (file, include) in removed {
            named.extend(self.first(search.candidates(file, include), root)?);
        }
        let Some(unused) = self.reachable(search, root, named)? else {
            return Ok(root);
        };
        let mut tree = Tree::stored(root);
        for path in unused.difference(&used) {
            tree.remove(path, self.store)?;
            remove_empty(&mut tree, path, self.store)?;
        }
        Ok(tree.write(self.store)?)
    }

    /// The first of `paths` that is a file of the tree.
    fn first(
        &self,
        paths: impl IntoIterator<Item = TreePath>,
        root: DirectoryDigest,
    ) -> Result<Option<TreePath>, SpeculationError> {
        for path in paths {
            if let Some(Node::File(_)) = lookup(self.store, root, &path, true)? {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// The files of the tree that `from` are or include; `None` if that can't be said.
    fn reachable(
        &mut self,
        search: &Search,
        root: DirectoryDigest,
        from: Vec<TreePath>,
    ) -> Result<Option<BTreeSet<TreePath>>, Halt> {
        let mut reached = BTreeSet::new();
        let mut pending = from;
        while let Some(path) = pending.pop() {
            let Some(Node::File(file)) = lookup(self.store, root, &path, true)? else {
                continue;
            };
            let name = path.split().map(|(_, name)| name);
            if !name.is_some_and(|name| may_include(name.as_str())) || !reached.insert(path.clone())
            {
                continue;
            }
            let Some(below) = self.scan(file.digest)? else {
                return Ok(None);
            };
            if below.computed {
                return Ok(None);
            }
            for include in &below.named {
                pending.extend(self.first(search.candidates(&path, include), root)?);
            }
        }
        Ok(Some(reached))
    }
}

/// What a file includes. Only a file that nobody has read yet ends a slice, so that each slice comes
/// further than the last.
pub(super) fn scan(
    scanner: &mut Scanner,
    slices: &mut Slices,
    content: BlobDigest,
    store: &dyn Storage,
) -> Result<Scanned, Halt> {
    let known = scanner.knows(content);
    let scanned = scanner.scan(content, store);
    match slices.spend() {
        ControlFlow::Break(_) if !known => Err(Halt::Over),
        _ => Ok(scanned),
    }
}

/// Removes the directories above `path` that have nothing in them any more.
fn remove_empty(
    tree: &mut Tree,
    path: &TreePath,
    store: &dyn Storage,
) -> Result<(), SpeculationError> {
    let mut path = path.clone();
    while let Some((parent, _)) = path.split() {
        let empty = tree
            .names(&parent, store)?
            .is_some_and(|names| names.is_empty());
        if !empty || parent.is_root() {
            return Ok(());
        }
        tree.remove(&parent, store)?;
        path = parent;
    }
    Ok(())
}

/// Where a compiler looks for what is included.
struct Search {
    home: TreePath,
    /// For quoted names only, and then for all.
    quoted: Vec<TreePath>,
    all: Vec<TreePath>,
    /// Those of both that the command names.
    named: Vec<TreePath>,
}

impl Search {
    fn new(spec: &ActionSpec, inputs: &Table) -> Self {
        let mut search = Self {
            home: spec.working_directory.clone(),
            quoted: Vec::new(),
            all: Vec::new(),
            named: Vec::new(),
        };
        let (mut system, mut after) = (Vec::new(), Vec::new());
        let mut arguments = spec.arguments.iter().skip(1);
        while let Some(argument) = arguments.next() {
            for option in ["-iquote", "-isystem", "-idirafter", "-I"] {
                let Some(value) = argument.strip_prefix(option) else {
                    continue;
                };
                let value = match value {
                    "" => arguments.next().map_or("", String::as_str),
                    value => value,
                };
                let list = match option {
                    "-iquote" => &mut search.quoted,
                    "-isystem" => &mut system,
                    "-idirafter" => &mut after,
                    _ => &mut search.all,
                };
                list.extend(in_tree(&spec.working_directory, value));
                break;
            }
        }
        let lists = [&search.quoted, &search.all, &system, &after];
        search.named = lists.into_iter().flatten().cloned().collect();
        search.all.append(&mut system);
        let own = SYSTEM.iter().filter_map(|path| TreePath::new(path).ok());
        search.all.extend(own);
        let above = SYSTEM_ABOVE
            .iter()
            .filter_map(|path| TreePath::new(path).ok());
        search
            .all
            .extend(above.flat_map(|path| inputs.below(&path)));
        search.all.append(&mut after);
        search
    }

    /// The path of an argument that may name a file.
    fn path(&self, argument: &str) -> Option<TreePath> {
        in_tree(&self.home, argument).filter(|_| !argument.starts_with('-'))
    }

    /// The paths that a directive in `file` may stand for, the first that is there being meant.
    fn candidates(&self, file: &TreePath, include: &Include) -> Vec<TreePath> {
        let own = file.split().map(|(parent, _)| parent);
        let own = own.filter(|_| include.quoted);
        let quoted = self.quoted.iter().filter(|_| include.quoted).cloned();
        let directories = own
            .into_iter()
            .chain(quoted)
            .chain(self.all.iter().cloned());
        let paths = directories.filter_map(|directory| in_tree(&directory, &include.name));
        paths.collect()
    }
}

/// The path in the tree of `path`, which is absolute or below `home`.
fn in_tree(home: &TreePath, path: &str) -> Option<TreePath> {
    match path.starts_with('/') {
        true => TreePath::normalized(path).ok(),
        false => TreePath::normalized(&format!("{}/{path}", home.as_str())).ok(),
    }
}

impl Source<'_> {
    /// The file that stands today at a path where the recorded inputs had none: where others of its
    /// directory, or of the nearest above it, came from.
    fn find_new(
        &self,
        path: &TreePath,
        knowledge: &mut Knowledge,
        store: &dyn Storage,
    ) -> Result<Option<Node>, SpeculationError> {
        let Some((parent, name)) = path.split() else {
            return Ok(None);
        };
        let (mut above, mut below) = (parent, TreePath::root());
        loop {
            let table = &self.message.inputs;
            let directory = table.find(&above).map(|at| table.at(at));
            let rules: BTreeSet<_> = directory.into_iter().flat_map(|d| d.rules()).collect();
            for rule in &rules {
                let found = self.added(*rule, &below, &name, knowledge, store)?;
                if found.is_some() {
                    return Ok(found);
                }
            }
            let Some((parent, last)) = above.split().filter(|_| rules.is_empty()) else {
                return Ok(None);
            };
            below = TreePath::from(last).join(&below);
            above = parent;
        }
    }

    fn added(
        &self,
        rule: RuleId,
        below: &TreePath,
        name: &Name,
        knowledge: &mut Knowledge,
        store: &dyn Storage,
    ) -> Result<Option<Node>, SpeculationError> {
        let candidates = &self.message.rule(rule).0;
        // An artifact that is known decides, as for the others.
        let last = candidates.len().wrapping_sub(1);
        let all = candidates.iter().enumerate();
        let artifacts = all.clone().rev().filter(|(_, c)| c.kind == Kind::Artifact);
        let others = all.filter(|(_, c)| c.kind != Kind::Artifact);
        for (place, candidate) in artifacts.chain(others) {
            let Known::Tree(tree) = knowledge.tree(self.key(candidate)) else {
                continue;
            };
            let moved = self.moved(candidate, tree, knowledge, store);
            let directory = moved.as_ref().unwrap_or(&candidate.directory);
            let path = directory.join(below).child(name);
            if let Some(node @ Node::File(_)) = lookup(store, tree, &path, true)? {
                return Ok(Some(node));
            }
            if place == last && candidate.kind == Kind::Artifact {
                return Ok(None);
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn what_was_scanned_and_is_not_asked_for_again_is_forgotten() {
        let fixture = Fixture::default();
        let file = |number: usize| {
            let lines = (0..GENERATION / 8).map(|line| format!("#include <{number}/{line}.h>\n"));
            fixture.write(lines.collect::<String>())
        };
        let files: Vec<BlobDigest> = (0..30).map(file).collect();
        let mut scanner = Scanner::default();
        for content in &files {
            let scanned = scanner.scan(*content, &fixture.store).unwrap();
            assert_eq!(scanned.named.len(), GENERATION / 8);
            scanner.scan(files[0], &fixture.store);
        }
        assert!(scanner.knows(files[0]));
        assert!(!scanner.knows(files[1]));
        assert!(scanner.knows(files[29]));
        assert!(scanner.younger.len() + scanner.older.len() <= 18);
    }
}
