//! Cache keys: what an element and its sources are, in 32 bytes.
//!
//! The texts that are hashed are BuildStream 2.8's, byte for byte: an element's key says the version
//! of the format (11), what its kind does, its public data, sources, sandbox and environment, and
//! the keys (or for the weak key mostly just the names) of what it is built with. See `element.py`
//! and `_cachekey.py` of BuildStream.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::element::{Element, ElementId, Public, Sandbox};
use crate::graph::{ElementGraph, Visited};
use crate::json::{Json, write_string};
use crate::project::ProjectId;
use crate::source::Source;

/// The version of BuildStream's keys and artifacts.
const ARTIFACT_VERSION: i64 = 11;

/// A cache key: a SHA-256 hash, shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// The key that 64 hexadecimal digits stand for.
    pub fn from_hex(hex: &str) -> Option<Self> {
        const_hex::decode_to_array(hex).ok().map(Self)
    }

    /// The 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        const_hex::encode(self.0)
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&const_hex::encode(&self.0[..4]))
    }
}

/// Something of the projects' files that keys depend on. Paths are relative to the top-level
/// project's directory, of whatever project the files are, if nothing else is said.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Content {
    /// A file or directory: the hash of the REAPI `Directory` with its content, names sorted, with
    /// executable bits, without other node properties; for a file that of one holding just it.
    Tree(Arc<str>),
    /// A file: the SHA-256 of its content.
    File(Arc<str>),
    /// An open workspace, by its absolute path: as [`Self::Tree`], with times of modification of
    /// files and of the directories below it.
    Workspace(Arc<str>),
}

/// The hashes of what keys depend on, each as 64 hexadecimal digits.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    hashes: HashMap<Content, Arc<str>>,
}

impl Contents {
    /// The hash of something, if it is known.
    pub fn get(&self, content: &Content) -> Option<&Arc<str>> {
        self.hashes.get(content)
    }

    /// Adds a hash.
    pub fn insert(&mut self, content: Content, hash: impl Into<Arc<str>>) {
        self.hashes.insert(content, hash.into());
    }
}

impl FromIterator<(Content, Arc<str>)> for Contents {
    fn from_iter<I: IntoIterator<Item = (Content, Arc<str>)>>(hashes: I) -> Self {
        Self {
            hashes: hashes.into_iter().collect(),
        }
    }
}

/// The keys of one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElementKeys {
    /// Changes with the element itself and the shape of what it is built with.
    pub weak: CacheKey,
    /// Changes with anything that it is built with. In strict builds the strong key is this.
    pub strict: CacheKey,
}

/// The keys of all elements of a graph, and of their sources.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    elements: Vec<Option<ElementKeys>>,
    sources: Vec<SourceKeys>,
    bases: Vec<Option<BaseText>>,
}

#[derive(Clone, Debug, Default)]
struct SourceKeys {
    each: Vec<Option<CacheKey>>,
    all: Option<CacheKey>,
}

impl Keys {
    /// Computes all keys. Elements with an unresolved source, or with content that is not in
    /// `contents`, have none, nor have those that are built with them.
    pub fn compute(graph: &ElementGraph, contents: &Contents) -> Self {
        Computation::new(graph, contents).run()
    }

    /// The keys of an element.
    pub fn get(&self, id: ElementId) -> Option<ElementKeys> {
        *self.elements.get(id.index())?
    }

    /// The key of one source of an element, under which it is cached alone.
    pub fn source(&self, id: ElementId, index: usize) -> Option<CacheKey> {
        *self.sources.get(id.index())?.each.get(index)?
    }

    /// The key of all sources of an element staged together.
    pub fn element_sources(&self, id: ElementId) -> Option<CacheKey> {
        self.sources.get(id.index())?.all
    }

    /// The strong key of an element in a build that is not strict: from the strong keys of what it
    /// is built with, which are only known when those are built or found.
    pub fn strong(
        &self,
        graph: &ElementGraph,
        id: ElementId,
        strong: impl Fn(ElementId) -> Option<CacheKey>,
    ) -> Option<CacheKey> {
        let base = self.bases.get(id.index())?.as_ref()?;
        let weak = self.get(id)?.weak;
        let mut dependencies = String::new();
        for dependency in graph.build_scope(id) {
            let name = name_text(&graph[dependency]);
            push_dependency(&mut dependencies, &name, Some(&strong(dependency)?));
        }
        Some(base.key(&dependencies, Some(&weak)))
    }
}

/// The text of an element's key, but for its dependencies and weak key, in three parts.
#[derive(Clone, Debug)]
struct BaseText {
    /// What is the element's own, before its public data.
    own: String,
    /// Its project's fatal warnings and its public data, which many elements share.
    public: Arc<str>,
    /// Sandbox and sources.
    rest: String,
}

impl BaseText {
    fn new(element: &Element, sources: &Json, public: Arc<str>) -> Self {
        let build_root = element.variables.get("build-root");
        let build_root = build_root.map_or(Json::Null, Json::from);
        let mut own = vec![
            ("element-base-key", Json::map([("build-root", build_root)])),
            ("element-plugin-key", element.config.unique_key()),
            ("element-plugin-name", element.kind.name().into()),
            (
                "element-plugin-version",
                Json::Int(element.kind.artifact_version()),
            ),
        ];
        let mut rest = Vec::new();
        if element.config.runs_commands() {
            own.push(("environment", environment(element)));
            rest.push(("sandbox", sandbox(&element.sandbox)));
        }
        rest.push(("sources", sources.clone()));
        Self {
            own: entries(own),
            public,
            rest: entries(rest),
        }
    }

