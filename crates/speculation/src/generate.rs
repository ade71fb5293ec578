//! From what a build asked for to what is stored of it.
//!
//! Each Directory of the recorded input trees is looked at once for each path it is met at,
//! whatever the number of actions that have it.

mod archive;
mod artifact;
mod inputs;
mod outputs;
mod rules;
mod suffix;
mod view;

use std::collections::HashMap;
use std::sync::Arc;

use headstart_execution::{ActionSpec, Subaction};
use headstart_merkle::{ActionDigest, BlobDigest, DirectoryDigest, TreePath, Visit, walk};
use headstart_reapi::reapi;
use headstart_store::read_message;

use crate::message::{BaseAction, NamedTree, SpeculativeActions};
use crate::mode::Mode;
use crate::origin::ElementId;
use crate::storage::{SpeculationError, Storage};
pub(crate) use inputs::own_candidate;
use inputs::{Inputs, Summary};
use outputs::OutputIndex;
pub(crate) use rules::Rules;
use suffix::Suffixes;
use view::{Layer, Of, View};

/// How many input trees are read ahead at a time. They are in memory until they are looked at.
const READ_AHEAD: usize = 16;

/// An element's build, as it was.
#[derive(Debug, Clone)]
pub struct Generation {
    /// The element.
    pub element: ElementId,
    /// How much is wanted.
    pub mode: Mode,
    /// What its commands asked for, in order.
    pub subactions: Vec<Subaction>,
    /// Its own sources, and where they were staged in the sandbox.
    pub sources: Option<Staged>,
    /// All that was staged in the sandbox besides, in the order of staging.
    pub dependencies: Vec<Dependency>,
    /// The files of its artifact.
    pub artifact: Option<DirectoryDigest>,
    /// Trees whose digests its commands may mention.
    pub named_trees: Vec<NamedTree>,
    /// The tree that its commands ran in, for hosts that know no more.
    pub root: Option<DirectoryDigest>,
}

/// A tree and where it was staged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// The tree.
    pub tree: DirectoryDigest,
    /// Where in the sandbox.
    pub at: TreePath,
}

/// An element whose artifact was in the sandbox.
#[derive(Debug, Clone)]
pub struct Dependency {
    /// The element.
    pub element: ElementId,
    /// Its files.
    pub tree: DirectoryDigest,
    /// Where they were staged.
    pub at: TreePath,
    /// What is stored of it, if anything is.
    pub actions: Option<Arc<SpeculativeActions>>,
}

/// What came of generating.
#[derive(Debug, Clone)]
pub struct Generated {
    /// What is to be stored.
    pub message: SpeculativeActions,
    /// Distinct actions that were recorded.
    pub recorded: usize,
    /// Of those, how many can't be adapted.
    pub unusable: usize,
    /// Why some can't be, in words.
    pub problems: Vec<String>,
}

impl Generation {
    /// A build of `element` of which nothing else is known.
    pub fn new(element: ElementId, mode: Mode) -> Self {
        Self {
            element,
            mode,
            subactions: Vec::new(),
            sources: None,
            dependencies: Vec::new(),
            artifact: None,
            named_trees: Vec::new(),
            root: None,
        }
    }
}

/// Finds where the inputs of an element's actions and the files of its artifact came from.
///
/// # Errors
/// Only when the element's own sources or artifact can't be read. An action that can't be read is
/// stored as unusable.
pub fn generate(build: &Generation, store: &dyn Storage) -> Result<Generated, SpeculationError> {
    let mut message = SpeculativeActions::empty(build.element.clone());
    if !build.mode.generates() {
        return Ok(Generated {
            message,
            recorded: 0,
            unusable: 0,
            problems: Vec::new(),
        });
    }
    let mut problems = Vec::new();
    let recorded = read_recorded(build, store, &mut problems);
    let outputs = OutputIndex::of(&recorded, store, &mut problems);
    let sources = source_index(build, store)?;
    let view = View::new(layers(build), store);
    let mut rules = Rules::new(build, recorded.len());

    let mut inputs = Inputs::new(&view, &mut rules, &outputs, &sources);
    for (place, one) in recorded.iter().enumerate() {
        if place % READ_AHEAD == 0 {
            let next = recorded[place..].iter().skip(READ_AHEAD).take(READ_AHEAD);
            let roots = next.filter_map(|one| Some(one.spec.as_ref()?.input_root));
            store.read_ahead(&roots.collect::<Vec<_>>());
        }
        let summary = inputs.summarize_action(one, place as u32, &mut problems);
        let mut action = one.base(&summary, &build.named_trees);
        if summary.follows_all {
            action.guards = outputs.makers_before(place as u32);
        }
        message.actions.push(action);
    }
    message.inputs = inputs.finish();
    if let Some(artifact) = build.artifact {
        message.artifact = artifact::attribute(artifact, &view, &mut rules, &outputs, &sources)?;
    }
    message.named_trees.clone_from(&build.named_trees);
    message.trees = rules.trees();
    (message.elements, message.rules, message.others) = rules.finish();
    Ok(Generated {
        recorded: recorded.len(),
        unusable: message
            .actions
            .iter()
            .filter(|action| !action.usable)
            .count(),
        message,
        problems,
    })
}

