//! Files that come to stand in front of others on an include path.
//!
//! A directive means the first file of its name along the search path. When a tree that the recorded
//! inputs came from gains a file of a name that they have, it may mean another from now on, although no
//! file that was recorded has changed. So the trees are compared, as they were and as they are, and only
//! where they differ; the names of files that are new are kept for each plan. An action that has no
//! input of such a name is not concerned, and that is known once for each Directory. For the others
//! the directives that name it are looked for anew ([`rescan`](super::rescan)).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use headstart_merkle::{Ahead, DirectoryDigest, Everywhere, Name, Node, TreePath};

use super::compare::{Comparison, Pair};
use super::knowledge::{Key, Knowledge, Known};
use super::moves::{Moved, may_move};
use super::pace::Stop;
use super::resolve::Source;
use super::shapes::Means;
use crate::includes::{Include, Includes, may_include};
use crate::message::Owned;
use crate::storage::{MAX_DEPTH, SpeculationError, Storage, directory};

/// Directives below a Directory, each with the path of its file there.
type Directives = Arc<[(TreePath, Include)]>;

/// Names of new files, by plan.
#[derive(Default)]
pub(crate) struct Shadows {
    /// Plans that have origins in a tree, and what that was.
    plans: HashMap<Key, Vec<(u32, DirectoryDigest)>>,
    /// Plans that somebody needs.
    needed: HashSet<u32>,
    /// Trees of plans that have not been compared yet, as they were and as they are.
    pending: BTreeMap<u32, Vec<(Key, Pair)>>,
    /// Trees among these that are to be read ahead.
    unread: BTreeSet<DirectoryDigest>,
    /// What came of it.
    newcomers: HashMap<u32, Newcomers>,
    moved: HashMap<u32, Moved>,
}

/// Names of files that today's trees of a plan have where the recorded ones had none.
#[derive(Default)]
struct Newcomers {
    names: BTreeSet<Name>,
    /// Whether files of these names are below a Directory.
    concerned: HashMap<DirectoryDigest, bool>,
    /// What of the directives below a Directory names them.
    directives: HashMap<DirectoryDigest, Directives>,
}

impl Shadows {
    /// Takes note of a plan, with what is known so far.
    pub(super) fn add(&mut self, plan: u32, source: &Source<'_>, knowledge: &Knowledge) {
        self.needed.insert(plan);
        for ((element, owned), was) in &source.message.trees {
            let element = source.elements[*element as usize];
            let key = match owned {
                Owned::Sources => Key::Sources(element),
                Owned::Artifact => Key::Artifact(element),
                Owned::Root => Key::Root(element),
            };
            self.plans.entry(key).or_default().push((plan, *was));
            if let Known::Tree(is) = knowledge.tree(key)
                && *was != is
            {
                let pairs = self.pending.entry(plan).or_default();
                pairs.push((key, (*was, is)));
            }
        }
    }

    /// Takes note of a tree that has become known. If what it was [has been read](super::ahead), what is new in it is
    /// to be read ahead.
    pub(super) fn learn(&mut self, key: Key, is: DirectoryDigest, was_read: bool) {
        for (plan, was) in self.plans.get(&key).into_iter().flatten() {
            if *was != is && self.needed.contains(plan) {
                let pairs = self.pending.entry(*plan).or_default();
                pairs.push((key, (*was, is)));
                if was_read {
                    self.unread.insert(is);
                }
            }
        }
    }

    /// Has what is new in trees read in the background that will be compared.
    pub(super) fn read_ahead(&mut self, store: &dyn Storage) {
        let unread = std::mem::take(&mut self.unread).into_iter();
        let unread: Vec<Ahead> = unread.map(Ahead::whole).collect();
        if !unread.is_empty() {
            store.read_ahead(unread, Arc::new(Everywhere));
        }
    }

    /// What a tree was for those plans that somebody needs.
    pub(super) fn were(&self, key: Key) -> impl Iterator<Item = DirectoryDigest> {
        let plans = self.plans.get(&key).into_iter().flatten();
        let needed = plans.filter(|(plan, _)| self.needed.contains(plan));
        needed.map(|(_, was)| *was)
    }

