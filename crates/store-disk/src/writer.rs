//! A blob that comes piece by piece: written, and hashed beside that when it is long.

use std::io::{self, Write};
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
        pieces: SyncSender<Bytes>,
        thread: JoinHandle<Hasher>,
    },
}

impl Hashing {
    /// Goes on in a thread of its own, if there can be one.
    fn beside(hasher: Hasher) -> Self {
        let (pieces, waiting) = sync_channel::<Bytes>(WAITING);
        let mut theirs = hasher.clone();
        let hash = move || {
            for piece in waiting {
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
    fn put(&mut self, piece: &[u8]) -> io::Result<usize> {
        match self.temporary.file().write(piece) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull && self.store.made_room() => {
                self.temporary.file().write(piece)
            }
            written => written,
        }
    }
}

impl Write for DiskWriter {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let written = self.put(piece)?;
        let piece = &piece[..written];
        match &mut self.hashing {
            Hashing::Here(hasher) => hasher.update(piece),
            Hashing::Beside { pieces, .. } => {
                let sent = pieces.send(Bytes::copy_from_slice(piece));
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
    fn write_piece(&mut self, piece: Bytes) -> io::Result<()> {
        if self.written >= LONG
            && let Hashing::Here(hasher) = &self.hashing
        {
            self.hashing = Hashing::beside(hasher.clone());
        }
        let Hashing::Beside { pieces, .. } = &self.hashing else {
            return self.write_all(&piece);
        };
        let sent = pieces.send(piece.clone());
        sent.map_err(|_| io::ErrorKind::BrokenPipe)?;
        let mut left = &piece[..];
        while !left.is_empty() {
            match self.put(left)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => left = &left[written..],
            }
        }
        self.written += piece.len() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>, expected: Option<BlobDigest>) -> Result<BlobDigest, StoreError> {
        let actual = self.hashing.finish();
        let actual = actual.map_err(|error| StoreError::io("a blob being written", error))?;
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
