//! Artifacts and sources to servers: first all contents to storage, then the names.

use std::collections::HashSet;
use std::sync::Arc;

use headstart_artifacts::{Artifact, ArtifactName};
use headstart_merkle::{BlobDigest, Digest, DirectoryDigest, tree_blobs};
use headstart_project::{Element, ElementId};
use headstart_reapi::{Message, buildstream};
use headstart_remote::{References, RemoteError};
use headstart_store::BlobStore;

use crate::board::subject;
use crate::error::SessionError;
use crate::pull::{artifact_uri, source_uri};
use crate::remotes::{Group, Purpose};
use crate::session::{Loaded, Session, artifact_name};

/// What came of pushing something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// No server takes it: none is configured to.
    Nowhere,
    /// All servers had it.
    Already,
    /// Some did not, and have it now.
    Now,
    /// It holds what is only on this machine: it is made of a workspace.
    Never,
    /// What its build has left is not here: others could not rely on it.
    Incomplete,
}

/// Something to be pushed: a message with all that it refers to.
struct Parcel {
    uris: Vec<String>,
    message: BlobDigest,
    parts: Vec<BlobDigest>,
    trees: Vec<DirectoryDigest>,
    /// Trees that are only pushed if all of them is here.
    further_trees: Vec<DirectoryDigest>,
}

