//! What is stored of an element's subactions, as data for people and programs.

use std::collections::HashMap;

use headstart_artifacts::Artifact;
use headstart_merkle::{BlobDigest, DirectoryDigest, TreePath};
use headstart_project::ElementId;
use headstart_reapi::Message;
use headstart_speculation::{BaseAction, Origin, Overlay, SpeculationError, SpeculativeActions};
use headstart_store::BlobStore;
use serde::Serialize;
use thiserror::Error;

use crate::board::subject;
use crate::error::SessionError;
use crate::explain::OriginData;
use crate::report::seconds;
use crate::session::{Loaded, Session, artifact_name};

/// Why what is stored can't be shown.
#[derive(Debug, Error)]
pub enum StoredError {
    /// The caches can't be read.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// It is damaged, or something that it needs is gone.
    #[error("what is stored of {element}, {record}, can't be read: {source}")]
    Unreadable {
        /// The element.
        element: String,
        /// The stored message.
        record: BlobDigest,
        /// Why.
        source: Box<SpeculationError>,
    },
}

/// What is stored of an element.
pub struct StoredRecord {
    element: String,
    found_under: FoundUnder,
    digest: BlobDigest,
    bytes: usize,
    prototype: bool,
    artifact: Option<DirectoryDigest>,
    message: SpeculativeActions,
}

/// Where a record was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FoundUnder {
    /// Today's strict key.
    StrictKey,
    /// Today's weak key: only dependencies have changed.
    WeakKey,
    /// The element's lineage: it has changed itself.
    Lineage,
}

/// A record as data.
#[derive(Debug, Clone, Serialize)]
pub struct RecordData {
    /// The element, with its project.
    pub element: String,
    /// Where it was found.
    pub found_under: FoundUnder,
    /// The digest of the stored message.
    pub record: String,
    /// Its length.
    pub bytes: usize,
    /// Whether it is stored in the layout of BuildStream's prototype.
    pub prototype: bool,
    /// The recorded actions, in the order in which they were asked for.
    pub actions: Vec<ActionData>,
    /// The inputs of all actions that have an origin, each once.
    pub inputs: Vec<OverlayData>,
    /// The files of the artifact that have an origin.
    pub artifact: Vec<OverlayData>,
    /// Trees that commands and platforms mention by digest, by the names of variables.
    pub named_trees: Vec<(String, String)>,
}

/// A recorded action as data.
#[derive(Debug, Clone, Serialize)]
pub struct ActionData {
    /// Its digest.
    pub action: String,
    /// How long its command ran; zero if not known.
    pub seconds: f64,
    /// Whether its command failed.
    pub failed: bool,
    /// Whether it can be adapted.
    pub usable: bool,
    /// Its arguments; empty if it is no longer stored.
    pub command: Vec<String>,
    /// What it makes.
    pub outputs: Vec<String>,
    /// Places of the actions that it takes outputs of.
    pub needs: Vec<u32>,
    /// Places of the actions that must not have changed.
    pub guards: Vec<u32>,
    /// Places of its inputs that have an origin.
    pub inputs: Vec<usize>,
}

/// A file with where it came from, as data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OverlayData {
    /// Where it is.
    pub path: String,
    /// Its content.
    pub content: String,
    /// Where it came from, best first.
    pub origins: Vec<OriginData>,
}

impl Session {
    /// What is stored of an element: with its artifact of today, or else that of an earlier build.
    pub fn stored(
        &self,
        loaded: &Loaded,
        id: ElementId,
    ) -> Result<Option<StoredRecord>, StoredError> {
        let Some((found_under, digest, artifact)) = self.find_record(loaded, id)? else {
            return Ok(None);
        };
        let element = subject(&loaded.graph, id);
        let unreadable = |error: SpeculationError| StoredError::Unreadable {
            element: element.to_string(),
            record: digest,
            source: error.into(),
        };
        let bytes = self.store.read(digest);
        let bytes = bytes.map_err(|error| unreadable(error.into()))?;
        let message = SpeculativeActions::read(&bytes, &element, artifact, &*self.directories);
        Ok(Some(StoredRecord {
            prototype: SpeculativeActions::decode(&bytes).is_err(),
            message: message.map_err(unreadable)?,
            bytes: bytes.len(),
            element: element.to_string(),
            found_under,
            digest,
            artifact,
        }))
    }

