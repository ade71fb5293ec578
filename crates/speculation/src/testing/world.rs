//! A project whose compiler is a hash: what it makes depends on all it is given, and on nothing
//! else. Builds of it are as exact as real ones, and take no time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use headstart_execution::{ActionSpec, Answered, Subaction};
use headstart_merkle::{
    ActionDigest, BlobDigest, DirectoryDigest, FileNode, Node, Tree, TreePath, Visit, walk,
};
use headstart_reapi::reapi;
use headstart_store::{BlobStore, StoredResult};

use super::{Fixture, path};
use crate::{Dependency, ElementId, Generation, Mode, SpeculativeActions, Staged, generate};

/// An element's description.
#[derive(Debug, Clone, Default)]
pub struct ElementSpec {
    /// Path and content; `+` in front of the content makes it executable.
    pub sources: BTreeMap<String, String>,
    /// Places of elements that it builds upon.
    pub needs: Vec<usize>,
    /// Its artifact is all that it builds upon, and nothing else.
    pub compose: bool,
    pub steps: Vec<Step>,
    /// From a path in its own directory to a path in the artifact.
    pub install: BTreeMap<String, String>,
    /// Appended to what is installed as it is installed, but for what steps made.
    pub stamp: String,
    /// Whose directory in the sandbox it is built in, by place, if not its own: what two elements do
    /// to equal files in the same directory is the same.
    pub home: Option<usize>,
}

/// One call of the compiler.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// What it can't do without, and names as an argument: paths in the element's own directory.
    pub main: Vec<String>,
    /// What it is given if it is there: paths in the element's own directory.
    pub own: Vec<String>,
    /// What it is given if it is there: paths in the sandbox.
    pub system: Vec<String>,
    /// What it makes, in the element's own directory.
    pub output: String,
    /// Whether it makes a static library, in the sandbox itself: it is nobody's subaction.
    pub local: bool,
    /// Whether it only tries something out: for one half of all inputs its command fails.
    pub probe: bool,
    /// How long its command runs, in milliseconds; [`COST`] if zero.
    pub millis: u32,
}

/// How long most commands run, in milliseconds.
pub const COST: u32 = 100;
const PROBE: &str = "-probe";
const COST_OPTION: &str = "-cost=";

/// A built element.
#[derive(Clone)]
pub struct Built {
    /// Its sources.
    pub sources: DirectoryDigest,
    /// What it installed.
    pub artifact: DirectoryDigest,
    /// What it asked for, in order.
    pub subactions: Vec<Subaction>,
    /// The action of each step; `None` if it could not be taken, or is local.
    pub steps: Vec<Option<ActionDigest>>,
    /// What is stored of that.
    pub message: Arc<SpeculativeActions>,
}

/// The name of the element at a place of the project.
pub fn id(place: usize) -> ElementId {
    ElementId::new("p", &format!("e{place}.bst"))
}

fn at(place: usize) -> String {
    format!("buildstream/p/e{place}.bst")
}

/// All that is in a sandbox: path and node.
pub type Files = BTreeMap<TreePath, Node>;

impl Fixture {
    fn file(&self, text: &str) -> Node {
        let (content, executable) = match text.strip_prefix('+') {
            Some(content) => (content, true),
            None => (text, false),
        };
        Node::File(FileNode::new(self.write(content.to_owned()), executable))
    }

    fn tree_of(&self, files: &Files) -> DirectoryDigest {
        let mut tree = Tree::empty();
        for (at, node) in files {
            tree.insert(at, node.clone(), &self.store).unwrap();
        }
        tree.write(&self.store).unwrap()
    }

    /// All files and links of a tree.
    pub fn files_of(&self, root: DirectoryDigest) -> Files {
        let mut files = Files::new();
        walk(&self.store, root, &mut |path, node| {
            if !matches!(node, Node::Directory(_)) {
                files.insert(path.clone(), node.clone());
            }
            Visit::Enter
        })
        .unwrap();
        files
    }

