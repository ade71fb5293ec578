//! All keys of a graph, computed by several threads.
//!
//! Elements are taken in the order of the graph, in which dependencies come first. A thread that
//! needs the key of an element that another one is still at waits for it. It never waits for ever:
//! of all elements that are not done, the first waits for nothing.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use super::{
    BaseText, CacheKey, Contents, Dependencies, ElementKeys, Keys, SourceKeys, entries, name_text,
    source_entry,
};
use crate::ahead;
use crate::element::{Element, ElementId, Public};
use crate::graph::{ElementGraph, Visited};
use crate::json::Json;
use crate::project::ProjectId;

/// Elements that a thread takes at a time.
const BLOCK: usize = 8;

/// Elements that are worth a further thread.
const WORTHWHILE: usize = 128;

pub(super) fn run(graph: &ElementGraph, contents: &Contents) -> Keys {
    let computation = Computation::new(graph, contents);
    thread::scope(|scope| {
        for _ in 0..ahead::spare_processors().min(graph.len() / WORTHWHILE) {
            scope.spawn(|| computation.work());
        }
        computation.work();
    });
    let mut keys = Keys::default();
    for slot in computation.slots {
        let computed = slot.into_inner().unwrap_or_default();
        keys.elements.push(computed.keys);
        keys.sources.push(computed.sources);
        keys.bases.push(computed.base);
    }
    keys
}

/// What becomes known of an element.
#[derive(Default)]
struct Computed {
    sources: SourceKeys,
    base: Option<BaseText>,
    keys: Option<ElementKeys>,
    /// The strict key's digits, which all that is built with the element hashes.
    strict: String,
}

struct Computation<'a> {
    graph: &'a ElementGraph,
    contents: &'a Contents,
    /// The first element that no thread has taken.
    next: AtomicUsize,
    /// `"project","name"` of each element.
    names: Vec<String>,
    slots: Vec<OnceLock<Computed>>,
}

/// What each thread has of its own.
struct Scratch {
    visited: Visited,
    scope: Vec<ElementId>,
    /// The public parts of texts, by project and the address of the public data.
    publics: HashMap<(ProjectId, *const Public), Arc<str>>,
}

/// Elements that a thread has taken. If it panics, nobody waits for them for ever.
struct Taken<'a> {
    slots: &'a [OnceLock<Computed>],
    range: Range<usize>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        for slot in &self.slots[self.range.clone()] {
            slot.get_or_init(Computed::default);
        }
    }
}

impl<'a> Computation<'a> {
    fn new(graph: &'a ElementGraph, contents: &'a Contents) -> Self {
        Self {
            graph,
            contents,
            next: AtomicUsize::new(0),
            names: graph
                .iter()
                .map(|(_, element)| name_text(element))
                .collect(),
            slots: graph.iter().map(|_| OnceLock::new()).collect(),
        }
    }

    fn work(&self) {
        let mut scratch = Scratch {
            visited: Visited::new(self.graph.len()),
            scope: Vec::new(),
            publics: HashMap::new(),
        };
        loop {
            let first = self.next.fetch_add(BLOCK, Ordering::Relaxed);
            let end = self.graph.len().min(first.saturating_add(BLOCK));
            if first >= end {
                return;
            }
            let taken = Taken {
                slots: &self.slots,
                range: first..end,
            };
            for index in taken.range.clone() {
                let computed = self.compute(ElementId::from_index(index), &mut scratch);
                // Each is taken once.
                let _ = self.slots[index].set(computed);
            }
        }
    }

    fn compute(&self, id: ElementId, scratch: &mut Scratch) -> Computed {
        let element = &self.graph[id];
        let (described, sources) = self.sources(element);
        let base = described.map(|described| {
            let public = self.public(id, element, &mut scratch.publics);
            BaseText::new(element, described, public)
        });
        let keys = base
            .as_ref()
            .and_then(|base| self.keys(element, base, scratch));
        Computed {
            sources,
            base,
            keys,
            strict: keys.map(|keys| keys.strict.hex()).unwrap_or_default(),
        }
    }

    fn public(
        &self,
        id: ElementId,
        element: &Element,
        publics: &mut HashMap<(ProjectId, *const Public), Arc<str>>,
    ) -> Arc<str> {
        let key = (element.project_id, Arc::as_ptr(&element.public));
        let text = publics.entry(key).or_insert_with(|| {
            let project = self.graph.project(id);
            let warnings = project.map_or(&[][..], |project| project.fatal_warnings());
            let mut warnings = warnings.to_vec();
            warnings.sort();
            let text = entries([
                ("fatal-warnings", Json::strings(warnings)),
                ("public", (&element.public.data).into()),
            ]);
            text.into()
        });
        text.clone()
    }

    /// What an element's sources put into its key, and their own keys.
    fn sources(&self, element: &Element) -> (Option<Json>, SourceKeys) {
        let unique: Vec<Option<Json>> = element
            .sources
            .iter()
            .map(|source| source.unique_key(self.contents))
            .collect();
        let each = unique
            .iter()
            .map(|key| Some(CacheKey::of(&key.as_ref()?.to_text())))
            .collect();
        let all: Option<Vec<Json>> = element
            .sources
            .iter()
            .zip(unique)
            .map(|(source, key)| Some(source_entry(source, key?)))
            .collect();
        let all = all.map(|all| Json::List(all).to_text());
        let keys = SourceKeys {
            each,
            all: all.as_ref().map(|all| CacheKey::of(all)),
        };
        (all.map(|all| Json::Written(all.into())), keys)
    }

    fn keys(
        &self,
        element: &Element,
        base: &BaseText,
        scratch: &mut Scratch,
    ) -> Option<ElementKeys> {
        let Scratch { visited, scope, .. } = scratch;
        visited.clear();
        scope.clear();
        let roots = &element.build_dependencies;
        self.graph.walk(roots, visited, scope, |element, position| {
            element.runtime_dependencies.get(position).copied()
        });
        let (mut weak, mut strict) = (Dependencies::new(), Dependencies::new());
        for &dependency in &*scope {
            let name = &self.names[dependency.index()];
            let computed = self.slots[dependency.index()].wait();
            let keys = computed.keys?;
            let must_be_same = element.is_strict_about(dependency);
            weak.push(name, must_be_same.then(|| keys.weak.hex()).as_deref());
            strict.push(name, Some(&computed.strict));
        }
        let weak = base.key(weak, None);
        let strict = base.key(strict, Some(&weak));
        Some(ElementKeys { weak, strict })
    }
}
