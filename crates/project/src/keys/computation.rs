//! All keys of a graph, computed by several threads.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use super::{
    BaseText, CacheKey, Contents, Dependencies, ElementKeys, Entry, Keys, SourceKeys, entries,
    source_entry,
};
use crate::element::{Element, ElementId, Public};
use crate::graph::ElementGraph;
use crate::in_order::{Earlier, try_map};
use crate::json::Json;
use crate::project::ProjectId;
use crate::scope::Scope;

pub(super) fn run(graph: &ElementGraph, contents: &Contents) -> Keys {
    let computation = Computation { graph, contents };
    let scratch = || Scratch {
        scope: Scope::new(graph.len()),
        weak: Dependencies::new(),
        strict: Dependencies::new(),
        publics: HashMap::new(),
    };
    let (computed, Ok(())) = try_map(
        graph.iter(),
        scratch,
        |_, (id, element), scratch, earlier| {
            Ok::<_, Infallible>(computation.compute(id, element, scratch, earlier))
        },
    );
    let mut keys = Keys::default();
    for computed in computed {
        keys.elements.push(computed.keys);
        keys.sources.push(computed.sources);
        keys.bases.push(computed.base);
    }
    keys
}

/// What becomes known of an element.
struct Computed {
    sources: SourceKeys,
    base: Option<BaseText>,
    keys: Option<ElementKeys>,
    /// The element with its strict key.
    entry: Option<Entry>,
}

struct Computation<'a> {
    graph: &'a ElementGraph,
    contents: &'a Contents,
}

/// What each thread has of its own.
struct Scratch {
    scope: Scope<ElementId>,
    weak: Dependencies,
    strict: Dependencies,
    /// The public parts of texts, by project and the address of the public data.
    publics: HashMap<(ProjectId, *const Public), Arc<str>>,
}

impl Computation<'_> {
    fn compute(
        &self,
        id: ElementId,
        element: &Element,
        scratch: &mut Scratch,
        earlier: &Earlier<'_, Computed>,
    ) -> Computed {
        let (described, sources) = self.sources(element);
        let base = described.map(|described| {
            let public = self.public(id, element, &mut scratch.publics);
            BaseText::new(element, described, public)
        });
        let keys = base
            .as_ref()
            .and_then(|base| self.keys(element, base, scratch, earlier));
        Computed {
            sources,
            base,
            keys,
            entry: keys.map(|keys| Entry::new(element, &keys.strict)),
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
                ("fatal-warnings", Json::strings(&warnings)),
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
        earlier: &Earlier<'_, Computed>,
    ) -> Option<ElementKeys> {
        let Scratch {
            scope,
            weak,
            strict,
            ..
        } = scratch;
        weak.clear();
        strict.clear();
        self.graph
            .fill_run_scope(&element.build_dependencies, scope);
        for &dependency in scope.ids() {
            let Computed { keys, entry, .. } = earlier.get(dependency.index())?;
            let (keys, entry) = (keys.as_ref()?, entry.as_ref()?);
            let must_be_same = element.is_strict_about(dependency);
            weak.push_with(entry, must_be_same.then_some(&keys.weak));
            strict.push(entry);
        }
        let weak = base.key(weak, None);
        let strict = base.key(strict, Some(&weak));
        Some(ElementKeys { weak, strict })
    }
}
