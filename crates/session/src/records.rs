//! Reading what is stored of an element's subactions, in whichever layout.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use headstart_merkle::{BlobDigest, DirectoryDigest};
use headstart_speculation::{ElementId, SpeculativeActions};
use headstart_store::{BlobStore, Directories};

/// Records of subactions, each read once. What can't be read is as good as none; it is logged.
pub(crate) struct Records {
    directories: Arc<Directories<dyn BlobStore>>,
    read: Mutex<HashMap<BlobDigest, Option<Arc<SpeculativeActions>>>>,
}

impl Records {
    /// The records in a store.
    pub(crate) fn new(directories: Arc<Directories<dyn BlobStore>>) -> Self {
        Self {
            directories,
            read: Mutex::default(),
        }
    }

    /// The record `digest` of `element`, whose artifact has `files` if they are known: a record in
    /// the prototype's layout tells of them only by content.
    pub(crate) fn get(
        &self,
        digest: BlobDigest,
        element: &ElementId,
        files: Option<DirectoryDigest>,
    ) -> Option<Arc<SpeculativeActions>> {
        let known = {
            let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            read.get(&digest).cloned()
        };
        if let Some(known) = known {
            return known;
        }
        let bytes = self.directories.store().read(digest);
        let record = bytes.map_err(|error| error.to_string()).and_then(|bytes| {
            let read = SpeculativeActions::read(&bytes, element, files, &*self.directories);
            read.map(Arc::new).map_err(|error| error.to_string())
        });
        let record = record.inspect_err(|error| {
            tracing::warn!(%digest, error, "a record of subactions can't be used");
        });
        let record = record.ok();
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.insert(digest, record.clone());
        record
    }
}
