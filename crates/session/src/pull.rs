//! Artifacts and sources from servers.
//!
//! Names and messages are those of BuildStream 2.8 (`_artifactcache.py`, `_elementsourcescache.py`):
//! Remote Asset knows which message a name stands for, and storage has it with all it refers to. What
//! has come is only then referred to here when all of it is here.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use headstart_artifacts::{Ancestor, Artifact, ArtifactName, Cached};
use headstart_merkle::{BlobDigest, Digest, DirectoryDigest};
use headstart_project::{Element, ElementId, Keys};
use headstart_reapi::{Message, buildstream};
use headstart_remote::{Part, Remote, RemoteError};
use headstart_store::BlobStore;

use crate::error::SessionError;
use crate::remotes::{Group, Purpose};
use crate::session::{Loaded, Session, artifact_name};

/// The name that an artifact has among names of all kinds.
pub(crate) fn artifact_uri(name: &ArtifactName, key: &str) -> String {
    let ArtifactName { project, element } = name;
    format!("urn:fdc:buildstream.build:2020:artifact:{project}/{element}/{key}")
}

/// The same for all sources of an element, staged together.
pub(crate) fn source_uri(key: &str) -> String {
    format!("urn:fdc:buildstream.build:2020:source:{key}")
}

impl Session {
    /// Brings the artifact of an element here, under its key; gives it if a server had it.
    pub fn pull_artifact(
        &self,
        loaded: &Loaded,
        id: ElementId,
    ) -> Result<Option<Cached>, SessionError> {
        let element = &loaded.graph[id];
        let Some(keys) = loaded.keys.get(id) else {
            return Ok(None);
        };
        let name = artifact_name(&loaded.graph, id);
        let mut pulled = self.pull_under(element, &name, &keys.strict.hex())?;
        if !pulled && !self.is_strict() {
            pulled = self.pull_under(element, &name, &keys.weak.hex())?;
        }
        match pulled {
            true => self.artifact_to_use(loaded, id),
            false => Ok(None),
        }
    }

    /// The artifact of an element, from a server if it is not here, and whether it is from there.
    pub(crate) fn find_or_pull(
        &self,
        loaded: &Loaded,
        id: ElementId,
    ) -> Result<(Option<Cached>, bool), SessionError> {
        let here = self.artifact_to_use(loaded, id)?;
        if self.is_enough(&loaded.graph[id], here.as_ref())? {
            return Ok((here, false));
        }
        match self.pull_artifact(loaded, id)? {
            Some(pulled) => Ok((Some(pulled), true)),
            None => Ok((here, false)),
        }
    }