/// A recorded action, read.
struct Recorded<'a> {
    digest: ActionDigest,
    subaction: &'a Subaction,
    /// `None` if it can't be read.
    spec: Option<ActionSpec>,
}

impl Recorded<'_> {
    fn base(&self, summary: &Summary, named: &[NamedTree]) -> BaseAction {
        let mentions = |tree: &NamedTree| {
            let text = tree.tree.to_string();
            self.spec.as_ref().is_some_and(|spec| {
                let pairs = spec.environment.iter().chain(&spec.platform);
                let mut values = pairs.map(|(_, value)| value).chain(&spec.arguments);
                values.any(|value| value.contains(&text))
            })
        };
        let places = 0..named.len() as u32;
        BaseAction {
            digest: self.digest,
            duration: self.subaction.duration,
            failed: self.subaction.result.message().exit_code != 0,
            // What is not to be cached can't be a hit.
            usable: summary.usable && self.spec.as_ref().is_some_and(|spec| !spec.do_not_cache),
            needs: summary.needs.to_vec(),
            guards: summary.guards.to_vec(),
            named_trees: places.filter(|&n| mentions(&named[n as usize])).collect(),
        }
    }
}

/// Each distinct action once, where it was first asked for.
fn read_recorded<'a>(
    build: &'a Generation,
    store: &dyn Storage,
    problems: &mut Vec<String>,
) -> Vec<Recorded<'a>> {
    let mut places: HashMap<ActionDigest, usize> = HashMap::new();
    let mut recorded: Vec<Recorded<'a>> = Vec::new();
    for subaction in &build.subactions {
        if let Some(&place) = places.get(&subaction.action) {
            let known = &mut recorded[place];
            // A repetition may know more: how long it took, or that it went well after all.
            if better(subaction, known.subaction) {
                known.subaction = subaction;
            }
            continue;
        }
        let spec = match read_exactly(subaction.action, store) {
            Ok(spec) => Some(spec),
            Err(error) => {
                problems.push(error.to_string());
                None
            }
        };
        places.insert(subaction.action, recorded.len());
        recorded.push(Recorded {
            digest: subaction.action,
            subaction,
            spec,
        });
    }
    recorded
}

fn better(new: &Subaction, old: &Subaction) -> bool {
    let worth = |one: &Subaction| (one.result.message().exit_code == 0, one.duration);
    worth(new) > worth(old)
}

/// Reads an action, unless it has fields that adapting it would lose.
fn read_exactly(digest: ActionDigest, store: &dyn Storage) -> Result<ActionSpec, SpeculationError> {
    let action: reapi::Action = read_message(store.blobs(), digest, "an Action")?;
    if ActionDigest::of(&headstart_reapi::Message::encode_to_vec(&action)) != digest {
        let reason = format!("the action {digest} has fields that are not known");
        return Err(SpeculationError::Message(reason));
    }
    Ok(ActionSpec::read(digest, store.blobs())?)
}

fn layers(build: &Generation) -> Vec<Layer> {
    let root = build.root.map(|tree| Layer {
        of: Of::Root,
        tree,
        at: TreePath::root(),
    });
    let dependencies = build.dependencies.iter().enumerate();
    let staged = dependencies.map(|(place, dependency)| Layer {
        of: Of::Dependency(place),
        tree: dependency.tree,
        at: dependency.at.clone(),
    });
    let sources = build.sources.as_ref().map(|staged| Layer {
        of: Of::Sources,
        tree: staged.tree,
        at: staged.at.clone(),
    });
    root.into_iter().chain(staged).chain(sources).collect()
}

/// The element's own sources, to be found by the ends of their paths.
fn source_index(
    build: &Generation,
    store: &dyn Storage,
) -> Result<Suffixes<TreePath>, SpeculationError> {
    let mut index = Suffixes::default();
    if let Some(staged) = &build.sources {
        walk_files(store, staged.tree, &mut |path, content| {
            index.add(staged.at.join(path), content, path.clone());
        })?;
    }
    index.seal();
    Ok(index)
}

fn walk_files(
    store: &dyn Storage,
    root: DirectoryDigest,
    visit: &mut dyn FnMut(&TreePath, BlobDigest),
) -> Result<(), SpeculationError> {
    if root.size() == 0 {
        return Ok(());
    }
    walk(store, root, &mut |path, node| {
        if let Some(content) = crate::storage::content(node) {
            visit(path, content);
        }
        Visit::Enter
    })?;
    Ok(())
}

#[cfg(test)]
mod tests;
