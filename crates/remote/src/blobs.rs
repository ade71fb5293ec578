//! A server as a blob store.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use headstart_merkle::{BlobDigest, Hasher};
use headstart_store::{BlobStore, BlobWriter, MemoryBlobs, StoreError};

use crate::remote::Remote;

/// Up to how many bytes a blob that is read piece by piece stays in memory.
const IN_MEMORY: u64 = 1024 * 1024;

/// A server's blobs. Nothing is kept here: what is read again is fetched again.
#[derive(Clone)]
pub struct RemoteBlobs(Remote);

impl RemoteBlobs {
    /// The blobs of a server.
    pub fn new(remote: Remote) -> Self {
        Self(remote)
    }

    fn fetch(&self, digest: BlobDigest, into: Arc<dyn BlobStore>) -> Result<(), StoreError> {
        match self.0.download(vec![digest], &into)?.first() {
            None => Ok(()),
            Some(missing) => Err(StoreError::Missing(*missing)),
        }
    }
}

impl BlobStore for RemoteBlobs {
    fn missing(&self, digests: &[BlobDigest]) -> Result<Vec<BlobDigest>, StoreError> {
        Ok(self.0.missing(digests.to_vec())?)
    }

    fn read(&self, digest: BlobDigest) -> Result<Bytes, StoreError> {
        let memory = MemoryBlobs::default();
        self.fetch(digest, Arc::new(memory.clone()))?;
        memory.read(digest)
    }

    fn open(&self, digest: BlobDigest) -> Result<Box<dyn Read + Send>, StoreError> {
        if digest.size() <= IN_MEMORY {
            return Ok(Box::new(io::Cursor::new(self.read(digest)?)));
        }
        let spool = Spool::default();
        self.fetch(digest, Arc::new(spool.clone()))?;
        spool.open(digest)
    }

    fn write(&self, content: Bytes) -> Result<BlobDigest, StoreError> {
        let digest = BlobDigest::of(&content);
        self.write_all(vec![(digest, content)])?;
        Ok(digest)
    }

    fn write_all(&self, blobs: Vec<(BlobDigest, Bytes)>) -> Result<(), StoreError> {
        let memory = MemoryBlobs::default();
        let digests = blobs.iter().map(|(digest, _)| *digest).collect();
        memory.write_all(blobs)?;
        let memory: Arc<dyn BlobStore> = Arc::new(memory);
        self.0.upload(digests, &memory)?;
        Ok(())
    }

    fn writer(&self) -> Result<Box<dyn BlobWriter>, StoreError> {
        let spool = Spool::default();
        Ok(Box::new(Sending {
            remote: self.0.clone(),
            writer: spool.spooling()?,
            spool,
        }))
    }
}

/// A blob that is sent when all of it is here: a server wants to know its digest first.
struct Sending {
    remote: Remote,
    spool: Spool,
    writer: Spooling,
}

impl Write for Sending {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.writer.write(piece)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter for Sending {
    fn finish(self: Box<Self>, expected: Option<BlobDigest>) -> Result<BlobDigest, StoreError> {
        let digest = Box::new(self.writer).finish(expected)?;
        let spool: Arc<dyn BlobStore> = Arc::new(self.spool);
        self.remote.upload(vec![digest], &spool)?;
        Ok(digest)
    }
}

/// A store for one blob on its way, in a file without a name.
#[derive(Clone, Default)]
struct Spool(Arc<Mutex<Option<Held>>>);

/// A blob with its file.
type Held = (BlobDigest, Arc<File>);

impl Spool {
    fn spooling(&self) -> Result<Spooling, StoreError> {
        Ok(Spooling {
            file: tempfile::tempfile().map_err(spooling_failed)?,
            hasher: Hasher::default(),
            to: self.clone(),
        })
    }

    fn held(&self) -> Option<Held> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn spooling_failed(error: io::Error) -> StoreError {
    StoreError::io(std::env::temp_dir(), error)
}

impl BlobStore for Spool {
    fn missing(&self, digests: &[BlobDigest]) -> Result<Vec<BlobDigest>, StoreError> {
        let held = self.held().map(|(digest, _)| digest);
        let missing = digests.iter().copied();
        Ok(missing.filter(|digest| Some(*digest) != held).collect())
    }

    fn read(&self, digest: BlobDigest) -> Result<Bytes, StoreError> {
        let mut content = Vec::new();
        let read = self.open(digest)?.read_to_end(&mut content);
        read.map_err(spooling_failed)?;
        Ok(content.into())
    }

    fn open(&self, digest: BlobDigest) -> Result<Box<dyn Read + Send>, StoreError> {
        match self.held() {
            Some((held, file)) if held == digest => Ok(Box::new(Reading { file, at: 0 })),
            _ => Err(StoreError::Missing(digest)),
        }
    }

    fn write(&self, content: Bytes) -> Result<BlobDigest, StoreError> {
        let mut writer = self.spooling()?;
        writer.write_all(&content).map_err(spooling_failed)?;
        Box::new(writer).finish(None)
    }

    fn writer(&self) -> Result<Box<dyn BlobWriter>, StoreError> {
        Ok(Box::new(self.spooling()?))
    }
}

struct Spooling {
    file: File,
    hasher: Hasher,
    to: Spool,
}

impl Write for Spooling {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let written = self.file.write(piece)?;
        self.hasher.update(&piece[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter for Spooling {
    fn finish(self: Box<Self>, expected: Option<BlobDigest>) -> Result<BlobDigest, StoreError> {
        let actual = self.hasher.finish();
        if let Some(expected) = expected.filter(|expected| *expected != actual) {
            return Err(StoreError::Mismatch { expected, actual });
        }
        let mut held = self.to.0.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some((actual, Arc::new(self.file)));
        Ok(actual)
    }
}

/// Reads a file from its beginning, whoever else reads it.
struct Reading {
    file: Arc<File>,
    at: u64,
}

impl Read for Reading {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(piece, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
