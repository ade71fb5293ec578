//! `tar`: an archive, unpacked straight into the store.
//!
//! As BuildStream does it: the first directory, in order of names, that matches `base-dir` is what
//! is unpacked; devices are passed over; an entry that would leave the tree is an error.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;

use headstart_merkle::{DirectoryDigest, TreePath};
use tar::{Archive, Entry, EntryType};

use crate::Store;
use crate::error::SourceError;
use crate::unpacking::{Base, Format, Unpacking, archive_error, parents, unreadable};

/// Bytes that one entry may have before its content: long names and the like.
const MAX_HEADERS: usize = 1 << 20;

/// Archives that `tar` reads, compressed or not.
pub(crate) struct Tar;

impl Format for Tar {
    fn directories(&self, file: &Path, name: &str) -> Result<BTreeSet<String>, SourceError> {
        let mut directories = BTreeSet::new();
        each(file, name, |entry| {
            let path = text(&entry.path_bytes(), name)?;
            let path = path.trim_start_matches(['.', '/']).trim_end_matches('/');
            directories.extend(parents(path));
            if entry.header().entry_type().is_dir() && !path.is_empty() {
                directories.insert(path.to_owned());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(directories)
    }

    fn unpack(
        &self,
        file: &Path,
        base: &Base,
        name: &str,
        store: &Store,
    ) -> Result<DirectoryDigest, SourceError> {
        let mut unpacking = Unpacking::new(name, store);
        each(file, name, |entry| {
            add(&mut unpacking, base, entry)?;
            Ok(ControlFlow::Continue(()))
        })?;
        unpacking.finish()
    }
}

/// An entry of an archive.
pub(crate) struct Member<'a> {
    /// Its path, as written.
    pub(crate) name: &'a str,
    /// Whether it is a directory, a file or a link.
    pub(crate) is_ordinary: bool,
}

/// The tree of those entries of an archive that are wanted, wherever they say that they begin.
pub(crate) fn unpack_members(
    file: &Path,
    name: &str,
    store: &Store,
    mut wanted: impl FnMut(&Member<'_>) -> bool,
) -> Result<DirectoryDigest, SourceError> {
    let mut unpacking = Unpacking::new(name, store);
    each(file, name, |entry| {
        let written = text(&entry.path_bytes(), name)?;
        let kind = entry.header().entry_type();
        let member = Member {
            name: &written,
            is_ordinary: matches!(
                kind,
                EntryType::Directory
                    | EntryType::Symlink
                    | EntryType::Link
                    | EntryType::Regular
                    | EntryType::Continuous
                    | EntryType::GNUSparse
            ),
        };
        if wanted(&member) {
            add(&mut unpacking, &Base::Unrooted, entry)?;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    unpacking.finish()
}

/// The first name of the first path in the archive.
pub(crate) fn first_name(file: &Path, name: &str) -> Result<Option<String>, SourceError> {
    let mut first = None;
    each(file, name, |entry| {
        let path = text(&entry.path_bytes(), name)?;
        first = path.split('/').next().map(str::to_owned);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(first)
}

type TarEntry<'a> = Entry<'a, Limited>;

/// Calls `look` with each entry of an archive, up to one that it breaks at.
fn each(
    file: &Path,
    name: &str,
    mut look: impl FnMut(&mut TarEntry<'_>) -> Result<ControlFlow<()>, SourceError>,
) -> Result<(), SourceError> {
    let failed = |error| unreadable(name, &error);
    let left = Rc::new(Cell::new(None));
    let mut archive = Archive::new(Limited {
        reader: open(file).map_err(failed)?,
        left: Rc::clone(&left),
    });
    let mut entries = archive.entries().map_err(failed)?;
    loop {
        // What stands between the contents of two entries is held in memory.
        left.set(Some(MAX_HEADERS));
        let Some(entry) = entries.next() else {
            return Ok(());
        };
        left.set(None);
        let mut entry = entry.map_err(failed)?;
        if look(&mut entry)?.is_break() {
            return Ok(());
        }
        io::copy(&mut entry, &mut io::sink()).map_err(failed)?;
    }
}

/// A reader that gives no more than is left, if that is limited.
struct Limited {
    reader: Box<dyn Read>,
    left: Rc<Cell<Option<usize>>>,
}

impl Read for Limited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(left) = self.left.get() else {
            return self.reader.read(buffer);
        };
        if left == 0 && !buffer.is_empty() {
            let problem = format!("an entry has more than {MAX_HEADERS} bytes of headers");
            return Err(io::Error::other(problem));
        }
        let len = buffer.len().min(left);
        let read = self.reader.read(&mut buffer[..len])?;
        self.left.set(Some(left - read));
        Ok(read)
    }
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
    entry: &mut TarEntry<'_>,
) -> Result<(), SourceError> {
    let archive = unpacking.archive;
    let written = text(&entry.path_bytes(), archive)?;
    let Some(path) = inside(base, &written, archive)? else {
        return Ok(());
    };
    match entry.header().entry_type() {
        EntryType::Directory => unpacking.directory(&path, &written),
        EntryType::Symlink => {
            let target = link_target(entry, &written, archive)?;
            unpacking.symlink(&path, &written, &target)
        }
        EntryType::Link => {
            let target = link_target(entry, &written, archive)?;
            let target = inside(base, &target, archive)?;
            unpacking.link(&path, &written, target.as_ref())
        }
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            let mode = entry.header().mode().unwrap_or(0o644);
            unpacking.file(&path, &written, entry, mode & 0o100 != 0)
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

fn link_target(entry: &TarEntry<'_>, written: &str, archive: &str) -> Result<String, SourceError> {
    match entry.link_name_bytes() {
        Some(target) => text(&target, archive),
        None => {
            let reason = format!("{written:?} is a link to nowhere");
            Err(archive_error(archive, reason))
        }
    }
}
