//! Where the inputs of the recorded actions came from.

use std::collections::HashMap;
use std::rc::Rc;

use headstart_merkle::{BlobDigest, DirectoryDigest, Name, Node, TreePath};

use super::outputs::{Output, OutputIndex};
use super::rules::Rules;
use super::suffix::Suffixes;
use super::view::{Of, Place, View};
use super::{Recorded, archive};
use crate::message::SELF;
use crate::mode::Mode;
use crate::storage::{MAX_DEPTH, SpeculationError, content, directory};
use crate::table::{Candidate, DirId, Finger, Kind, RuleId, Table, TableBuilder};

/// How many directories the input trees of one element may have, each path counted.
const MAX_DIRECTORIES: usize = 4_000_000;

/// A summary's place among those that are kept.
type SummaryId = u32;
/// Of a tree of which there is nothing to say.
const PLAIN: SummaryId = 0;

/// What an action needs to know of a tree: of one Directory at one path, and all below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Places of the actions whose outputs are among the files, in order.
    pub(crate) needs: Vec<u32>,
    /// Places of the actions whose outputs went into static libraries, in order.
    pub(crate) guards: Vec<u32>,
    /// Whether any action before may have had a part in some file: an object that was compiled in
    /// the sandbox itself, or a library that can't be read.
    pub(crate) follows_all: bool,
    /// Whether all files can be followed in this mode.
    pub(crate) usable: bool,
}

pub(crate) struct Inputs<'a, 'b> {
    view: &'a View<'a>,
    rules: &'a mut Rules<'b>,
    outputs: &'a OutputIndex,
    sources: &'a Suffixes<TreePath>,
    table: TableBuilder,
    /// For each directory of the table, its path and what the sandbox had there.
    places: Vec<(TreePath, Rc<Place>)>,
    known: HashMap<(DirectoryDigest, DirId), SummaryId>,
    /// The first is that of trees of which there is nothing to say.
    summaries: Vec<Summary>,
    libraries: HashMap<BlobDigest, Option<Rc<Vec<u32>>>>,
    /// Where the last file came from, and the rule that follows from that alone.
    last: Option<(Alike, Option<RuleId>)>,
}

/// What decides on the rule of a file that no action made and that kept its name: the directory it is
/// in, whose tree it is from, the directory there, and what is stored of it there.
type Alike = (DirId, Of, Rc<TreePath>, Option<RuleId>);

impl<'a, 'b> Inputs<'a, 'b> {
    pub(crate) fn new(
        view: &'a View<'a>,
        rules: &'a mut Rules<'b>,
        outputs: &'a OutputIndex,
        sources: &'a Suffixes<TreePath>,
    ) -> Self {
        Self {
            view,
            rules,
            outputs,
            sources,
            table: TableBuilder::new(),
            places: Vec::new(),
            known: HashMap::new(),
            summaries: vec![Summary::plain()],
            libraries: HashMap::new(),
            last: None,
        }
    }

    pub(crate) fn finish(self) -> Table {
        self.table.finish()
    }

    /// What the action at `place` needs. One that can't be read, or needs an output that was made
    /// only later, is not usable.
    pub(crate) fn summarize_action(
        &mut self,
        recorded: &Recorded<'_>,
        place: u32,
        problems: &mut Vec<String>,
    ) -> Summary {
        let Some(spec) = &recorded.spec else {
            return Summary::unusable();
        };
        match self.summarize_root(spec.input_root) {
            Ok(summary) if self.summaries[summary as usize].comes_before(place) => {
                self.summaries[summary as usize].clone()
            }
            Ok(_) => Summary::unusable(),
            Err(error) => {
                problems.push(format!("the action {}: {error}", recorded.digest));
                Summary::unusable()
            }
        }
    }

    fn summarize_root(&mut self, root: DirectoryDigest) -> Result<SummaryId, SpeculationError> {
        if self.places.is_empty() {
            self.places.push((TreePath::root(), self.view.root()?));
        }
        self.summarize(root, Table::ROOT, 0)
    }

