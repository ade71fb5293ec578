//! What an action needs, sent ahead of it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use headstart_execution::ActionSpec;
use headstart_merkle::{BlobDigest, Digest, Directory, DirectoryDigest, Node};
use headstart_reapi::reapi;
use headstart_store::{BlobStore, read_message};

use crate::error::RemoteError;
use crate::remote::{Remote, blocking};

/// How many blobs are remembered to be at the farm, at most.
const REMEMBERED: usize = 500_000;

/// Blobs that the farm has, as far as is known; of a Directory, with all that is below it.
///
/// Most of an action's inputs are those of the action before. A farm that loses some of them says so
/// when it is to execute the action.
#[derive(Default)]
pub(super) struct Inputs(Mutex<HashSet<BlobDigest>>);

impl Inputs {
    fn known(&self) -> MutexGuard<'_, HashSet<BlobDigest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The farm may have lost anything.
    pub(super) fn forget(&self) {
        self.known().clear();
    }

    /// Sends what the farm does not have: the action, its command, all inputs, and the root that it is
    /// to run in if it names one.
    pub(super) async fn send(
        self: &Arc<Self>,
        spec: &ActionSpec,
        storage: &Remote,
        store: &Arc<dyn BlobStore>,
    ) -> Result<(), RemoteError> {
        let (inputs, from) = (Arc::clone(self), Arc::clone(store));
        let mut roots = vec![spec.input_root];
        let chroot = spec.property("chrootRootDigest");
        roots.extend(chroot.and_then(|root| root.parse::<DirectoryDigest>().ok()));
        let action = spec.digest;
        let wanted = blocking(move || {
            let message: reapi::Action = read_message(&*from, action, "an Action")?;
            let mut wanted = vec![action.blob()];
            wanted.extend(Digest::required(message.command_digest.as_ref()).ok());
            for root in roots {
                inputs.add_unknown(root, &*from, &mut wanted)?;
            }
            Ok(wanted)
        });
        let wanted = wanted.await?;
        storage.send_blobs(wanted.clone(), store).await?;
        let mut known = self.known();
        if known.len() > REMEMBERED {
            known.clear();
        }
        known.extend(wanted);
        Ok(())
    }

    fn add_unknown(
        &self,
        root: DirectoryDigest,
        store: &dyn BlobStore,
        wanted: &mut Vec<BlobDigest>,
    ) -> Result<(), RemoteError> {
        let mut seen = HashSet::new();
        let mut pending = vec![root];
        while let Some(digest) = pending.pop() {
            if self.known().contains(&digest.blob()) || !seen.insert(digest.blob()) {
                continue;
            }
            wanted.push(digest.blob());
            let bytes = store.read(digest.blob())?;
            let directory = Directory::decode(&bytes)
                .map_err(|source| RemoteError::Directory { digest, source })?;
            for node in directory.entries.values() {
                match node {
                    Node::Directory(child) => pending.push(*child),
                    Node::File(file) => {
                        if seen.insert(file.digest) && !self.known().contains(&file.digest) {
                            wanted.push(file.digest);
                        }
                    }
                    Node::Symlink(_) => {}
                }
            }
        }
        Ok(())
    }
}
