//! Cache keys: what an element and its sources are, in 32 bytes.
//!
//! The texts that are hashed are BuildStream 2.8's, byte for byte: an element's key says the version
//! of the format (11), what its kind does, its public data, sources, sandbox and environment, and
//! the keys (or for the weak key mostly just the names) of what it is built with. See `element.py`
//! and `_cachekey.py` of BuildStream.

mod computation;

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::element::{Element, ElementId, Sandbox};
use crate::graph::ElementGraph;
use crate::json::{Json, write_string};
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
        computation::run(graph, contents)
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
        let mut dependencies = Dependencies::new();
        for dependency in graph.build_scope(id) {
            dependencies.push(&Entry::new(&graph[dependency], &strong(dependency)?));
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
    fn new(element: &Element, sources: Json, public: Arc<str>) -> Self {
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
        rest.push(("sources", sources));
        Self {
            own: entries(own),
            public,
            rest: entries(rest),
        }
    }

    /// The key with these dependencies. The names of all entries are in order.
    fn key(&self, dependencies: &Dependencies, weak: Option<&CacheKey>) -> CacheKey {
        let mut hash = Sha256::new();
        let dependencies = dependencies.text.trim_end_matches(',');
        for part in [dependencies, "]", &self.own, &self.public, &self.rest] {
            hash.update(part);
        }
        if let Some(weak) = weak {
            hash.update(",\"weak-cache-key\":\"");
            hash.update(weak.hex());
            hash.update("\"");
        }
        hash.update("}");
        CacheKey(hash.finalize().into())
    }
}

/// The beginning of a key's text: what an element is built with. It is the longest part by far, so it is kept
/// in one piece, which can be used again.
struct Dependencies {
    text: String,
}

impl Dependencies {
    fn new() -> Self {
        let mut dependencies = Self {
            text: String::new(),
        };
        dependencies.clear();
        dependencies
    }

    fn clear(&mut self) {
        self.text.clear();
        // What is written to a string arrives there.
        let _ = write!(
            self.text,
            "{{\"core-artifact-version\":{ARTIFACT_VERSION},\"dependencies\":["
        );
    }

    /// Adds an element with its key.
    fn push(&mut self, entry: &Entry) {
        self.text.push_str(&entry.text);
    }

    /// Adds an element with another key than it has in its entry, or with none.
    fn push_with(&mut self, entry: &Entry, key: Option<&CacheKey>) {
        self.text.push_str(&entry.text[..entry.name_len]);
        end_entry(key, &mut self.text);
    }
}

/// Writes what comes after an element's name.
fn end_entry(key: Option<&CacheKey>, text: &mut String) {
    if let Some(key) = key {
        text.push_str(",\"");
        text.push_str(&key.hex());
        text.push('"');
    }
    text.push_str("],");
}

/// An element as the keys of those have it that are built with it.
struct Entry {
    /// `["project","name","key"],`
    text: String,
    /// The length of what is before the key, without the comma.
    name_len: usize,
}

impl Entry {
    fn new(element: &Element, key: &CacheKey) -> Self {
        let mut text = String::with_capacity(element.project.len() + element.name.len() + 80);
        text.push('[');
        write_string(&element.project, &mut text);
        text.push(',');
        write_string(&element.name, &mut text);
        let name_len = text.len();
        end_entry(Some(key), &mut text);
        Self { text, name_len }
    }
}

/// Entries of a JSON object, each with a comma before it.
fn entries(entries: impl IntoIterator<Item = (&'static str, Json)>) -> String {
    // Most are not longer, and those that are grow as texts do.
    let mut text = String::with_capacity(2048);
    for (key, value) in entries {
        text.push(',');
        write_string(key, &mut text);
        text.push(':');
        value.write(&mut text);
    }
    text.shrink_to_fit();
    text
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
