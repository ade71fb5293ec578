//! Directories of the host: taken into the store, and written out again.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

use bytes::Bytes;
use headstart_merkle::{
    BlobDigest, Directory, DirectoryDigest, DirectoryReader, DirectoryWriter, FileNode, Hasher,
    Name, Node, Properties, SymlinkNode,
};
use headstart_store::{BlobStore, StoreError};
use rayon::prelude::*;

use crate::Store;
use crate::error::SourceError;
use crate::stats::Table;

/// Files up to this size are read into memory once. Larger ones are written to the store while they
/// are hashed, unless it is likely that the store has them: those are hashed first.
const SMALL: u64 = 4 * 1024 * 1024;

/// Takes a directory with all below it into the store. Only names, contents, symbolic links and the
/// owner's `x` count.
pub fn capture_directory(folder: &Path, store: &Store) -> Result<DirectoryDigest, SourceError> {
    Capture::all(store).root(folder)
}

/// How files are taken into the store.
#[derive(Clone, Copy)]
pub(crate) struct Capture<'a> {
    store: &'a Store,
    known: Option<Known<'a>>,
    /// Whether times of modification count.
    times: bool,
}

/// What is known of files already.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) table: &'a Table,
    /// Whether the files' contents must be in the store, and not just their digests be known.
    pub(crate) stored: bool,
}

impl<'a> Capture<'a> {
    /// Every file is read.
    pub(crate) fn all(store: &'a Store) -> Self {
        Self {
            store,
            known: None,
            times: false,
        }
    }

    /// Files that have not changed since they were last read are not read again.
    pub(crate) fn changed(store: &'a Store, known: Known<'a>) -> Self {
        Self {
            known: Some(known),
            ..Self::all(store)
        }
    }

    /// Times of modification of files and of directories below the first count too.
    pub(crate) fn with_times(self) -> Self {
        Self {
            times: true,
            ..self
        }
    }

    /// Takes a directory into the store, whose own time never counts.
    pub(crate) fn root(self, folder: &Path) -> Result<DirectoryDigest, SourceError> {
        self.directory(folder, Properties::default())
    }

    fn properties(self, metadata: &Metadata) -> Properties {
        let time = (metadata.mtime(), metadata.mtime_nsec());
        Properties::of(self.times.then_some(time), None)
    }

    fn directory(
        self,
        folder: &Path,
        properties: Properties,
    ) -> Result<DirectoryDigest, SourceError> {
        let entries = fs::read_dir(folder).map_err(|error| SourceError::io(folder, error))?;
        let entries: Vec<_> = entries
            .collect::<Result<_, _>>()
            .map_err(|error| SourceError::io(folder, error))?;
        let nodes = entries.par_iter().map(|entry| {
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_str().and_then(|name| Name::new(name).ok());
            let name = name.ok_or_else(|| unusable(&path, "its name is not UTF-8"))?;
            Ok::<_, SourceError>((name, self.node(&path)?))
        });
        let entries: Vec<_> = nodes.collect::<Result<_, _>>()?;
        let encoded = Directory {
            entries: entries.into_iter().collect(),
            properties,
        }
        .encode();
        let digest = DirectoryDigest::of(&encoded);
        self.store.write_directory(digest, encoded)?;
        Ok(digest)
    }

    /// Takes a file, link or directory into the store.
    pub(crate) fn node(self, path: &Path) -> Result<Node, SourceError> {
        let metadata = fs::symlink_metadata(path).map_err(|error| SourceError::io(path, error))?;
        let kind = metadata.file_type();
        if kind.is_dir() {
            let properties = self.properties(&metadata);
            Ok(Node::Directory(self.directory(path, properties)?))
        } else if kind.is_symlink() {
            let target = fs::read_link(path).map_err(|error| SourceError::io(path, error))?;
            let target = target
                .to_str()
                .ok_or_else(|| unusable(path, "its target is not UTF-8"))?;
            Ok(Node::Symlink(SymlinkNode::new(target)))
        } else if kind.is_file() {
            let executable = metadata.permissions().mode() & 0o100 != 0;
            let digest = self.file(path, &metadata)?;
            Ok(Node::File(FileNode {
                properties: self.properties(&metadata),
                ..FileNode::new(digest, executable)
            }))
        } else {
            Err(unusable(
                path,
                "only files, directories and symbolic links can be sources",
            ))
        }
    }

