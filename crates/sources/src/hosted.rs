//! Sources whose kinds are other people's plugins: fetched, tracked and staged by whoever hosts those.
//!
//! What a plugin fetches lies where it does for BuildStream. It stages into a directory, which is then
//! taken into the store; or it makes the tree itself.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use headstart_merkle::{BlobDigest, Digest, DirectoryDigest};
use headstart_plugins::{Answers, Hosts, reference, unknown};
use headstart_project::{HostedSource, PluginError, Source};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::capture::{Capture, keep};
use crate::error::SourceError;
use crate::tracking::NewRef;
use crate::{Store, capture_directory, write_out};

/// What hosts of plugins ask of the store.
pub struct StoreAnswers<'a> {
    store: &'a Store,
}

impl<'a> StoreAnswers<'a> {
    /// Answers from `store`.
    pub fn new(store: &'a Store) -> Self {
        Self { store }
    }
}

impl Answers for StoreAnswers<'_> {
    fn answer(&mut self, what: &str, asked: &Value) -> Result<Value, String> {
        let text = |key: &str| {
            let value = asked.get(key).and_then(Value::as_str);
            value.ok_or_else(|| format!("'{what}' needs '{key}'"))
        };
        let path = || text("path").map(Path::new);
        let digest = match what {
            "keep" => {
                let content = BASE64_STANDARD.decode(text("content")?);
                let content = content.map_err(|error| error.to_string())?;
                let kept = self.store.store().write(Bytes::from(content));
                kept.map_err(|error| error.to_string())?.to_string()
            }
            "keep-file" => self
                .keep_file(path()?)
                .map_err(|error| error.to_string())?
                .to_string(),
            "keep-directory" => {
                let capture = Capture::all(self.store);
                let capture = match asked.get("times").and_then(Value::as_bool) {
                    Some(true) => capture.with_times(),
                    _ => capture,
                };
                let kept = capture.root(path()?);
                kept.map_err(|error| error.to_string())?.to_string()
            }
            "write-out" => {
                let tree = tree(text("tree")?)?;
                let written = write_out(tree, path()?, self.store);
                written.map_err(|error| error.to_string())?;
                return Ok(Value::Null);
            }
            _ => return Err(unknown(what)),
        };
        Ok(json!(digest))
    }
}

impl StoreAnswers<'_> {
    fn keep_file(&self, path: &Path) -> Result<BlobDigest, SourceError> {
        let failed = |error| SourceError::io(path, error);
        let mut file = std::fs::File::open(path).map_err(failed)?;
        keep(&mut file, &**self.store.store(), None, failed)
    }
}

/// A tree that a host names.
fn tree(text: &str) -> Result<DirectoryDigest, String> {
    digest_of_host(text)
}

/// Any digest that a host names, as `hash/size`.
pub fn digest_of_host<K>(text: &str) -> Result<Digest<K>, String> {
    let parts = text.split_once('/');
    let parts = parts.and_then(|(hash, size)| Some((hash, size.parse().ok()?)));
    let (hash, size) = parts.ok_or_else(|| format!("{text:?} is no digest"))?;
    Digest::from_hex(hash, size).map_err(|error| format!("{text:?} is no digest: {error}"))
}

/// One source, with all that it takes to work on it.
pub(crate) struct Hosting<'a> {
    pub(crate) hosts: &'a Hosts,
    pub(crate) store: &'a Store,
    pub(crate) source: &'a Source,
    pub(crate) hosted: &'a HostedSource,
}

impl Hosting<'_> {
    /// Makes a request of the source's plugin.
    fn request(&self, what: &str, more: Value) -> Result<Value, SourceError> {
        let directory = self.source.directory.as_deref();
        let describe = self.hosts.describe();
        let mut request = json!({
            "do": what,
            "source": describe.source(self.hosted, directory, false),
        });
        if let (Some(request), Value::Object(more)) = (request.as_object_mut(), more) {
            request.extend(more);
        }
        let hosts = self.hosts.available().map_err(|error| self.failed(error))?;
        let done = hosts.request(&request, &mut StoreAnswers::new(self.store));
        done.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: PluginError) -> SourceError {
        SourceError::Plugin {
            kind: self.hosted.class.plugin.kind.to_string(),
            origin: self.hosted.class.plugin.origin.to_string(),
            error: Box::new(error),
        }
    }

    /// A folder with a tree, or an empty one.
    fn folder(&self, tree: Option<DirectoryDigest>) -> Result<TempDir, SourceError> {
        let place = &self.hosts.settings().temporary;
        let made = tempfile::Builder::new()
            .prefix("headstart-source-")
            .tempdir_in(place);
        let folder = made.map_err(|error| SourceError::io(place, error))?;
        if let Some(tree) = tree {
            write_out(tree, folder.path(), self.store)?;
        }
        Ok(folder)
    }

    /// The sources before this one, for a plugin that wants to see them.
    fn previous(
        &self,
        wanted: bool,
        before: Option<DirectoryDigest>,
    ) -> Result<Option<TempDir>, SourceError> {
        match wanted {
            true => Ok(Some(self.folder(before)?)),
            false => Ok(None),
        }
    }

    /// Fetches what is needed. `before` is the tree of the sources before this one, below the
    /// directory of this one.
    pub(crate) fn fetch(&self, before: Option<DirectoryDigest>) -> Result<(), SourceError> {
        let previous = self.previous(self.hosted.class.previous_to_fetch, before)?;
        let previous = previous.as_ref().map(TempDir::path);
        self.request("fetch", json!({ "previous": previous }))?;
        Ok(())
    }

    /// The tree of the source, alone or on what is `before`.
    pub(crate) fn stage(
        &self,
        before: Option<DirectoryDigest>,
    ) -> Result<DirectoryDigest, SourceError> {
        let folder = self.folder(before)?;
        let before = before.map(|before| before.to_string());
        let more = json!({ "directory": folder.path(), "before": before });
        match self.request("stage", more)?.as_str() {
            Some(made) => tree(made).map_err(|error| self.failed(PluginError::new(error))),
            None => capture_directory(folder.path(), self.store),
        }
    }

    /// The newest reference, if the source is one that has any. `previous` is as in [`Self::fetch`].
    pub(crate) fn track(
        &self,
        previous: Option<DirectoryDigest>,
    ) -> Result<Option<NewRef>, SourceError> {
        let previous = self.previous(self.hosted.class.previous_to_track, previous)?;
        let previous = previous.as_ref().map(TempDir::path);
        let written = self.request("track", json!({ "previous": previous }))?;
        Ok((!written.is_null()).then(|| NewRef::written(&reference(&written))))
    }
}