    /// Runs an action: every output is a hash of the command and of all inputs with their paths.
    pub fn run(&self, action: ActionDigest) -> reapi::ActionResult {
        let spec = ActionSpec::read(action, &**self.store.store()).unwrap();
        let mut text = format!("{:?}", spec.arguments);
        for (path, node) in self.files_of(spec.input_root) {
            text.push_str(&format!("{path} {node:?}\n"));
        }
        let mut result = reapi::ActionResult::default();
        if spec.arguments.iter().any(|argument| argument == PROBE) {
            let digest = BlobDigest::of(text.as_bytes()).hex();
            result.exit_code = digest.bytes().map(i32::from).sum::<i32>() % 2;
        }
        for output in spec.outputs.paths.iter().filter(|_| result.exit_code == 0) {
            let content = BlobDigest::of(format!("{text}{output}").as_bytes()).hex();
            result.output_files.push(reapi::OutputFile {
                path: output.clone(),
                digest: Some(self.write(content).into()),
                is_executable: !output.ends_with(".o"),
                ..Default::default()
            });
        }
        result
    }

    /// How long the command of an action runs.
    pub fn cost(&self, action: ActionDigest) -> Duration {
        let spec = ActionSpec::read(action, &**self.store.store()).unwrap();
        let mut said = spec.arguments.iter();
        let said = said.find_map(|argument| argument.strip_prefix(COST_OPTION)?.parse().ok());
        Duration::from_millis(said.unwrap_or_else(|| COST.into()))
    }

    /// Builds a whole project, each element upon those before it.
    pub fn build(&self, project: &[ElementSpec], mode: Mode) -> Vec<Built> {
        let mut built: Vec<Built> = Vec::new();
        for (place, element) in project.iter().enumerate() {
            let one = self.build_element(place, element, project, &built, mode);
            built.push(one);
        }
        built
    }

    fn build_element(
        &self,
        place: usize,
        element: &ElementSpec,
        project: &[ElementSpec],
        built: &[Built],
        mode: Mode,
    ) -> Built {
        let closure = closure(place, project);
        let mut staged = Files::new();
        for dependency in &closure {
            staged.extend(self.files_of(built[*dependency].artifact));
        }
        let sources: Files = element
            .sources
            .iter()
            .map(|(at, text)| (path(at), self.file(text)))
            .collect();
        let home = path(&at(element.home.unwrap_or(place)));
        let mut sandbox = staged.clone();
        sandbox.extend(
            sources
                .iter()
                .map(|(at, node)| (home.join(at), node.clone())),
        );
        let mut subactions = Vec::new();
        let mut steps = Vec::new();
        for (number, step) in element.steps.iter().enumerate() {
            let taken = match step.local {
                true => {
                    self.archive_step(&home, step, &mut sandbox);
                    None
                }
                false => self.step(&home, number, step, &mut sandbox),
            };
            steps.push(taken.as_ref().map(|taken| taken.action));
            subactions.extend(taken);
        }
        let artifact = if element.compose {
            staged
        } else {
            self.install(element, &home, &sandbox)
        };
        let mut one = Built {
            sources: self.tree_of(&sources),
            artifact: self.tree_of(&artifact),
            subactions,
            steps,
            message: Arc::new(SpeculativeActions::empty(id(place))),
        };
        let mut build = Generation::new(id(place), mode);
        build.subactions.clone_from(&one.subactions);
        build.sources = Some(Staged {
            tree: one.sources,
            at: home,
        });
        build.dependencies = closure
            .iter()
            .map(|dependency| Dependency {
                element: id(*dependency),
                tree: built[*dependency].artifact,
                at: TreePath::root(),
                actions: Some(Arc::clone(&built[*dependency].message)),
            })
            .collect();
        build.artifact = Some(one.artifact);
        let generated = generate(&build, &self.store).unwrap();
        assert_eq!(generated.problems, [""; 0]);
        one.message = Arc::new(SpeculativeActions::decode(&generated.message.encode()).unwrap());
        assert_eq!(*one.message, generated.message);
        one
    }

