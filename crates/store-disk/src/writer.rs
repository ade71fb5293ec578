//! A blob that comes piece by piece: written, and hashed beside that when the pieces are long.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, sync_channel};

use bytes::Bytes;
use headstart_merkle::{BlobDigest, Hasher};
use headstart_store::{BlobWriter, StoreError};

use crate::blobs::DiskBlobs;
use crate::temporary::Temporary;

/// Pieces of this many bytes are hashed by another thread; for shorter ones it is not worth waking one.
const LONG: usize = 256 * 1024;

pub(crate) struct DiskWriter {
    store: DiskBlobs,
    temporary: Temporary,
    hashing: Hashing,
}

impl DiskWriter {
    pub(crate) fn new(store: DiskBlobs, temporary: Temporary) -> Self {
        Self {
            store,
            temporary,
            hashing: Hashing::Done(Hasher::default()),
        }
    }
}

/// A hasher, which is here or in the hands of another thread. Hashing takes longer than writing, so it goes
/// on while the next piece comes.
enum Hashing {
    Done(Hasher),
    Beside(Receiver<Hasher>),
}

impl Hashing {
    /// The hasher, once it has taken all that there was.
    fn done(&mut self) -> io::Result<&mut Hasher> {
        if let Self::Beside(hasher) = self {
            let hasher = hasher.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            *self = Self::Done(hasher);
        }
        match self {
            Self::Done(hasher) => Ok(hasher),
            Self::Beside(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn begin(&mut self, piece: Bytes) -> io::Result<()> {
        let mut hasher = std::mem::take(self.done()?);
        let (done, hashed) = sync_channel(1);
        rayon::spawn(move || {
            hasher.update(&piece);
            // Whoever wanted it may have given up.
            let _ = done.send(hasher);
        });
        *self = Self::Beside(hashed);
        Ok(())
    }
}

/// Writes to the disk; if that is full, room is made once.
fn put(store: &DiskBlobs, temporary: &mut Temporary, piece: &[u8]) -> io::Result<usize> {
    match temporary.file().write(piece) {
        Err(error) if error.kind() == io::ErrorKind::StorageFull && store.made_room() => {
            temporary.file().write(piece)
        }
        written => written,
    }
}

fn put_all(store: &DiskBlobs, temporary: &mut Temporary, mut piece: &[u8]) -> io::Result<()> {
    while !piece.is_empty() {
        match put(store, temporary, piece)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => piece = &piece[written..],
        }
    }
    Ok(())
}

impl Write for DiskWriter {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let written = put(&self.store, &mut self.temporary, piece)?;
        self.hashing.done()?.update(&piece[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temporary.file().flush()
    }
}

impl BlobWriter for DiskWriter {
    fn write_piece(&mut self, piece: Bytes) -> io::Result<()> {
        // A thread of those that hash must not wait for another.
        match piece.len() < LONG || rayon::current_thread_index().is_some() {
            true => self.hashing.done()?.update(&piece),
            false => self.hashing.begin(piece.clone())?,
        }
        put_all(&self.store, &mut self.temporary, &piece)
    }

    fn finish(mut self: Box<Self>, expected: Option<BlobDigest>) -> Result<BlobDigest, StoreError> {
        let hasher = self.hashing.done();
        let hasher = hasher.map_err(|error| StoreError::io("a blob being written", error))?;
        let actual = std::mem::take(hasher).finish();
        match expected {
            Some(expected) if expected != actual => Err(StoreError::Mismatch { expected, actual }),
            _ => {
                self.store.place(self.temporary, actual)?;
                // It was, on the way.
                self.store.note_checked(actual, false);
                Ok(actual)
            }
        }
    }
}