    fn find_record(
        &self,
        loaded: &Loaded,
        id: ElementId,
    ) -> Result<Option<(FoundUnder, BlobDigest, Option<DirectoryDigest>)>, SessionError> {
        let name = artifact_name(&loaded.graph, id);
        if let Some(keys) = loaded.keys.get(id) {
            let keys = [
                (FoundUnder::StrictKey, keys.strict.hex()),
                (FoundUnder::WeakKey, keys.weak.hex()),
            ];
            for (found_under, key) in keys {
                let artifact = self.artifacts.read(&name, &key)?;
                let record = artifact.as_ref().and_then(Artifact::speculative_actions);
                if let Some(record) = record {
                    let files = artifact.as_ref().and_then(Artifact::files);
                    return Ok(Some((found_under, record, files)));
                }
            }
        }
        let lineage = self.lineage(&loaded.graph[id], &name);
        let newest = lineage.first().map(|ancestor| ancestor.record);
        Ok(newest.map(|record| (FoundUnder::Lineage, record, None)))
    }
}

impl StoredRecord {
    /// It as data. What of the actions is no longer stored is left out.
    pub fn data(&self, session: &Session) -> RecordData {
        let store = &*session.directories;
        let mut inputs = Inputs::default();
        let actions = self.message.actions().iter().map(|action| {
            let read = self.message.read_action(action, store).ok();
            let (spec, overlays) = read.map_or((None, Vec::new()), |(spec, o)| (Some(spec), o));
            let places = overlays.into_iter().map(|overlay| inputs.place(overlay));
            ActionData {
                inputs: places.collect(),
                command: spec
                    .as_ref()
                    .map(|s| s.arguments.clone())
                    .unwrap_or_default(),
                outputs: spec.map(|spec| spec.outputs.paths).unwrap_or_default(),
                ..ActionData::new(action)
            }
        });
        let actions = actions.collect();
        let artifact = self
            .artifact
            .and_then(|artifact| self.message.artifact_overlays(artifact, store).ok());
        let named_trees = self.message.named_trees().iter();
        RecordData {
            element: self.element.clone(),
            found_under: self.found_under,
            record: self.digest.to_string(),
            bytes: self.bytes,
            prototype: self.prototype,
            actions,
            inputs: inputs.list,
            artifact: artifact.iter().flatten().map(Into::into).collect(),
            named_trees: named_trees
                .map(|named| (named.name.clone(), named.tree.to_string()))
                .collect(),
        }
    }

    /// It in the layout of BuildStream's prototype, encoded.
    pub fn prototype(&self, session: &Session) -> Result<Vec<u8>, StoredError> {
        let message = self
            .message
            .to_prototype(self.artifact, &*session.directories);
        let message = message.map_err(|error| StoredError::Unreadable {
            element: self.element.clone(),
            record: self.digest,
            source: error.into(),
        })?;
        Ok(message.encode_to_vec())
    }
}

/// Inputs of several actions, each once.
#[derive(Default)]
struct Inputs {
    list: Vec<OverlayData>,
    places: HashMap<(TreePath, BlobDigest, Vec<Origin>), usize>,
}

impl Inputs {
    fn place(&mut self, overlay: Overlay) -> usize {
        let data = OverlayData::from(&overlay);
        let key = (overlay.path, overlay.content, overlay.origins);
        *self.places.entry(key).or_insert_with(|| {
            self.list.push(data);
            self.list.len() - 1
        })
    }
}

impl ActionData {
    fn new(action: &BaseAction) -> Self {
        Self {
            action: action.digest.to_string(),
            seconds: seconds(action.duration),
            failed: action.failed,
            usable: action.usable,
            command: Vec::new(),
            outputs: Vec::new(),
            needs: action.needs().to_vec(),
            guards: action.guards().to_vec(),
            inputs: Vec::new(),
        }
    }
}

impl From<&Overlay> for OverlayData {
    fn from(overlay: &Overlay) -> Self {
        Self {
            path: overlay.path.to_string(),
            content: overlay.content.to_string(),
            origins: overlay.origins.iter().map(Into::into).collect(),
        }
    }
}
