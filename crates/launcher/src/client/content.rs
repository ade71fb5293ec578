//! Blobs to upload, in memory or in files.

use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::failure::Failure;

/// How much goes into one message of a stream.
const PIECE: usize = 1024 * 1024;

/// Where blobs to upload are.
pub(crate) enum Content {
    Bytes(Bytes),
    File(PathBuf),
}

impl Content {
    /// All of it.
    pub(super) fn read(&self) -> Result<Bytes, Failure> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.clone()),
            Self::File(path) => read_file(path),
        }
    }

    /// All of it, piece by piece.
    pub(super) fn pieces(&self) -> Result<Pieces, Failure> {
        Ok(match self {
            Self::Bytes(bytes) => Pieces::Bytes(bytes.clone()),
            Self::File(path) => {
                let file = std::fs::File::open(path).map_err(Failure::file(path))?;
                Pieces::File(path.clone(), file)
            }
        })
    }
}

fn read_file(path: &Path) -> Result<Bytes, Failure> {
    std::fs::read(path)
        .map(Bytes::from)
        .map_err(Failure::file(path))
}

/// A blob, piece by piece.
pub(super) enum Pieces {
    Bytes(Bytes),
    File(PathBuf, std::fs::File),
}

impl Pieces {
    /// The next piece, never empty.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let piece = match self {
            Self::Bytes(bytes) => bytes.split_to(bytes.len().min(PIECE)),
            Self::File(path, file) => {
                let mut piece = Vec::with_capacity(PIECE);
                let mut limited = Read::take(file, PIECE as u64);
                limited
                    .read_to_end(&mut piece)
                    .map_err(Failure::file(path.as_path()))?;
                piece.into()
            }
        };
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }
}
