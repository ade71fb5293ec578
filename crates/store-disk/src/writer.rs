//! A blob that comes piece by piece: written, and hashed beside that when it is long.

use std::io::{self, IoSlice, Write};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use bytes::Bytes;
use headstart_merkle::{BlobDigest, Hasher};
use headstart_store::{BlobWriter, StoreError};

use crate::blobs::DiskBlobs;
use crate::temporary::Temporary;

/// After how many bytes a thread of its own hashes: for fewer it is not worth starting one.
const LONG: u64 = 4 * 1024 * 1024;
/// How many pieces may wait to be hashed.
const WAITING: usize = 4;

pub(crate) struct DiskWriter {
    store: DiskBlobs,
    temporary: Temporary,
    hashing: Hashing,
    written: u64,
}

/// Who hashes. Hashing takes longer than writing, so a long blob is done sooner if both go on at a time.
enum Hashing {
    Here(Hasher),
    Beside {
        pieces: SyncSender<Vec<Bytes>>,
        thread: JoinHandle<Hasher>,
    },
}

impl Hashing {
    /// Goes on in a thread of its own, if there can be one.
    fn beside(hasher: Hasher) -> Self {
        let (pieces, waiting) = sync_channel::<Vec<Bytes>>(WAITING);
        let mut theirs = hasher.clone();
        let hash = move || {
            for piece in waiting.into_iter().flatten() {
                theirs.update(&piece);
            }
            theirs
        };
        let name = "hash".to_owned();
        match std::thread::Builder::new().name(name).spawn(hash) {
            Ok(thread) => Self::Beside { pieces, thread },
            Err(_) => Self::Here(hasher),
        }
    }

    fn finish(self) -> io::Result<BlobDigest> {
        match self {
            Self::Here(hasher) => Ok(hasher.finish()),
            Self::Beside { pieces, thread } => {
                drop(pieces);
                let hasher = thread.join().map_err(|_| io::ErrorKind::BrokenPipe)?;
                Ok(hasher.finish())
            }
        }
    }
}

impl DiskWriter {
    pub(crate) fn new(store: DiskBlobs, temporary: Temporary) -> Self {
        Self {
            store,
            temporary,
            hashing: Hashing::Here(Hasher::default()),
            written: 0,
        }
    }

    /// Writes to the disk; if that is full, room is made once.
    fn put(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.temporary.file().write_vectored(pieces) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull && self.store.made_room() => {
                self.temporary.file().write_vectored(pieces)
            }
            written => written,
        }
    }

    /// Writes all of several pieces to the disk.
    fn put_all(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        // More at a time the system doesn't take (UIO_MAXIOV).
        for pieces in pieces.chunks(1024) {
            let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            let mut left = &mut slices[..];
            IoSlice::advance_slices(&mut left, 0);
            while !left.is_empty() {
                match self.put(left)? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    written => IoSlice::advance_slices(&mut left, written),
                }
            }
        }
        Ok(())
    }
}

impl Write for DiskWriter {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let written = self.put(&[IoSlice::new(piece)])?;
        let piece = &piece[..written];
        match &mut self.hashing {
            Hashing::Here(hasher) => hasher.update(piece),
            Hashing::Beside { pieces, .. } => {
                let sent = pieces.send(vec![Bytes::copy_from_slice(piece)]);
                sent.map_err(|_| io::ErrorKind::BrokenPipe)?;
            }
        }
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temporary.file().flush()
    }
}

impl BlobWriter for DiskWriter {
    fn write_pieces(&mut self, pieces: Vec<Bytes>) -> io::Result<()> {
        if self.written >= LONG
            && let Hashing::Here(hasher) = &self.hashing
        {
            self.hashing = Hashing::beside(hasher.clone());
        }
        let size: usize = pieces.iter().map(Bytes::len).sum();
        match &mut self.hashing {
            Hashing::Beside { pieces: beside, .. } => {
                let sent = beside.send(pieces.clone());
                sent.map_err(|_| io::ErrorKind::BrokenPipe)?;
            }
            Hashing::Here(hasher) => pieces.iter().for_each(|piece| hasher.update(piece)),
        }
        self.put_all(&pieces)?;
        self.written += size as u64;
        Ok(())
    }

    fn finish(self: Box<Self>, expected: Option<BlobDigest>) -> Result<BlobDigest, StoreError> {
        let actual = self.hashing.finish();
        let actual = actual.map_err(|error| StoreError::io("a blob being written", error))?;
        match expected {
            Some(expected) if expected != actual => Err(StoreError::Mismatch { expected, actual }),
            _ => {
                self.store.place(self.temporary, actual)?;
                Ok(actual)
            }
        }
    }
}
