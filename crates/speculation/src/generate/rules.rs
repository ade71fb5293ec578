//! Collects elements, actions and rules, each once, and carries those of dependencies over.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use headstart_merkle::{ActionDigest, BlobDigest, DirectoryDigest, Name, TreePath};

use super::Generation;
use super::view::{Found, Of};
use crate::message::{Owned, SELF, SpeculativeActions, Trees};
use crate::mode::Mode;
use crate::origin::ElementId;
use crate::table::{Candidate, Kind, Rule, RuleId};

pub(crate) struct Rules<'a> {
    build: &'a Generation,
    elements: Vec<ElementId>,
    element_places: HashMap<ElementId, u32>,
    base_actions: u32,
    others: Vec<ActionDigest>,
    other_places: HashMap<ActionDigest, u32>,
    rules: Vec<Rule>,
    places: HashMap<Rule, RuleId>,
    /// Rules carried over, by dependency, its own rule and the directory the file was in there.
    carried: HashMap<(usize, Option<RuleId>, TreePath), Arc<Vec<Candidate>>>,
}

impl<'a> Rules<'a> {
    pub(crate) fn new(build: &'a Generation, base_actions: usize) -> Self {
        let mut rules = Self {
            build,
            elements: Vec::new(),
            element_places: HashMap::new(),
            base_actions: base_actions as u32,
            others: Vec::new(),
            other_places: HashMap::new(),
            rules: Vec::new(),
            places: HashMap::new(),
            carried: HashMap::new(),
        };
        rules.element(&build.element);
        rules
    }

    pub(crate) fn mode(&self) -> Mode {
        self.build.mode
    }

    pub(crate) fn finish(self) -> (Vec<ElementId>, Vec<Rule>, Vec<ActionDigest>) {
        (self.elements, self.rules, self.others)
    }

    /// The trees that the rules' candidates are in, as they were. Those that dependencies tell of
    /// differently are left out.
    pub(crate) fn trees(&self) -> Trees {
        let build = self.build;
        let mut all: BTreeMap<(u32, Owned), Option<DirectoryDigest>> = BTreeMap::new();
        let mut add = |key, tree| {
            let known = all.entry(key).or_insert(Some(tree));
            if *known != Some(tree) {
                *known = None;
            }
        };
        if let Some(sources) = &build.sources {
            add((SELF, Owned::Sources), sources.tree);
        }
        if let Some(root) = build.root {
            add((SELF, Owned::Root), root);
        }
        for dependency in &build.dependencies {
            if let Some(place) = self.element_places.get(&dependency.element) {
                add((*place, Owned::Artifact), dependency.tree);
            }
            let Some(message) = &dependency.actions else {
                continue;
            };
            for ((element, owned), tree) in &message.trees {
                let element = &message.elements[*element as usize];
                if *owned != Owned::Root
                    && let Some(place) = self.element_places.get(element)
                {
                    add((*place, *owned), *tree);
                }
            }
        }
        let agreed = all.into_iter();
        agreed
            .filter_map(|(key, tree)| Some((key, tree?)))
            .collect()
    }

    pub(crate) fn get(&self, id: RuleId) -> &Rule {
        &self.rules[id as usize]
    }

    /// The number of a rule with these candidates; `None` without any.
    pub(crate) fn intern(&mut self, candidates: Vec<Candidate>) -> Option<RuleId> {
        if candidates.is_empty() {
            return None;
        }
        let rule = Rule(candidates);
        if let Some(id) = self.places.get(&rule) {
            return Some(*id);
        }
        let id = self.rules.len() as RuleId;
        self.rules.push(rule.clone());
        self.places.insert(rule, id);
        Some(id)
    }

    /// What a file called `name` has as candidates for having been found there.
    pub(crate) fn candidates(
        &mut self,
        found: &Found,
        content: BlobDigest,
        name: &Name,
    ) -> Vec<Candidate> {
        let here = |kind| {
            vec![Candidate {
                kind,
                element: SELF,
                directory: TreePath::clone(&found.directory),
                name: (found.name != *name).then(|| found.name.clone()),
            }]
        };
        match found.of {
            Of::Sources => here(Kind::Source),
            Of::Root => here(Kind::Root),
            Of::Dependency(place) => {
                let carried = self.carry(place, found, content);
                let renamed = (found.name != *name).then(|| found.name.clone());
                let mut candidates = carried.as_ref().clone();
                if renamed.is_some() {
                    for candidate in &mut candidates {
                        candidate.name = candidate.name.take().or_else(|| renamed.clone());
                    }
                }
                candidates
            }
        }
    }

    /// What is stored of a file by the dependency that staged it.
    pub(crate) fn stored(&self, found: &Found, content: BlobDigest) -> Option<RuleId> {
        let Of::Dependency(place) = found.of else {
            return None;
        };
        let message = self.build.dependencies[place].actions.as_deref()?;
        message.artifact_rule(&found.directory, &found.name, content)
    }

    /// The origins that a dependency itself knows of its file, and then the artifact.
    fn carry(&mut self, place: usize, found: &Found, content: BlobDigest) -> Arc<Vec<Candidate>> {
        let build = self.build;
        let dependency = &build.dependencies[place];
        let message = dependency.actions.as_deref();
        let rule = self.stored(found, content);
        let key = (place, rule, TreePath::clone(&found.directory));
        if let Some(known) = self.carried.get(&key) {
            return Arc::clone(known);
        }
        let mut candidates = Vec::new();
        if let (Some(message), Some(rule)) = (message, rule) {
            for candidate in &message.rule(rule).0 {
                candidates.extend(self.translate(candidate, message));
            }
        }
        candidates.push(Candidate {
            kind: Kind::Artifact,
            element: self.element(&dependency.element),
            directory: TreePath::clone(&found.directory),
            name: None,
        });
        // Best kind first; among equals the one nearest to where the file was written.
        candidates.sort_by_key(|candidate| match candidate.kind {
            Kind::Source => 0,
            Kind::Action(_) => 1,
            Kind::Artifact => 2,
            Kind::Root => 3,
        });
        let candidates = Arc::new(candidates);
        self.carried.insert(key, Arc::clone(&candidates));
        candidates
    }

    /// A candidate in a dependency's message, as one in ours.
    fn translate(
        &mut self,
        candidate: &Candidate,
        message: &SpeculativeActions,
    ) -> Option<Candidate> {
        let kind = match candidate.kind {
            Kind::Action(_) if self.mode() < Mode::Full => return None,
            Kind::Action(place) => Kind::Action(self.other(message.action_at(place))),
            Kind::Root => return None,
            kind => kind,
        };
        Some(Candidate {
            kind,
            element: self.element(&message.elements[candidate.element as usize]),
            directory: candidate.directory.clone(),
            name: candidate.name.clone(),
        })
    }

    /// The place of an element in the list.
    pub(crate) fn element(&mut self, element: &ElementId) -> u32 {
        if let Some(place) = self.element_places.get(element) {
            return *place;
        }
        let place = self.elements.len() as u32;
        self.elements.push(element.clone());
        self.element_places.insert(element.clone(), place);
        place
    }

    /// The place of an action of another element.
    pub(crate) fn other(&mut self, action: ActionDigest) -> u32 {
        let next = self.base_actions + self.others.len() as u32;
        let place = *self.other_places.entry(action).or_insert(next);
        if place == next {
            self.others.push(action);
        }
        place
    }
}