    fn file(self, path: &Path, metadata: &Metadata) -> Result<BlobDigest, SourceError> {
        let store = self.store.store();
        let mut is_new = true;
        if let Some(Known { table, stored }) = self.known
            && let Some(digest) = table.find(path, metadata)
        {
            if !stored || store.contains(digest)? {
                return Ok(digest);
            }
            is_new = false;
        }
        let digest = match metadata.len() {
            ..=SMALL => {
                let content = fs::read(path).map_err(|error| SourceError::io(path, error))?;
                store.write(Bytes::from(content))?
            }
            _ => self.large_file(path, is_new)?,
        };
        if let Some(Known { table, .. }) = self.known {
            table.note(path, metadata, &digest);
        }
        Ok(digest)
    }

    fn large_file(self, path: &Path, is_new: bool) -> Result<BlobDigest, SourceError> {
        let failed = |error| SourceError::io(path, error);
        let store = self.store.store();
        let open = || File::open(path).map_err(failed);
        // Of a directory of which nothing is known it is not likely that the store has its files.
        if self.known.is_some() && is_new {
            return keep(&mut open()?, &**store, None, failed);
        }
        let digest = digest_of(&mut open()?).map_err(failed)?;
        if !store.contains(digest)? {
            keep(&mut open()?, &**store, Some(digest), failed)?;
        }
        Ok(digest)
    }
}

/// Puts all that a reader gives into the store; `failed` makes the error of reading.
pub(crate) fn keep(
    from: &mut dyn Read,
    store: &dyn BlobStore,
    expected: Option<BlobDigest>,
    failed: impl Fn(io::Error) -> SourceError,
) -> Result<BlobDigest, SourceError> {
    let mut writer = store.writer()?;
    let mut piece = vec![0; 256 * 1024];
    loop {
        match from.read(&mut piece).map_err(&failed)? {
            0 => return Ok(writer.finish(expected)?),
            size => writer
                .write_all(&piece[..size])
                .map_err(|error| StoreError::io("the cache", error))?,
        }
    }
}

/// The digest of all that a reader gives.
pub(crate) fn digest_of(reader: &mut dyn Read) -> io::Result<BlobDigest> {
    let mut hasher = Hasher::default();
    let mut piece = vec![0; 256 * 1024];
    loop {
        match reader.read(&mut piece)? {
            0 => return Ok(hasher.finish()),
            size => hasher.update(&piece[..size]),
        }
    }
}

/// Writes a stored tree into an existing, empty directory.
pub fn write_out(root: DirectoryDigest, folder: &Path, store: &Store) -> Result<(), SourceError> {
    let mut pending = vec![(root, folder.to_owned())];
    while let Some((digest, folder)) = pending.pop() {
        for (name, node) in &store.read_directory(digest)?.entries {
            let path = folder.join(name.as_str());
            let failed = |error| SourceError::io(&path, error);
            match node {
                Node::Directory(child) => {
                    fs::create_dir(&path).map_err(failed)?;
                    pending.push((*child, path));
                }
                Node::Symlink(link) => symlink(&*link.target, &path).map_err(failed)?,
                Node::File(file) => {
                    let mode = if file.executable { 0o755 } else { 0o644 };
                    let content = store.store().read(file.digest)?;
                    let mut options = File::options();
                    let created = options.write(true).create_new(true).mode(mode).open(&path);
                    created
                        .and_then(|mut created| created.write_all(&content))
                        .map_err(failed)?;
                }
            }
        }
    }
    Ok(())
}

fn unusable(path: &Path, reason: &str) -> SourceError {
    SourceError::Unusable {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use headstart_store::{Directories, MemoryBlobs};

    use super::*;

    #[test]
    fn a_directory_comes_back_as_it_was() {
        let store: Store = Directories::new(Arc::new(MemoryBlobs::default()) as Arc<dyn BlobStore>);
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(from.path().join("sub/empty")).unwrap();
        fs::write(from.path().join("sub/script"), "#!/bin/sh\n").unwrap();
        let executable = fs::Permissions::from_mode(0o700);
        fs::set_permissions(from.path().join("sub/script"), executable).unwrap();
        fs::write(from.path().join("large"), vec![7; SMALL as usize + 1]).unwrap();
        symlink("sub/script", from.path().join("link")).unwrap();

        let digest = capture_directory(from.path(), &store).unwrap();
        write_out(digest, to.path(), &store).unwrap();
        assert_eq!(capture_directory(to.path(), &store).unwrap(), digest);
        let mode = fs::metadata(to.path().join("sub/script"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o755);
        assert!(to.path().join("sub/empty").is_dir());
    }

    #[test]
    fn what_is_no_file_is_named() {
        let store: Store = Directories::new(Arc::new(MemoryBlobs::default()) as Arc<dyn BlobStore>);
        let folder = tempfile::tempdir().unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
        let error = capture_directory(folder.path(), &store)
            .unwrap_err()
            .to_string();
        assert!(error.contains("socket: only files"), "{error}");
    }
}