    /// Brings artifacts here that are not, as far as servers have them: for commands that use what
    /// has been built.
    pub fn pull_missing(
        &self,
        loaded: &Loaded,
        elements: &[ElementId],
    ) -> Result<(), SessionError> {
        let failed = Mutex::new(None);
        self.each(elements, |id| {
            let pull = || {
                let here = self.artifact(loaded, id)?;
                if !self.is_enough(&loaded.graph[id], here.as_ref())? {
                    self.pull_artifact(loaded, id)?;
                }
                Ok(())
            };
            let pulled = pull();
            let is_well = pulled.is_ok();
            if let Err(error) = pulled {
                *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
            is_well
        })?;
        let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        failed.map_or(Ok(()), Err)
    }

    /// Whether an artifact is here, with what its build has left if that is wanted.
    fn is_enough(&self, element: &Element, here: Option<&Cached>) -> Result<bool, SessionError> {
        match here {
            None => Ok(false),
            Some(cached) if self.config.pull_build_trees && element.workspace().is_none() => {
                self.has_build_trees(cached.artifact())
            }
            Some(_) => Ok(true),
        }
    }

    /// Whether all that a build has left is here, if it has left something.
    pub(crate) fn has_build_trees(&self, artifact: &Artifact) -> Result<bool, SessionError> {
        for tree in artifact.build_trees() {
            if !headstart_artifacts::is_tree_complete(tree, &self.directories)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn pull_under(
        &self,
        element: &Element,
        name: &ArtifactName,
        key: &str,
    ) -> Result<bool, SessionError> {
        let group = self.servers(Purpose::Artifacts, element.project_id)?;
        let pulled = self.pull_from(&group, name, key)?;
        let record = pulled.as_ref().and_then(Artifact::speculative_actions);
        if let (Some(record), Some(artifact)) = (record, &pulled) {
            let built = artifact.message().build_success;
            self.add_to_lineage(element, name, Ancestor { record, built });
        }
        Ok(pulled.is_some())
    }

    /// Brings the artifact of a name and key here, whatever element it is of.
    pub(crate) fn pull_from(
        &self,
        group: &Group,
        name: &ArtifactName,
        key: &str,
    ) -> Result<Option<Artifact>, SessionError> {
        // What has been here is known by name.
        let own = group.own.as_slice();
        if !own.is_empty()
            && let Some(artifact) = self.artifacts.read(name, key)?
            && let Some(whole) = self
                .remotes
                .first_of(own, |own| self.pull_contents(own, artifact.clone()))
        {
            return Ok(Some(whole));
        }
        if !group.can_pull() {
            return Ok(None);
        }
        let Some(digest) = self.first_known(&group.index, &artifact_uri(name, key)) else {
            return Ok(None);
        };
        let pulled = self.remotes.first_of(&group.storage, |storage| {
            self.pull_artifact_from(storage, digest)
        });
        if let Some(artifact) = &pulled {
            self.keep_pulled(name, key, artifact)?;
        }
        Ok(pulled)
    }

    /// What the first server that knows a name says it stands for.
    pub(crate) fn first_known(&self, index: &[Remote], uri: &str) -> Option<BlobDigest> {
        self.remotes
            .first_of(index, |remote| remote.fetch_blob(vec![uri.to_owned()]))
    }

    /// A message, brought here from a server; `None` if that does not have it.
    pub(crate) fn pull_message(
        &self,
        storage: &Remote,
        digest: BlobDigest,
    ) -> Result<Option<Bytes>, RemoteError> {
        let store: Arc<dyn BlobStore> = self.store.clone();
        match storage.download(vec![digest], &store)?.is_empty() {
            true => Ok(Some(store.read(digest)?)),
            false => Ok(None),
        }
    }

    /// Brings an artifact here with all that a user of it may need; `None` if the server does not
    /// have all of it.
    fn pull_artifact_from(
        &self,
        storage: &Remote,
        digest: BlobDigest,
    ) -> Result<Option<Artifact>, RemoteError> {
        let Some(message) = self.pull_message(storage, digest)? else {
            return Ok(None);
        };
        let Some(artifact) = Artifact::decode(message) else {
            return Err(unusable(storage, digest, "an Artifact"));
        };
        if artifact
            .parts()
            .any(|part| BlobDigest::try_from(part).is_err())
        {
            return Err(unusable(storage, digest, "an Artifact"));
        }
        self.pull_contents(storage, artifact)
    }

    /// Brings here what an artifact refers to; `None` if the server does not have all of it.
    fn pull_contents(
        &self,
        storage: &Remote,
        artifact: Artifact,
    ) -> Result<Option<Artifact>, RemoteError> {
        let parts = artifact.parts();
        let mut blobs: Vec<BlobDigest> = parts.filter_map(|part| part.try_into().ok()).collect();
        // What is known of its subactions is small; and nobody fails for want of it.
        let record = artifact.speculative_actions();
        blobs.extend(record);
        let store: Arc<dyn BlobStore> = self.store.clone();
        let mut missing = storage.download(blobs, &store)?;
        missing.retain(|digest| Some(*digest) != record);
        if missing.is_empty() {
            let mut trees: Vec<DirectoryDigest> = artifact.files().into_iter().collect();
            if self.config.pull_build_trees {
                trees.extend(artifact.build_trees());
            }
            missing = storage.download_trees(trees, Part::Everything, &store)?;
        }
        match missing.first() {
            None => Ok(Some(artifact)),
            Some(missing) => {
                let url = storage.url();
                tracing::info!(url, %missing, "an artifact is not complete on the server");
                Ok(None)
            }
        }
    }

    /// Refers to a pulled artifact by the key that it was asked for by, and by those that it says it
    /// has.
    fn keep_pulled(
        &self,
        name: &ArtifactName,
        key: &str,
        artifact: &Artifact,
    ) -> Result<(), SessionError> {
        let message = artifact.message();
        self.artifacts.write(name, &[key], artifact)?;
        let others = [&message.strong_key, &message.strict_key, &message.weak_key];
        for other in others.into_iter().collect::<BTreeSet<_>>() {
            // It becomes the name of a file. An artifact that is here already is as good.
            let is_key = other.len() == 64 && other.bytes().all(|c| c.is_ascii_hexdigit());
            if is_key && other != key && self.artifacts.find(name, other)?.is_none() {
                self.artifacts.write(name, &[other], artifact)?;
            }
        }
        Ok(())
    }

    /// The sources of an element, staged: from the cache, else from a server, else fetched.
    pub(crate) fn obtain_sources(
        &self,
        loaded: &Loaded,
        id: ElementId,
    ) -> Result<DirectoryDigest, SessionError> {
        let element = &loaded.graph[id];
        let key = loaded.keys.element_sources(id).map(|key| key.hex());
        if let Some(key) = key.filter(|_| !element.sources.is_empty())
            && !self.has_sources(loaded, id)?
            && let Some(tree) = self.pull_sources(element, &key)?
        {
            return Ok(tree);
        }
        self.stage_sources(element, id, &loaded.keys)
    }

    /// The sources of an element, staged. That they can't be fetched may pass, and is tried again.
    fn stage_sources(
        &self,
        element: &Element,
        id: ElementId,
        keys: &Keys,
    ) -> Result<DirectoryDigest, SessionError> {
        let mut retries = 0..self.config.network_retries;
        loop {
            match self.sources.stage(element, id, keys) {
                Err(error) if error.may_pass() && retries.next().is_some() => {
                    tracing::info!("{error}; trying again");
                }
                staged => return Ok(staged?),
            }
        }
    }

    /// Brings the sources of an element here, all together. Gives their tree if a server had them.
    pub(crate) fn pull_sources(
        &self,
        element: &Element,
        key: &str,
    ) -> Result<Option<DirectoryDigest>, SessionError> {
        let group = self.servers(Purpose::Sources, element.project_id)?;
        // What has been here is known by name.
        let own = group.own.as_slice();
        if !own.is_empty()
            && let Some(tree) = self.source_cache.element_sources(key)?
            && let Some(whole) = self.remotes.first_of(own, |own| self.pull_tree(own, tree))
        {
            return Ok(Some(whole));
        }
        if !group.can_pull() {
            return Ok(None);
        }
        let Some(digest) = self.first_known(&group.index, &source_uri(key)) else {
            return Ok(None);
        };
        let pulled = self.remotes.first_of(&group.storage, |storage| {
            self.pull_sources_from(storage, digest)
        });
        if let Some(tree) = pulled {
            self.source_cache.write_element_sources(key, tree)?;
        }
        Ok(pulled)
    }

    fn pull_sources_from(
        &self,
        storage: &Remote,
        digest: BlobDigest,
    ) -> Result<Option<DirectoryDigest>, RemoteError> {
        let Some(message) = self.pull_message(storage, digest)? else {
            return Ok(None);
        };
        let message = buildstream::Source::decode(message).ok();
        let tree = message.and_then(|message| Digest::required(message.files.as_ref()).ok());
        let Some(tree) = tree else {
            return Err(unusable(storage, digest, "a Source"));
        };
        self.pull_tree(storage, tree)
    }

    /// Brings a tree here with its files; `None` if the server does not have all of it.
    fn pull_tree(
        &self,
        storage: &Remote,
        tree: DirectoryDigest,
    ) -> Result<Option<DirectoryDigest>, RemoteError> {
        let store: Arc<dyn BlobStore> = self.store.clone();
        let missing = storage.download_trees(vec![tree], Part::Everything, &store)?;
        Ok(missing.is_empty().then_some(tree))
    }
}

fn unusable(remote: &Remote, digest: BlobDigest, what: &str) -> RemoteError {
    RemoteError::Unfit {
        url: remote.url().to_owned(),
        reason: format!("{digest}, which it gives a name, is not {what}"),
    }
}
