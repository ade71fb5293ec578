//! `tar`: an archive, unpacked straight into the store.
//!
//! As BuildStream does it: the first directory, in order of names, that matches `base-dir` is what
//! is unpacked; devices are passed over; an entry that would leave the tree is an error.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use headstart_merkle::{DirectoryDigest, TreePath};
use tar::{Archive, Entry, EntryType};

use crate::Store;
use crate::error::SourceError;
use crate::unpacking::{Base, Format, Unpacking, archive_error, parents, unreadable};

/// Archives that `tar` reads, compressed or not.
pub(crate) struct Tar;

impl Format for Tar {
    fn directories(&self, file: &Path, name: &str) -> Result<BTreeSet<String>, SourceError> {
        let failed = |error| unreadable(name, &error);
        let mut archive = Archive::new(open(file).map_err(failed)?);
        let mut directories = BTreeSet::new();
        for entry in archive.entries().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = text(&entry.path_bytes(), name)?;
            let path = path.trim_start_matches(['.', '/']).trim_end_matches('/');
            directories.extend(parents(path));
            if entry.header().entry_type().is_dir() && !path.is_empty() {
                directories.insert(path.to_owned());
            }
        }
        Ok(directories)
    }

    fn unpack(
        &self,
        file: &Path,
        base: &Base,
        name: &str,
        store: &Store,
    ) -> Result<DirectoryDigest, SourceError> {
        let failed = |error| unreadable(name, &error);
        let mut archive = Archive::new(open(file).map_err(failed)?);
        let mut unpacking = Unpacking::new(name, store);
        for entry in archive.entries().map_err(failed)? {
            add(&mut unpacking, base, entry.map_err(failed)?)?;
        }
        unpacking.finish()
    }
}

/// The first name of the first path in the archive.
pub(crate) fn first_name(file: &Path, name: &str) -> Result<Option<String>, SourceError> {
    let failed = |error| unreadable(name, &error);
    let mut archive = Archive::new(open(file).map_err(failed)?);
    let Some(entry) = archive.entries().map_err(failed)?.next() else {
        return Ok(None);
    };
    let path = text(&entry.map_err(failed)?.path_bytes(), name)?;
    Ok(path.split('/').next().map(str::to_owned))
}

/// The archive's content, uncompressed; by what compression, its first bytes tell.
fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let mut file = File::open(path)?;
    let mut magic = Vec::new();
    (&mut file).take(6).read_to_end(&mut magic)?;
    file.rewind()?;
    let file = BufReader::with_capacity(256 * 1024, file);
    Ok(match &*magic {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        [b'B', b'Z', b'h', ..] => Box::new(bzip2::bufread::MultiBzDecoder::new(file)),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(file))
        }
        [b'L', b'Z', b'I', b'P', ..] => {
            let decoder = liblzma::stream::Stream::new_lzip_decoder(u64::MAX, 0)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(file, decoder))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::Decoder::with_buffer(file)?),
        _ => Box::new(file),
    })
}

/// An entry's path or a link's target as text.
fn text(bytes: &[u8], archive: &str) -> Result<String, SourceError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| {
        let name = String::from_utf8_lossy(bytes);
        archive_error(archive, format!("the name {name:?} in it is not UTF-8"))
    })
}

fn add(
    unpacking: &mut Unpacking<'_>,
    base: &Base,
    mut entry: Entry<'_, Box<dyn Read>>,
) -> Result<(), SourceError> {
    let archive = unpacking.archive;
    let written = text(&entry.path_bytes(), archive)?;
    let Some(path) = inside(base, &written, archive)? else {
        return Ok(());
    };
    match entry.header().entry_type() {
        EntryType::Directory => unpacking.directory(&path, &written),
        EntryType::Symlink => {
            let target = link_target(&entry, &written, archive)?;
            unpacking.symlink(&path, &written, &target)
        }
        EntryType::Link => {
            let target = link_target(&entry, &written, archive)?;
            let target = inside(base, &target, archive)?;
            unpacking.link(&path, &written, target.as_ref())
        }
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            let mode = entry.header().mode().unwrap_or(0o644);
            unpacking.file(&path, &written, &mut entry, mode & 0o100 != 0)
        }
        // Devices, and headers that say nothing of a file.
        _ => Ok(()),
    }
}

/// Where an entry goes; `None` if it is not below the base.
fn inside(base: &Base, written: &str, archive: &str) -> Result<Option<TreePath>, SourceError> {
    let Some(path) = base.strip(written) else {
        return Ok(None);
    };
    let outside = |reason: String| {
        let reason = format!("{written:?} in it leads outside: {reason}");
        archive_error(archive, reason)
    };
    if path.starts_with('/') {
        return Err(outside("it is absolute".to_owned()));
    }
    let path = TreePath::normalized(path).map_err(|error| outside(error.to_string()))?;
    Ok(if path.is_root() { None } else { Some(path) })
}

fn link_target(
    entry: &Entry<'_, Box<dyn Read>>,
    written: &str,
    archive: &str,
) -> Result<String, SourceError> {
    match entry.link_name_bytes() {
        Some(target) => text(&target, archive),
        None => {
            let reason = format!("{written:?} is a link to nowhere");
            Err(archive_error(archive, reason))
        }
    }
}