    /// Takes one step, unless something it can't do without is missing.
    fn step(
        &self,
        home: &TreePath,
        number: usize,
        step: &Step,
        sandbox: &mut Files,
    ) -> Option<Subaction> {
        let mut inputs = Files::new();
        for main in &step.main {
            let at = home.join(&path(main));
            inputs.insert(at.clone(), sandbox.get(&at)?.clone());
        }
        let own = step.own.iter().map(|own| home.join(&path(own)));
        for at in own.chain(step.system.iter().map(|system| path(system))) {
            if let Some(node) = sandbox.get(&at) {
                inputs.insert(at, node.clone());
            }
        }
        let mut arguments = format!("/usr/bin/cc -n{number} {}", step.main.join(" "));
        if step.probe {
            arguments.push_str(&format!(" {PROBE}"));
        }
        if step.millis > 0 {
            arguments.push_str(&format!(" {COST_OPTION}{}", step.millis));
        }
        let root = self.tree_of(&inputs);
        let action = self.action(root, &arguments, home.as_str(), &[&step.output]);
        let result = StoredResult::from(self.run(action));
        for output in &result.message().output_files {
            let file = FileNode::new(
                output.digest.as_ref().unwrap().try_into().unwrap(),
                output.is_executable,
            );
            sandbox.insert(home.join(&path(&output.path)), Node::File(file));
        }
        Some(Subaction {
            action,
            result,
            answered: Answered::Executed,
            duration: self.cost(action),
        })
    }

    fn archive_step(&self, home: &TreePath, step: &Step, sandbox: &mut Files) -> Option<()> {
        let mut members = Vec::new();
        for main in &step.main {
            let Node::File(file) = sandbox.get(&home.join(&path(main)))? else {
                return None;
            };
            members.push(self.store.store().read(file.digest).unwrap());
        }
        let digest = self.write(super::archive(&members));
        let file = FileNode::new(digest, false);
        sandbox.insert(home.join(&path(&step.output)), Node::File(file));
        Some(())
    }

    fn install(&self, element: &ElementSpec, home: &TreePath, sandbox: &Files) -> Files {
        let mut artifact = Files::new();
        let made: BTreeSet<&String> = element.steps.iter().map(|step| &step.output).collect();
        for (from, to) in &element.install {
            let Some(node) = sandbox.get(&home.join(&path(from))) else {
                continue;
            };
            let mut node = node.clone();
            if let Node::File(file) = &mut node
                && !element.stamp.is_empty()
                && !made.contains(from)
            {
                let content = self.store.store().read(file.digest).unwrap();
                let stamped = [&content[..], element.stamp.as_bytes()].concat();
                file.digest = self.write(stamped);
            }
            artifact.insert(path(to), node);
        }
        artifact
    }
}

/// What is staged for an element: all that it needs, and what that needs to run; composed elements
/// bring only themselves.
pub fn closure(place: usize, project: &[ElementSpec]) -> Vec<usize> {
    let mut found = BTreeSet::new();
    let mut pending = project[place].needs.clone();
    while let Some(next) = pending.pop() {
        if found.insert(next) && !project[next].compose {
            pending.extend(&project[next].needs);
        }
    }
    found.into_iter().collect()
}

/// The elements that have to be built again: those that differ, and those built upon them.
pub fn rebuilt(before: &[ElementSpec], after: &[ElementSpec]) -> Vec<bool> {
    let mut rebuilt = Vec::new();
    for (place, element) in after.iter().enumerate() {
        let old = &before[place];
        let same = old.sources == element.sources && old.stamp == element.stamp;
        let below = closure(place, after)
            .into_iter()
            .any(|needed| rebuilt[needed]);
        rebuilt.push(!same || below);
    }
    rebuilt
}

/// A project before and after a change, both built.
pub struct Change {
    /// Where all is stored.
    pub fixture: Fixture,
    /// As it was.
    pub before: Vec<Built>,
    /// As it is today.
    pub after: Vec<Built>,
    /// Which elements have to be built again.
    pub rebuilt: Vec<bool>,
}

impl Change {
    /// Builds both. What is stored of the first build is what `mode` stores.
    pub fn new(before: &[ElementSpec], after: &[ElementSpec], mode: Mode) -> Self {
        let fixture = Fixture::default();
        Self {
            before: fixture.build(before, mode),
            after: fixture.build(after, mode),
            rebuilt: rebuilt(before, after),
            fixture,
        }
    }
}
