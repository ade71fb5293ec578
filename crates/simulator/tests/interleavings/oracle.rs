//! What is known of a file's origin, and what follows from it for an action: written anew from the
//! design, the slow and simple way, to hold the primer against.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use headstart_execution::ActionSpec;
use headstart_merkle::{ActionDigest, DirectoryDigest, FileNode, Node, TreePath};
use headstart_simulator::Case;
use headstart_speculation::testing::world::{Files, id};
use headstart_speculation::{ElementId, NoteKind, Origin, Overlay};
use headstart_store::StoredResult;

/// What is known of a tree; absent if nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tree {
    Is(DirectoryDigest),
    Gone,
}

/// Which tree of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Which {
    Sources,
    Artifact,
}

/// What is known of one file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fact {
    Node(Node),
    Absent,
    Gone,
    NotYet,
}

/// What an action is today.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Today {
    /// It has this input tree.
    Known(Files),
    Pending,
    Refuted,
}

/// All that the primer was told, and what it said of recorded actions.
pub(crate) struct Oracle<'a> {
    case: &'a Case,
    pub(crate) trees: BTreeMap<(ElementId, Which), Tree>,
    /// `None`: in vain.
    pub(crate) results: HashMap<ActionDigest, Option<StoredResult>>,
    /// The last that was noted of each recorded action.
    pub(crate) states: BTreeMap<(ElementId, ActionDigest), (NoteKind, Option<ActionDigest>)>,
    /// Elements of which no more recorded actions will become known.
    pub(crate) settled: BTreeSet<ElementId>,
    /// Those whose recorded actions were told of in time.
    pub(crate) planned: BTreeSet<ElementId>,
    files: HashMap<DirectoryDigest, Files>,
    overlays: HashMap<(usize, DirectoryDigest), Vec<Overlay>>,
}

impl<'a> Oracle<'a> {
    pub(crate) fn new(case: &'a Case) -> Self {
        Self {
            case,
            trees: BTreeMap::new(),
            results: HashMap::new(),
            states: BTreeMap::new(),
            settled: BTreeSet::new(),
            planned: BTreeSet::new(),
            files: HashMap::new(),
            overlays: HashMap::new(),
        }
    }

    pub(crate) fn spec(&self, action: ActionDigest) -> ActionSpec {
        ActionSpec::read(action, &**self.case.change.fixture.store.store()).unwrap()
    }

    pub(crate) fn files(&mut self, tree: DirectoryDigest) -> Files {
        let known = self.files.entry(tree);
        let read = || self.case.change.fixture.files_of(tree);
        known.or_insert_with(read).clone()
    }

    /// What a recorded action of the element at `place` is today.
    pub(crate) fn today(&mut self, place: usize, base: ActionDigest) -> Today {
        let spec = self.spec(base);
        let overlays = self.overlays(place, spec.input_root);
        let mut files = self.files(spec.input_root);
        let (mut pending, mut removed) = (false, Vec::new());
        for overlay in overlays {
            match self.resolve(&overlay) {
                Fact::Node(node) => drop(files.insert(overlay.path, node)),
                Fact::Absent => {
                    files.remove(&overlay.path);
                    removed.push(overlay.path);
                }
                Fact::NotYet => pending = true,
                Fact::Gone => return Today::Refuted,
            }
        }
        if pending {
            return Today::Pending;
        }
        // What a command names it can't do without.
        let last = |text: &str| text.rsplit('/').next().map(str::to_owned);
        let named: BTreeSet<_> = spec
            .arguments
            .iter()
            .map(|argument| last(argument))
            .collect();
        match removed
            .iter()
            .any(|path| named.contains(&last(path.as_str())))
        {
            true => Today::Refuted,
            false => Today::Known(files),
        }
    }

    fn overlays(&mut self, place: usize, root: DirectoryDigest) -> Vec<Overlay> {
        let change = &self.case.change;
        let known = self.overlays.entry((place, root));
        let read = || {
            change.before[place]
                .message
                .overlays(root, &change.fixture.store)
                .unwrap()
        };
        known.or_insert_with(read).clone()
    }

    /// Artifacts that are known decide, the nearest to where the file was staged first; else the first
    /// origin that is not gone.
    fn resolve(&mut self, overlay: &Overlay) -> Fact {
        let last = overlay.origins.len() - 1;
        for (place, origin) in overlay.origins.iter().enumerate().rev() {
            if matches!(origin, Origin::Artifact { .. }) {
                match self.ask(origin) {
                    Fact::Node(node) => return Fact::Node(node),
                    Fact::Absent if place == last => return Fact::Absent,
                    _ => {}
                }
            }
        }
        let mut end = Fact::Gone;
        for origin in &overlay.origins {
            end = match self.ask(origin) {
                fact @ (Fact::Node(_) | Fact::NotYet) => return fact,
                fact => fact,
            };
        }
        end
    }

    fn ask(&mut self, origin: &Origin) -> Fact {
        let (element, path, which) = match origin {
            Origin::Source { element, path } => (element, path, Which::Sources),
            Origin::Artifact { element, path } => (element, path, Which::Artifact),
            Origin::Action {
                element,
                action,
                path,
            } => {
                return self.output(element, *action, path);
            }
            Origin::Root { .. } => return Fact::NotYet,
        };
        match self.trees.get(&(element.clone(), which)) {
            None => Fact::NotYet,
            Some(Tree::Gone) => Fact::Gone,
            Some(Tree::Is(tree)) => {
                let found = self.files(*tree).get(path).cloned();
                found.map_or(Fact::Absent, Fact::Node)
            }
        }
    }

    /// What a recorded action of an element puts at `path` today.
    fn output(&self, element: &ElementId, base: ActionDigest, path: &TreePath) -> Fact {
        let place = (0..self.case.project.len()).find(|place| id(*place) == *element);
        let planned = place.map(|place| &self.case.change.before[place].message);
        let planned = planned.filter(|_| self.planned.contains(element));
        let recorded = planned.is_some_and(|message| {
            let mut actions = message.actions().iter();
            actions.any(|action| action.digest == base && action.usable)
        });
        let settled = self.settled.contains(element);
        let artifact = self.trees.get(&(element.clone(), Which::Artifact));
        let none = match settled || matches!(artifact, Some(Tree::Is(_))) {
            true => Fact::Gone,
            false => Fact::NotYet,
        };
        if !settled || !recorded {
            return none;
        }
        let action = match self.states.get(&(element.clone(), base)) {
            Some((NoteKind::Refuted | NoteKind::Cancelled, _)) => return Fact::Gone,
            None | Some((NoteKind::Unresolved, _)) => return Fact::NotYet,
            Some((_, action)) => action.unwrap(),
        };
        let result = match self.results.get(&action) {
            None => return Fact::NotYet,
            Some(None) => return Fact::Gone,
            Some(Some(result)) => result,
        };
        let home = self.spec(action).working_directory;
        let outputs = result.message().output_files.iter();
        let mut found =
            outputs.filter(|file| home.join(&TreePath::new(&file.path).unwrap()) == *path);
        found.next().map_or(Fact::Absent, |file| {
            let digest = file.digest.as_ref().unwrap().try_into().unwrap();
            Fact::Node(Node::File(FileNode::new(digest, file.is_executable)))
        })
    }
}
