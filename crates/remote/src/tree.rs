//! Whole trees.

use std::collections::HashSet;
use std::sync::Arc;

use headstart_merkle::{BlobDigest, Directory, DirectoryDigest, Node};
use headstart_store::BlobStore;

use crate::error::RemoteError;
use crate::remote::{Remote, blocking};

/// What of a tree is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its Directories and files.
    Everything,
    /// Its Directories: what it takes to know what is in it.
    Directories,
}

impl Remote {
    /// Brings trees into a store, level by level, without what is there already. Gives what the
    /// server does not have.
    ///
    /// Directories come as blobs, not by GetTree: so they stay as they were written, and what is
    /// known is not sent again.
    pub fn download_trees(
        &self,
        roots: Vec<DirectoryDigest>,
        part: Part,
        into: &Arc<dyn BlobStore>,
    ) -> Result<Vec<BlobDigest>, RemoteError> {
        let (remote, into) = (self.clone(), Arc::clone(into));
        self.run(async move { remote.fetch_trees(roots, part, &into).await })
    }

    pub(crate) async fn fetch_trees(
        &self,
        roots: Vec<DirectoryDigest>,
        part: Part,
        into: &Arc<dyn BlobStore>,
    ) -> Result<Vec<BlobDigest>, RemoteError> {
        let mut seen: HashSet<DirectoryDigest> = HashSet::new();
        let mut files = HashSet::new();
        let mut missing = Vec::new();
        let mut level: Vec<_> = roots
            .into_iter()
            .filter(|root| seen.insert(*root))
            .collect();
        while !level.is_empty() {
            let blobs = level.iter().map(|digest| digest.blob()).collect();
            let absent = self.fetch_blobs(blobs, into).await?;
            let gone: HashSet<_> = absent.iter().map(|digest| digest.cast()).collect();
            level.retain(|digest| !gone.contains(digest));
            missing.extend(absent);
            let store = Arc::clone(into);
            let read = blocking(move || {
                let read = level.iter().map(|digest| read(&*store, *digest));
                read.collect::<Result<Vec<_>, RemoteError>>()
            });
            level = Vec::new();
            for directory in read.await? {
                for node in directory.entries.values() {
                    match node {
                        Node::Directory(child) if seen.insert(*child) => level.push(*child),
                        Node::File(file) if part == Part::Everything => {
                            files.insert(file.digest);
                        }
                        _ => {}
                    }
                }
            }
        }
        missing.extend(self.fetch_blobs(files.into_iter().collect(), into).await?);
        Ok(missing)
    }
}

fn read(store: &dyn BlobStore, digest: DirectoryDigest) -> Result<Directory, RemoteError> {
    let bytes = store.read(digest.blob())?;
    Directory::decode(&bytes).map_err(|source| RemoteError::Directory { digest, source })
}