    fn summarize(
        &mut self,
        digest: DirectoryDigest,
        at: DirId,
        depth: usize,
    ) -> Result<SummaryId, SpeculationError> {
        if let Some(known) = self.known.get(&(digest, at)) {
            return Ok(*known);
        }
        if depth > MAX_DEPTH {
            return Err(SpeculationError::TooDeep(self.path(at).clone()));
        }
        if self.known.len() >= MAX_DIRECTORIES {
            let whose = "an element".to_owned();
            return Err(SpeculationError::TooLarge(whose, MAX_DIRECTORIES));
        }
        let here = directory(self.view.store, digest)?;
        let mut needs = Vec::new();
        let mut guards = Vec::new();
        let mut follows_all = false;
        let mut usable = true;
        let (mut folder, mut finger) = (Finger::default(), Finger::default());
        let mut decided = Vec::new();
        for (name, node) in &here.entries {
            if let Node::Directory(child) = node {
                let below = self.child(at, &mut folder, name)?;
                let summary = self.summarize(*child, below, depth + 1)?;
                if summary == PLAIN {
                    continue;
                }
                let summary = &self.summaries[summary as usize];
                needs.extend(summary.needs.iter());
                guards.extend(summary.guards.iter());
                follows_all |= summary.follows_all;
                usable &= summary.usable;
            } else if let Some(content) = content(node) {
                let rule = match self.table.known(at, &mut finger, name, content) {
                    Some(known) => known,
                    None => {
                        let rule = self.rule(at, name, node, content)?;
                        decided.push((finger, name.clone(), content, rule));
                        rule
                    }
                };
                match self.fate(rule) {
                    Fate::Constant if ends_in(name, node, ".a") => match self.makers(content) {
                        Some(makers) => guards.extend(makers.iter()),
                        None => follows_all = true,
                    },
                    Fate::Constant if ends_in(name, node, ".o") => follows_all = true,
                    Fate::Constant => {}
                    Fate::Follows(Some(producer)) => needs.push(producer),
                    Fate::Follows(None) => {}
                    Fate::Lost => usable = false,
                }
            }
        }
        self.table.add(at, decided);
        let summary = Summary {
            needs: in_order(needs),
            guards: in_order(guards),
            follows_all,
            usable,
        };
        let id = self.summary(summary);
        self.known.insert((digest, at), id);
        Ok(id)
    }

    fn summary(&mut self, summary: Summary) -> SummaryId {
        if summary == self.summaries[PLAIN as usize] {
            return PLAIN;
        }
        self.summaries.push(summary);
        self.summaries.len() as SummaryId - 1
    }

    /// The actions that made what a static library consists of; `None` if it can't be read.
    fn makers(&mut self, library: BlobDigest) -> Option<Rc<Vec<u32>>> {
        if let Some(known) = self.libraries.get(&library) {
            return known.clone();
        }
        let content = self.view.store.blobs().read(library).ok();
        let members = content.and_then(|content| archive::members(&content));
        let makers = members.map(|members| in_order(self.outputs.makers(&members)).into());
        self.libraries.insert(library, makers.clone());
        makers
    }

    fn path(&self, at: DirId) -> &TreePath {
        &self.places[at as usize].0
    }

    fn child(
        &mut self,
        parent: DirId,
        finger: &mut Finger,
        name: &Name,
    ) -> Result<DirId, SpeculationError> {
        let child = self.table.child(parent, finger, name);
        // Directories are numbered in the order in which they are made.
        if child as usize == self.places.len() {
            let (path, place) = &self.places[parent as usize];
            let path = path.child(name);
            let place = self.view.child(place, name)?;
            self.places.push((path, place));
        }
        Ok(child)
    }

    fn fate(&self, rule: Option<RuleId>) -> Fate {
        let Some(rule) = rule else {
            return Fate::Constant;
        };
        let first = self.rules.get(rule).0.first();
        let producer = match first.map(|candidate| (candidate.kind, candidate.element)) {
            Some((Kind::Action(place), SELF)) => Some(place),
            _ => None,
        };
        if producer.is_some() && self.rules.mode() < Mode::IntraElement {
            return Fate::Lost;
        }
        Fate::Follows(producer)
    }