    /// Whether something has not been compared yet.
    pub(super) fn are_behind(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether all that is known of a plan's trees has been compared.
    pub(super) fn are_sure_of(&self, plan: u32) -> bool {
        !self.pending.contains_key(&plan)
    }

    /// The next plan with trees that have not been compared.
    pub(super) fn next_behind(&self) -> Option<u32> {
        self.pending.first_key_value().map(|(plan, _)| *plan)
    }

    /// Compares the trees of a plan; says whether there are new files or directories of other versions,
    /// which may concern its actions.
    pub(super) fn compare(
        &mut self,
        plan: u32,
        source: &Source<'_>,
        means: &mut Means<'_>,
    ) -> ControlFlow<Stop, bool> {
        while let Some((key, pair)) = self.next_pair(plan) {
            let comparison = means.knowledge.compare(pair, means.slices, means.store)?;
            self.pending.get_mut(&plan).map(Vec::pop);
            self.add_comparison(plan, key, source, &comparison);
        }
        self.pending.remove(&plan);
        ControlFlow::Continue(self.newcomers.contains_key(&plan) || self.moved.contains_key(&plan))
    }

    fn next_pair(&self, plan: u32) -> Option<(Key, Pair)> {
        self.pending.get(&plan)?.last().copied()
    }

    fn add_comparison(
        &mut self,
        plan: u32,
        key: Key,
        source: &Source<'_>,
        comparison: &Comparison,
    ) {
        let mut added = comparison.added.clone();
        if !may_move(key) {
            added.extend(comparison.moved.iter().cloned());
        } else if !comparison.moves.is_empty() {
            let moved = self.moved.entry(plan).or_default();
            moved.add(source, key, &comparison.moves);
        }
        if !added.is_empty() {
            let newcomers = self.newcomers.entry(plan).or_default();
            newcomers.names.append(&mut added);
            newcomers.concerned.clear();
            newcomers.directives.clear();
        }
    }

    /// What of a plan's input trees is called otherwise today, if anything is.
    pub(super) fn moved(&self, plan: u32) -> Option<&Moved> {
        self.moved.get(&plan)
    }

    /// Nobody needs a plan any more.
    pub(super) fn forget(&mut self, plan: u32) {
        self.needed.remove(&plan);
        self.pending.remove(&plan);
        self.newcomers.remove(&plan);
        self.moved.remove(&plan);
    }

    /// Whether an input tree of a plan has files of the names of new ones.
    pub(super) fn concern(
        &mut self,
        plan: u32,
        root: DirectoryDigest,
        store: &dyn Storage,
    ) -> Result<bool, SpeculationError> {
        match self.newcomers.get_mut(&plan) {
            Some(newcomers) => newcomers.concern(root, 0, store),
            None => Ok(false),
        }
    }

    /// The directives in an input tree of a plan that name new files, each with the path of the file it
    /// is in. What `scan` knows nothing of has none.
    pub(super) fn directives<E: From<SpeculationError>>(
        &mut self,
        plan: u32,
        root: DirectoryDigest,
        scan: &mut Scan<'_, E>,
        store: &dyn Storage,
    ) -> Result<Directives, E> {
        match self.newcomers.get_mut(&plan) {
            Some(newcomers) => newcomers.directives(root, 0, scan, store),
            None => Ok(Arc::default()),
        }
    }
}

/// Reads what a file includes.
pub(super) type Scan<'a, E> =
    dyn FnMut(headstart_merkle::BlobDigest) -> Result<Option<Arc<Includes>>, E> + 'a;

impl Newcomers {
    fn concern(
        &mut self,
        at: DirectoryDigest,
        depth: usize,
        store: &dyn Storage,
    ) -> Result<bool, SpeculationError> {
        if let Some(known) = self.concerned.get(&at) {
            return Ok(*known);
        }
        let here = directory(store, at)?;
        let mut concerned = false;
        for (name, node) in &here.entries {
            concerned |= match node {
                Node::Directory(below) if depth < MAX_DEPTH => {
                    self.concern(*below, depth + 1, store)?
                }
                Node::Directory(_) => false,
                _ => self.names.contains(name),
            };
        }
        self.concerned.insert(at, concerned);
        Ok(concerned)
    }

    fn directives<E: From<SpeculationError>>(
        &mut self,
        at: DirectoryDigest,
        depth: usize,
        scan: &mut Scan<'_, E>,
        store: &dyn Storage,
    ) -> Result<Directives, E> {
        if let Some(known) = self.directives.get(&at) {
            return Ok(Arc::clone(known));
        }
        let here = directory(store, at).map_err(SpeculationError::from)?;
        let mut found = Vec::new();
        for (name, node) in &here.entries {
            match node {
                Node::Directory(below) if depth < MAX_DEPTH => {
                    let below = self.directives(*below, depth + 1, scan, store)?;
                    let below = below.iter().cloned();
                    let above = TreePath::from(name.clone());
                    found.extend(below.map(|(path, include)| (above.join(&path), include)));
                }
                Node::File(file) if may_include(name.as_str()) => {
                    let includes = scan(file.digest)?;
                    let named = includes.iter().flat_map(|includes| &includes.named);
                    let named = named.filter(|include| self.is_named(include));
                    let path = TreePath::from(name.clone());
                    found.extend(named.map(|include| (path.clone(), include.clone())));
                }
                _ => {}
            }
        }
        let found: Directives = found.into();
        self.directives.insert(at, Arc::clone(&found));
        Ok(found)
    }

    fn is_named(&self, include: &Include) -> bool {
        let last = include
            .name
            .rsplit('/')
            .next()
            .and_then(|name| Name::new(name).ok());
        last.is_some_and(|name| self.names.contains(&name))
    }
}

/// The directives in the tree `root` that name files which were removed there, and may mean others now.
pub(super) fn uncovering<E: From<SpeculationError>>(
    removed: &[TreePath],
    root: DirectoryDigest,
    scan: &mut Scan<'_, E>,
    store: &dyn Storage,
) -> Result<Directives, E> {
    let names = removed.iter().filter_map(|path| Some(path.split()?.1));
    let names: BTreeSet<Name> = names.filter(|name| may_include(name.as_str())).collect();
    let mut removed = Newcomers {
        names,
        ..Newcomers::default()
    };
    match removed.names.is_empty() {
        true => Ok(Arc::default()),
        false => removed.directives(root, 0, scan, store),
    }
}
