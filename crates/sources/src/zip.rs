//! `zip`: an archive, unpacked straight into the store.
//!
//! As BuildStream does it, whose means is Python's `zipfile`: no file is executable, links become
//! files that hold their targets, and empty names, `.` and `..` are left out of paths, so that
//! nothing can leave the tree.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use headstart_merkle::{DirectoryDigest, TreePath};
use zip::ZipArchive;
use zip::result::ZipError;

use crate::Store;
use crate::error::SourceError;
use crate::unpacking::{Base, Format, Unpacking, archive_error, parents, unreadable};

/// Archives that `unzip` reads.
pub(crate) struct Zip;

impl Format for Zip {
    fn directories(&self, file: &Path, name: &str) -> Result<BTreeSet<String>, SourceError> {
        let archive = open(file, name)?;
        let mut directories = BTreeSet::new();
        for path in archive.file_names() {
            let path = path.map_err(|error| damaged(name, error))?;
            match path.ends_with('/') {
                // With its slash, as patterns see it.
                true if path != "./" => directories.extend([path.into_owned()]),
                true => {}
                false => directories.extend(parents(&path).filter(|parent| parent != ".")),
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
        let mut archive = open(file, name)?;
        let mut unpacking = Unpacking::new(name, store);
        for index in 0..archive.len() {
            let mut entry = archive
                .by_index(index)
                .map_err(|error| damaged(name, error))?;
            let written = entry
                .name()
                .map_err(|error| damaged(name, error))?
                .into_owned();
            let Some(path) = base.strip(&written) else {
                continue;
            };
            let is_directory = path.ends_with('/');
            let names = path
                .split('/')
                .filter(|name| !matches!(*name, "" | "." | ".."));
            let path = names.collect::<Vec<_>>().join("/");
            let path = TreePath::new(&path).map_err(|error| {
                let reason = format!("{written:?} in it is no path: {error}");
                archive_error(name, reason)
            })?;
            match is_directory {
                _ if path.is_root() => {}
                true => unpacking.directory(&path, &written)?,
                false => unpacking.file(&path, &written, &mut entry, false)?,
            }
        }
        unpacking.finish()
    }
}

fn open(file: &Path, name: &str) -> Result<ZipArchive<BufReader<File>>, SourceError> {
    let opened = File::open(file).map_err(|error| SourceError::io(file, error))?;
    ZipArchive::new(BufReader::new(opened)).map_err(|error| damaged(name, error))
}

fn damaged(name: &str, error: ZipError) -> SourceError {
    unreadable(name, &std::io::Error::other(error))
}
