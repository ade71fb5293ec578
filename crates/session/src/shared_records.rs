//! Records of subactions from servers: found under an element's weak key or its lineage, brought here
//! with what it takes to use them, which are messages and no files.

use std::sync::Arc;

use headstart_artifacts::{Ancestor, Artifact, ArtifactName};
use headstart_merkle::{ActionDigest, BlobDigest, Digest, DirectoryDigest};
use headstart_project::{Element, ElementId};
use headstart_reapi::{Message, buildstream, reapi};
use headstart_remote::{Part, Remote, RemoteError};
use headstart_speculation::{ElementId as Subject, SpeculativeActions};
use headstart_store::{BlobStore, MemoryBlobs, read_message};

use crate::pull::artifact_uri;
use crate::remotes::{Group, Purpose};
use crate::session::{Loaded, Session, artifact_name};

impl Session {
    /// Brings what servers know of earlier builds of an element here, for one that is to be built.
    /// Nothing depends on it: what goes wrong is said, and costs predictions.
    pub(crate) fn pull_records(&self, loaded: &Loaded, id: ElementId) {
        let element = &loaded.graph[id];
        let Ok(group) = self.servers(Purpose::Artifacts, element.project_id) else {
            return;
        };
        if !group.can_pull() {
            return;
        }
        let name = artifact_name(&loaded.graph, id);
        let weak = loaded.keys.get(id).map(|keys| keys.weak.hex());
        let here = weak.as_ref().map(|key| self.artifacts.read(&name, key));
        let here = here.and_then(|read| read.ok().flatten());
        if let (None, Some(key)) = (&here, &weak) {
            self.find_shared(element, &name, key, &group);
        }
        let mut wanted: Vec<BlobDigest> = here
            .and_then(|artifact| artifact.speculative_actions())
            .into_iter()
            .collect();
        for ancestor in self.lineage(element, &name) {
            wanted.push(ancestor.record);
            if ancestor.built {
                break;
            }
        }
        for record in wanted {
            self.remotes.first_of(&group.storage, |storage| {
                Ok(self.complete_record(record, storage)?.then_some(()))
            });
        }
    }

    /// Adds the record that servers have under the weak key to the element's lineage, or else that of
    /// the lineage itself if nothing is known here.
    fn find_shared(&self, element: &Element, name: &ArtifactName, weak: &str, group: &Group) {
        let known = self.first_known(&group.index, &artifact_uri(name, weak));
        let artifact = known.and_then(|digest| {
            self.remotes.first_of(&group.storage, |storage| {
                let message = self.pull_message(storage, digest)?;
                Ok(message.and_then(Artifact::decode))
            })
        });
        if let Some(artifact) = artifact
            && let Some(record) = artifact.speculative_actions()
        {
            let built = artifact.message().build_success;
            self.add_to_lineage(element, name, Ancestor { record, built });
            return;
        }
        if !self.lineage(element, name).is_empty() {
            return;
        }
        let uri = self.lineage_uri(element, name);
        if let Some(record) = self.first_known(&group.index, &uri) {
            let built = true;
            self.add_to_lineage(element, name, Ancestor { record, built });
        }
    }

    /// Brings a record here with the actions, commands and Directories that adapting it takes. Says
    /// whether all of it is here now.
    fn complete_record(&self, record: BlobDigest, storage: &Remote) -> Result<bool, RemoteError> {
        let Some(message) = self.pull_message(storage, record)? else {
            return Ok(false);
        };
        let actions = actions_of(&message);
        let store: Arc<dyn BlobStore> = self.store.clone();
        // An action is only kept after all that it refers to: where it is, everything is.
        let actions = store.missing(&actions)?;
        if actions.is_empty() {
            return Ok(true);
        }
        let memory: Arc<dyn BlobStore> = Arc::new(MemoryBlobs::default());
        let mut missing = storage.download(actions.clone(), &memory)?;
        let (mut commands, mut roots, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        for digest in actions
            .into_iter()
            .filter(|digest| !missing.contains(digest))
        {
            let action: ActionDigest = digest.cast();
            let message: reapi::Action = read_message(&*memory, action, "an Action")?;
            commands.extend(BlobDigest::required(message.command_digest.as_ref()));
            roots.extend(DirectoryDigest::required(
                message.input_root_digest.as_ref(),
            ));
            kept.push((digest, memory.read(digest)?));
        }
        missing.extend(storage.download(commands, &store)?);
        missing.extend(storage.download_trees(roots, Part::Directories, &store)?);
        store.write_all(kept)?;
        if let Some(first) = missing.first() {
            let (url, count) = (storage.url(), missing.len());
            tracing::info!(url, %record, count, %first, "a record of subactions is not complete on the server");
        }
        Ok(true)
    }

    /// A record that is here; that it can't be read is logged.
    pub(crate) fn read_record(
        &self,
        record: BlobDigest,
        element: &Subject,
        files: Option<DirectoryDigest>,
    ) -> Option<SpeculativeActions> {
        let bytes = self.store.read(record).map_err(|error| error.to_string());
        let read = bytes.and_then(|bytes| {
            SpeculativeActions::read(&bytes, element, files, &*self.directories)
                .map_err(|error| error.to_string())
        });
        let logged = |error: &String| {
            tracing::warn!(%record, error, "a record of subactions can't be used");
        };
        read.inspect_err(logged).ok()
    }
}

/// The actions that a record is of, in whichever layout; none if it is no record.
fn actions_of(record: &[u8]) -> Vec<BlobDigest> {
    if let Ok(record) = SpeculativeActions::decode(record) {
        let usable = record.actions().iter().filter(|action| action.usable);
        return usable.map(|action| action.digest.blob()).collect();
    }
    let message = buildstream::SpeculativeActions::decode(record).unwrap_or_default();
    let actions = message.actions.iter();
    let actions =
        actions.filter_map(|action| Digest::required(action.base_action_digest.as_ref()).ok());
    actions.collect()
}
