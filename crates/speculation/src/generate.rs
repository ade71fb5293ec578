//! From what a build asked for to what is stored of it.
//!
//! Each Directory of the recorded input trees is looked at once for each path it is met at,
//! whatever the number of actions that have it.

mod again;
mod archive;
mod artifact;
mod inputs;
mod outputs;
mod rules;
mod suffix;
mod view;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use bytes::Bytes;
use headstart_execution::{ActionSpec, Subaction};
use headstart_merkle::{
    ActionDigest, Ahead, BlobDigest, CommandDigest, DirectoryDigest, Everywhere, TreePath, Visit,
    walk,
};
use headstart_reapi::reapi;
use headstart_store::{StoreError, decode_message};

use crate::message::{BaseAction, NamedTree, SpeculativeActions};
use crate::mode::Mode;
use crate::odds::kind_of;
use crate::origin::ElementId;
use crate::storage::{SpeculationError, Storage};
pub use again::generate_again;
pub(crate) use inputs::own_candidate;
use inputs::{Inputs, Summary};
use outputs::OutputIndex;
pub(crate) use rules::Rules;
use suffix::Suffixes;
use view::{Layer, Of, View};

/// How many recorded actions are read together.
const READ_TOGETHER: usize = 256;
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
    let read_ahead = |some: Option<&[Recorded<'_>]>| {
        let roots = some.unwrap_or_default().iter();
        let roots = roots.filter_map(|one| Some(one.spec.as_ref()?.input_root));
        store.read_ahead(roots.map(Ahead::whole).collect(), Arc::new(Everywhere));
    };
    let mut ahead = recorded.chunks(READ_AHEAD);
    read_ahead(ahead.next());
    for (place, one) in recorded.iter().enumerate() {
        if place % READ_AHEAD == 0 {
            read_ahead(ahead.next());
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
    // What can't be read today may be there tomorrow.
    message.fingerprint = build.fingerprint().filter(|_| problems.is_empty());
    Ok(Generated {
        recorded: recorded.len(),
        unusable: message.unusable(),
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
    fn kind(&self) -> Arc<str> {
        let kind = self.spec.as_ref().map(kind_of);
        kind.unwrap_or_default().into()
    }

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
            kind: self.kind(),
            // What is not to be cached can't be a hit.
            usable: summary.usable && self.spec.as_ref().is_some_and(|spec| !spec.do_not_cache),
            needs: summary.needs.to_vec(),
            guards: summary.guards.to_vec(),
            named_trees: places.filter(|&n| mentions(&named[n as usize])).collect(),
        }
    }
}

/// Each distinct action once, where it was first asked for, and as what is known best of it.
fn distinct(subactions: &[Subaction]) -> Vec<&Subaction> {
    let mut places: HashMap<ActionDigest, usize> = HashMap::new();
    let mut distinct: Vec<&Subaction> = Vec::new();
    for subaction in subactions {
        match places.entry(subaction.action) {
            // A repetition may know more: how long it took, or that it went well after all.
            Entry::Occupied(place) => {
                let known = &mut distinct[*place.get()];
                if better(subaction, known) {
                    *known = subaction;
                }
            }
            Entry::Vacant(place) => {
                place.insert(distinct.len());
                distinct.push(subaction);
            }
        }
    }
    distinct
}

fn read_recorded<'a>(
    build: &'a Generation,
    store: &dyn Storage,
    problems: &mut Vec<String>,
) -> Vec<Recorded<'a>> {
    let distinct = distinct(&build.subactions).into_iter();
    let recorded = distinct.map(|subaction| Recorded {
        digest: subaction.action,
        subaction,
        spec: None,
    });
    let mut recorded: Vec<Recorded<'a>> = recorded.collect();
    for some in recorded.chunks_mut(READ_TOGETHER) {
        let digests: Vec<_> = some.iter().map(|one| one.digest).collect();
        for (one, spec) in some.iter_mut().zip(read_exactly(&digests, store)) {
            let problem = |error: SpeculationError| problems.push(error.to_string());
            one.spec = spec.map_err(problem).ok();
        }
    }
    recorded
}

fn better(new: &Subaction, old: &Subaction) -> bool {
    let worth = |one: &Subaction| (one.result.message().exit_code == 0, one.duration);
    worth(new) > worth(old)
}

/// Reads actions with their commands, except those that have fields that adapting them would lose.
fn read_exactly(
    digests: &[ActionDigest],
    store: &dyn Storage,
) -> Vec<Result<ActionSpec, SpeculationError>> {
    let blobs: Vec<BlobDigest> = digests.iter().map(|digest| digest.blob()).collect();
    let read = store.blobs().read_all(&blobs);
    let actions = digests.iter().zip(read);
    let actions = actions.map(|(digest, bytes)| exactly(*digest, bytes?));
    let actions: Vec<Result<_, SpeculationError>> = actions.collect();
    let commands = actions.iter().flatten().map(|(_, command)| command.blob());
    let commands: Vec<BlobDigest> = commands.collect();
    let mut read = store.blobs().read_all(&commands).into_iter();
    let put_together = |(digest, action): (&ActionDigest, Result<_, SpeculationError>)| {
        let (action, command): (reapi::Action, CommandDigest) = action?;
        let missing = || Err(StoreError::Missing(command.blob()));
        let bytes = read.next().unwrap_or_else(missing)?;
        let command = decode_message(command, bytes, "a Command")?;
        Ok(ActionSpec::of(*digest, action, command)?)
    };
    digests.iter().zip(actions).map(put_together).collect()
}

/// An Action, and where its command is.
fn exactly(
    digest: ActionDigest,
    bytes: Bytes,
) -> Result<(reapi::Action, CommandDigest), SpeculationError> {
    let action: reapi::Action = decode_message(digest, bytes, "an Action")?;
    if ActionDigest::of(&headstart_reapi::Message::encode_to_vec(&action)) != digest {
        let reason = format!("the action {digest} has fields that are not known");
        return Err(SpeculationError::Message(reason));
    }
    let command = ActionSpec::command(digest, &action)?;
    Ok((action, command))
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