    /// Finds the origins of a file that is met for the first time.
    fn rule(
        &mut self,
        at: DirId,
        name: &Name,
        node: &Node,
        content: BlobDigest,
    ) -> Result<Option<RuleId>, SpeculationError> {
        let (path, place) = &self.places[at as usize];
        let is_file = matches!(node, Node::File(_));
        let staged = if place.is_empty() {
            None
        } else {
            self.view.find(place, name, content, is_file)?
        };
        let produced = self.outputs.in_directory(path);
        let produced = produced.and_then(|outputs| outputs.get(&(name.clone(), content)));
        // Files of one directory nearly always came from one.
        let alike = staged.as_ref().filter(|_| produced.is_none());
        let alike = alike.filter(|found| found.name == *name);
        let alike = alike.map(|found| {
            (
                at,
                found.of,
                found.directory.clone(),
                self.rules.stored(found, content),
            )
        });
        if let (Some(alike), Some((last, rule))) = (&alike, &self.last)
            && alike == last
        {
            return Ok(*rule);
        }
        let mut candidates = match &staged {
            Some(found) => self.rules.candidates(found, content, name),
            None => Vec::new(),
        };
        if let Some(producer) = produced {
            let output = Output {
                path: path.child(name),
                producer: *producer,
            };
            insert_action(&mut candidates, &output);
        } else if staged.is_none() {
            candidates = self.by_end(&path.child(name), content);
        }
        let follows_action = |candidate: &Candidate| matches!(candidate.kind, Kind::Action(_));
        if self.rules.mode() < Mode::IntraElement && !candidates.first().is_some_and(follows_action)
        {
            candidates.retain(|candidate| !follows_action(candidate));
        }
        let rule = self.rules.intern(candidates);
        self.last = alike.map(|alike| (alike, rule));
        Ok(rule)
    }

    /// The element's own file that `path` may stand for, when paths are relative to some directory
    /// of the build.
    fn by_end(&self, path: &TreePath, content: BlobDigest) -> Vec<Candidate> {
        let source = self.sources.find(path, content);
        let output = self.outputs.by_end(path, content);
        let mut candidates = Vec::new();
        let length = |length: Option<usize>| length.unwrap_or(0);
        if let Some((source, shared)) = source
            && shared >= length(output.map(|(_, shared)| shared))
        {
            candidates.extend(own_candidate(Kind::Source, source, path));
        }
        if let Some((output, shared)) = output
            && shared >= length(source.map(|(_, shared)| shared))
        {
            candidates.extend(own_candidate(
                Kind::Action(output.producer),
                &output.path,
                path,
            ));
        }
        candidates
    }
}

/// What becomes of a file when its origin changes.
enum Fate {
    /// It has no known origin.
    Constant,
    /// It changes with its origin; which may be the output of an action.
    Follows(Option<u32>),
    /// It has an origin that this mode does not follow.
    Lost,
}

impl Summary {
    fn plain() -> Self {
        Self {
            needs: Vec::new(),
            guards: Vec::new(),
            follows_all: false,
            usable: true,
        }
    }

    fn unusable() -> Self {
        Self {
            usable: false,
            ..Self::plain()
        }
    }

    /// Whether all that it depends on came before the action at `place`.
    fn comes_before(&self, place: u32) -> bool {
        let last = |list: &[u32]| list.last().copied();
        last(&self.needs).max(last(&self.guards)) < Some(place)
    }
}

fn in_order(mut places: Vec<u32>) -> Vec<u32> {
    places.sort_unstable();
    places.dedup();
    places
}

fn ends_in(name: &Name, node: &Node, ending: &str) -> bool {
    matches!(node, Node::File(_)) && name.as_str().ends_with(ending)
}

/// A candidate of the element itself: the file `origin`, for what is at `path` here.
pub(crate) fn own_candidate(kind: Kind, origin: &TreePath, path: &TreePath) -> Option<Candidate> {
    let (directory, name) = origin.split()?;
    let (_, here) = path.split()?;
    Some(Candidate {
        kind,
        element: SELF,
        directory,
        name: (name != here).then_some(name),
    })
}

/// Adds an output at the same path, after sources and before artifacts.
fn insert_action(candidates: &mut Vec<Candidate>, output: &Output) {
    let kind = Kind::Action(output.producer);
    let place = candidates
        .iter()
        .position(|candidate| candidate.kind != Kind::Source)
        .unwrap_or(candidates.len());
    if let Some(candidate) = own_candidate(kind, &output.path, &output.path) {
        candidates.insert(place, candidate);
    }
}