    /// The key with these dependencies. The names of all entries are in order.
    fn key(&self, dependencies: &str, weak: Option<&CacheKey>) -> CacheKey {
        let mut hash = Sha256::new();
        hash.update(format!(
            "{{\"core-artifact-version\":{ARTIFACT_VERSION},\"dependencies\":["
        ));
        hash.update(dependencies);
        hash.update("]");
        for part in [&*self.own, &*self.public, &*self.rest] {
            hash.update(part);
        }
        if let Some(weak) = weak {
            hash.update(format!(",\"weak-cache-key\":\"{weak}\""));
        }
        hash.update("}");
        CacheKey(hash.finalize().into())
    }
}

/// Entries of a JSON object, each with a comma before it.
fn entries(entries: impl IntoIterator<Item = (&'static str, Json)>) -> String {
    let mut text = String::new();
    for (key, value) in entries {
        text.push(',');
        write_string(key, &mut text);
        text.push(':');
        value.write(&mut text);
    }
    text.shrink_to_fit();
    text
}

struct Computation<'a> {
    graph: &'a ElementGraph,
    contents: &'a Contents,
    /// `"project","name"` of each element.
    names: Vec<String>,
    /// What an element is for the strict keys of those that are built with it, if it has a key.
    strict: Vec<Option<String>>,
    /// The public parts of texts, by project and the address of the public data.
    publics: HashMap<(ProjectId, *const Public), Arc<str>>,
    visited: Visited,
    keys: Keys,
}

impl<'a> Computation<'a> {
    fn new(graph: &'a ElementGraph, contents: &'a Contents) -> Self {
        let names = graph.iter().map(|(_, element)| name_text(element));
        Self {
            graph,
            contents,
            names: names.collect(),
            strict: Vec::with_capacity(graph.len()),
            publics: HashMap::new(),
            visited: Visited::new(graph.len()),
            keys: Keys::default(),
        }
    }

    fn run(mut self) -> Keys {
        for (id, element) in self.graph.iter() {
            let (sources, keys) = self.sources(element);
            self.keys.sources.push(keys);
            let public = self.public(id, element);
            let base = sources.map(|sources| BaseText::new(element, &sources, public));
            let keys = base.as_ref().and_then(|base| self.element(element, base));
            self.keys.bases.push(base);
            self.strict.push(keys.map(|keys| {
                let mut text = String::new();
                push_dependency(&mut text, &self.names[id.index()], Some(&keys.strict));
                text
            }));
            self.keys.elements.push(keys);
        }
        self.keys
    }

    fn public(&mut self, id: ElementId, element: &Element) -> Arc<str> {
        let key = (element.project_id, Arc::as_ptr(&element.public));
        let text = self.publics.entry(key).or_insert_with(|| {
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
        let all = all.map(Json::List);
        let keys = SourceKeys {
            each,
            all: all.as_ref().map(|all| CacheKey::of(&all.to_text())),
        };
        (all, keys)
    }

    fn element(&mut self, element: &Element, base: &BaseText) -> Option<ElementKeys> {
        let mut scope = Vec::new();
        self.visited.clear();
        let roots = &element.build_dependencies;
        self.graph
            .walk(roots, &mut self.visited, &mut scope, |element, position| {
                element.runtime_dependencies.get(position).copied()
            });
        let (mut weak_text, mut strict_text) = (String::new(), String::new());
        for dependency in scope {
            let name = &self.names[dependency.index()];
            let strict = element.is_strict_about(dependency);
            let weak = match strict {
                true => Some(self.keys.get(dependency)?.weak),
                false => None,
            };
            push_dependency(&mut weak_text, name, weak.as_ref());
            if !strict_text.is_empty() {
                strict_text.push(',');
            }
            strict_text.push_str(self.strict[dependency.index()].as_ref()?);
        }
        let weak = base.key(&weak_text, None);
        let strict = base.key(&strict_text, Some(&weak));
        Some(ElementKeys { weak, strict })
    }
}

fn name_text(element: &Element) -> String {
    let mut text = String::new();
    write_string(&element.project, &mut text);
    text.push(',');
    write_string(&element.name, &mut text);
    text
}

fn push_dependency(text: &mut String, name: &str, key: Option<&CacheKey>) {
    if !text.is_empty() {
        text.push(',');
    }
    text.push('[');
    text.push_str(name);
    if let Some(key) = key {
        text.push_str(",\"");
        text.push_str(&key.hex());
        text.push('"');
    }
    text.push(']');
}

fn source_entry(source: &Source, key: Json) -> Json {
    let mut entry = vec![("key", key), ("name", source.kind.name().into())];
    if let Some(directory) = source
        .directory
        .as_ref()
        .filter(|directory| !directory.is_empty())
    {
        entry.push(("directory", directory.into()));
    }
    Json::map(entry)
}

fn environment(element: &Element) -> Json {
    let nocache = &element.environment_nocache;
    let entries = element.environment.iter();
    let cached = entries.filter(|(name, _)| !nocache.contains(*name));
    Json::map(cached.map(|(name, value)| (name.clone(), value.into())))
}

fn sandbox(sandbox: &Sandbox) -> Json {
    let mut entries = vec![
        ("build-arch", sandbox.build_arch.into()),
        ("build-os", (&sandbox.build_os).into()),
    ];
    entries.extend(sandbox.build_uid.map(|uid| ("build-uid", Json::Int(uid))));
    entries.extend(sandbox.build_gid.map(|gid| ("build-gid", Json::Int(gid))));
    if let Some(socket) = &sandbox.remote_apis_socket {
        let mut entry = vec![("path", Json::from(&socket.path))];
        if socket.action_cache_enable_update {
            entry.push(("action-cache-enable-update", true.into()));
        }
        entries.push(("remote-apis-socket", Json::map(entry)));
    }
    Json::map(entries)
}
