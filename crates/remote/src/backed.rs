//! A store on this machine with a server behind it: what stands between build tools and servers.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use headstart_merkle::{BlobDigest, DirectoryDigest};
use headstart_store::{BlobStore, BlobWriter, KnownTrees, StoreError};

use crate::remote::Remote;
use crate::tree::Part;

/// Blobs of a server, kept here too. What is read comes from here if it can, what is written goes to
/// both, and what is missing is what the server does not have.
pub struct BackedBlobs {
    here: Arc<dyn BlobStore>,
    server: Remote,
    /// Whether the server is never written to.
    read_only: bool,
}

impl BackedBlobs {
    /// `here`, with `server` behind it.
    pub fn new(here: Arc<dyn BlobStore>, server: Remote, read_only: bool) -> Self {
        Self {
            here,
            server,
            read_only,
        }
    }

    fn fetch(&self, digest: BlobDigest) -> Result<(), StoreError> {
        match self.server.download(vec![digest], &self.here)?.first() {
            None => Ok(()),
            Some(missing) => Err(StoreError::Missing(*missing)),
        }
    }

    fn send(&self, digests: Vec<BlobDigest>) -> Result<(), StoreError> {
        if !self.read_only {
            self.server.upload(digests, &self.here)?;
        }
        Ok(())
    }
}

/// Whether the store lacks a blob, or has had a damaged one until now.
fn is_absent(error: &StoreError) -> bool {
    matches!(error, StoreError::Missing(_) | StoreError::Damaged { .. })
}

impl BlobStore for BackedBlobs {
    fn missing(&self, digests: &[BlobDigest]) -> Result<Vec<BlobDigest>, StoreError> {
        match self.read_only {
            true => self.here.missing(digests),
            false => Ok(self.server.missing(digests.to_vec())?),
        }
    }

    fn read(&self, digest: BlobDigest) -> Result<Bytes, StoreError> {
        match self.here.read(digest) {
            Err(error) if is_absent(&error) => {
                self.fetch(digest)?;
                self.here.read(digest)
            }
            read => read,
        }
    }

    fn read_all(&self, digests: &[BlobDigest]) -> Vec<Result<Bytes, StoreError>> {
        let mut read = self.here.read_all(digests);
        let absent = read.iter().zip(digests);
        let absent = absent.filter(|(read, _)| read.as_ref().is_err_and(is_absent));
        let absent: Vec<BlobDigest> = absent.map(|(_, digest)| *digest).collect();
        if absent.is_empty() {
            return read;
        }
        let failed = self.server.download(absent, &self.here).is_err();
        for (read, digest) in read.iter_mut().zip(digests) {
            if read.as_ref().is_err_and(is_absent) {
                *read = match failed {
                    // Each is told by itself why.
                    true => self.read(*digest),
                    false => self.here.read(*digest),
                };
            }
        }
        read
    }

    fn open(&self, digest: BlobDigest) -> Result<Box<dyn Read + Send>, StoreError> {
        self.open_from(digest, 0)
    }

    fn open_from(
        &self,
        digest: BlobDigest,
        offset: u64,
    ) -> Result<Box<dyn Read + Send>, StoreError> {
        match self.here.open_from(digest, offset) {
            Err(error) if is_absent(&error) => {
                self.fetch(digest)?;
                self.here.open_from(digest, offset)
            }
            opened => opened,
        }
    }

    fn write(&self, content: Bytes) -> Result<BlobDigest, StoreError> {
        let digest = self.here.write(content)?;
        self.send(vec![digest])?;
        Ok(digest)
    }

    fn write_all(&self, blobs: Vec<(BlobDigest, Bytes)>) -> Result<(), StoreError> {
        let digests = blobs.iter().map(|(digest, _)| *digest).collect();
        self.here.write_all(blobs)?;
        self.send(digests)
    }

    fn writer(&self) -> Result<Box<dyn BlobWriter>, StoreError> {
        Ok(Box::new(Writing {
            writer: self.here.writer()?,
            here: Arc::clone(&self.here),
            server: (!self.read_only).then(|| self.server.clone()),
        }))
    }

    fn is_backed(&self) -> bool {
        true
    }

    fn bring(&self, digests: &[BlobDigest]) -> Result<Vec<BlobDigest>, StoreError> {
        Ok(self.server.download(digests.to_vec(), &self.here)?)
    }

    fn bring_tree(
        &self,
        root: DirectoryDigest,
        files: bool,
    ) -> Result<Vec<BlobDigest>, StoreError> {
        let part = match files {
            true => Part::Everything,
            false => Part::Directories,
        };
        Ok(self.server.download_trees(vec![root], part, &self.here)?)
    }

    fn known_trees(&self) -> Option<KnownTrees<'_>> {
        self.here.known_trees()
    }

    fn hand_over(&self, digests: &[BlobDigest]) -> Result<Vec<BlobDigest>, StoreError> {
        if self.read_only {
            // The server is only asked for what is not here.
            return Ok(self.server.missing(self.here.missing(digests)?)?);
        }
        let wanted = self.server.missing(digests.to_vec())?;
        let absent = self.here.missing(&wanted)?;
        let nowhere: HashSet<BlobDigest> = absent.iter().copied().collect();
        let present = wanted.into_iter().filter(|it| !nowhere.contains(it));
        self.send(present.collect())?;
        Ok(absent)
    }
}

struct Writing {
    writer: Box<dyn BlobWriter>,
    here: Arc<dyn BlobStore>,
    server: Option<Remote>,
}

impl Write for Writing {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.writer.write(piece)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl BlobWriter for Writing {
    fn write_pieces(&mut self, pieces: Vec<Bytes>) -> io::Result<()> {
        self.writer.write_pieces(pieces)
    }

    fn finish(self: Box<Self>, expected: Option<BlobDigest>) -> Result<BlobDigest, StoreError> {
        let digest = self.writer.finish(expected)?;
        if let Some(server) = self.server {
            server.upload(vec![digest], &self.here)?;
        }
        Ok(digest)
    }
}