impl Parcel {
    /// Whether all servers have it, as far as can be told without looking at each file.
    fn is_everywhere(&self, group: &Group) -> Result<bool, SessionError> {
        for index in &group.push_index {
            if index.fetch_blob(self.uris.clone())? != Some(self.message) {
                return Ok(false);
            }
        }
        let mut heads = vec![self.message];
        heads.extend(&self.parts);
        heads.extend(self.trees.iter().map(|tree| tree.blob()));
        for storage in &group.push_storage {
            if !storage.missing(heads.clone())?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Session {
    /// Gives the artifact of an element, which must be here, to servers.
    ///
    /// # Errors
    /// When it is not here, or a server does not take it.
    pub fn push_artifact(&self, loaded: &Loaded, id: ElementId) -> Result<Pushed, SessionError> {
        let element = &loaded.graph[id];
        let group = self.servers(Purpose::Artifacts, element.project_id)?;
        if !group.can_push() {
            return Ok(Pushed::Nowhere);
        }
        let cached = self.required_artifact(loaded, id)?;
        let artifact = cached.artifact();
        let pushed = self.push_to(&group, &artifact_name(&loaded.graph, id), artifact)?;
        if pushed == Pushed::Now {
            self.push_record(loaded, id, &group, artifact);
        }
        Ok(pushed)
    }

    /// Gives an artifact to servers, whatever element it is of.
    pub(crate) fn push_to(
        &self,
        group: &Group,
        name: &ArtifactName,
        artifact: &Artifact,
    ) -> Result<Pushed, SessionError> {
        let message = artifact.message();
        if message.was_workspaced || message.build_deps.iter().any(|dep| dep.was_workspaced) {
            return Ok(Pushed::Never);
        }
        if !self.has_build_trees(artifact)? {
            return Ok(Pushed::Incomplete);
        }
        self.push(group, &self.parcel(name, artifact)?)
    }

    fn parcel(&self, name: &ArtifactName, artifact: &Artifact) -> Result<Parcel, SessionError> {
        let message = artifact.message();
        let mut keys = vec![&message.strong_key, &message.weak_key];
        keys.retain(|key| !key.is_empty());
        keys.dedup();
        Ok(Parcel {
            uris: keys.iter().map(|key| artifact_uri(name, key)).collect(),
            message: self.store.write(artifact.bytes().clone())?,
            parts: artifact
                .parts()
                .filter_map(|part| Digest::try_from(part).ok())
                .collect(),
            trees: artifact.files().into_iter().collect(),
            further_trees: artifact.build_trees().collect(),
        })
    }

    /// Gives the sources of an element, which must be here, to servers.
    ///
    /// # Errors
    /// When they are not here, or a server does not take them.
    pub fn push_sources(&self, loaded: &Loaded, id: ElementId) -> Result<Pushed, SessionError> {
        let element = &loaded.graph[id];
        let group = self.servers(Purpose::Sources, element.project_id)?;
        let key = loaded.keys.element_sources(id).map(|key| key.hex());
        let Some(key) = key.filter(|_| group.can_push() && !element.sources.is_empty()) else {
            return Ok(Pushed::Nowhere);
        };
        let tree = self.source_cache.element_sources(&key)?;
        let tree = tree.ok_or_else(|| SessionError::NotFetched(element.full_name.to_string()))?;
        let message = buildstream::Source {
            version: 0,
            files: Some(tree.into()),
        };
        let parcel = Parcel {
            uris: vec![source_uri(&key)],
            message: self.store.write(message.encode_to_vec().into())?,
            parts: Vec::new(),
            trees: vec![tree],
            further_trees: Vec::new(),
        };
        self.push(&group, &parcel)
    }

    fn push(&self, group: &Group, parcel: &Parcel) -> Result<Pushed, SessionError> {
        if parcel.is_everywhere(group)? {
            return Ok(Pushed::Already);
        }
        let store: Arc<dyn BlobStore> = self.store.clone();
        let mut blobs = vec![parcel.message];
        blobs.extend(&parcel.parts);
        let mut references = References {
            blobs: parcel.parts.clone(),
            directories: parcel.trees.clone(),
        };
        for tree in &parcel.trees {
            let tree_blobs = tree_blobs(&*self.directories, *tree, true);
            blobs.extend(tree_blobs.map_err(RemoteError::from)?);
        }
        for tree in &parcel.further_trees {
            if let Ok(tree_blobs) = tree_blobs(&*self.directories, *tree, true)
                && store.missing(&tree_blobs)?.is_empty()
            {
                blobs.extend(tree_blobs);
                references.directories.push(*tree);
            }
        }
        let mut pushed = Pushed::Already;
        for storage in &group.push_storage {
            if storage.upload(blobs.clone(), &store)?.blobs > 0 {
                pushed = Pushed::Now;
            }
        }
        for index in &group.push_index {
            if index.fetch_blob(parcel.uris.clone())? != Some(parcel.message) {
                index.push_blob(parcel.uris.clone(), parcel.message, &references)?;
                pushed = Pushed::Now;
            }
        }
        Ok(pushed)
    }

    /// Gives servers what is known of the subactions of an artifact's build, with what it takes to use
    /// that, under the element's lineage too. That it fails is logged: no build needs it.
    fn push_record(&self, loaded: &Loaded, id: ElementId, group: &Group, artifact: &Artifact) {
        let element = &loaded.graph[id];
        let Some(record) = artifact.speculative_actions() else {
            return;
        };
        let result = self.try_push_record(loaded, id, group, artifact, record);
        if let Err(error) = result {
            let element = &element.full_name;
            tracing::warn!(%element, %error, "what is known of its subactions could not be pushed");
        }
    }

    fn try_push_record(
        &self,
        loaded: &Loaded,
        id: ElementId,
        group: &Group,
        artifact: &Artifact,
        record: BlobDigest,
    ) -> Result<(), SessionError> {
        let subject = subject(&loaded.graph, id);
        let Some(message) = self.read_record(record, &subject, artifact.files()) else {
            return Ok(());
        };
        let mut blobs = message.protected(&*self.directories);
        blobs.push(record);
        let store: Arc<dyn BlobStore> = self.store.clone();
        let absent: HashSet<BlobDigest> = store.missing(&blobs)?.into_iter().collect();
        blobs.retain(|digest| !absent.contains(digest));
        for storage in &group.push_storage {
            storage.upload(blobs.clone(), &store)?;
        }
        if !artifact.message().build_success {
            return Ok(());
        }
        let uri = self.lineage_uri(&loaded.graph[id], &artifact_name(&loaded.graph, id));
        for index in &group.push_index {
            if index.fetch_blob(vec![uri.clone()])? != Some(record) {
                index.push_blob(vec![uri.clone()], record, &References::default())?;
            }
        }
        Ok(())
    }

    /// The name that the newest record of an element's lineage has on servers.
    pub(crate) fn lineage_uri(&self, element: &Element, name: &ArtifactName) -> String {
        let ArtifactName {
            project,
            element: file,
        } = name;
        let platform = self.platform(element);
        format!("urn:x-headstart:lineage:{project}/{file}/{platform}")
    }
}
