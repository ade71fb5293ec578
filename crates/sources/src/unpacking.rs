//! What the kinds of archives have in common: entries that become a tree in the store, and that
//! can't stand anywhere but below its root.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::Path;

use headstart_merkle::{DirectoryDigest, FileNode, Node, SymlinkNode, Tree, TreeError, TreePath};
use headstart_project::Pattern;

use crate::Store;
use crate::capture::keep;
use crate::error::SourceError;

/// A format of archives.
pub(crate) trait Format {
    /// All directories in the archive: those that it names, and those that others are in. `name` is
    /// what errors call the archive.
    fn directories(&self, file: &Path, name: &str) -> Result<BTreeSet<String>, SourceError>;

    /// The tree of what is below `base` in the archive in `file`.
    fn unpack(
        &self,
        file: &Path,
        base: &Base,
        name: &str,
        store: &Store,
    ) -> Result<DirectoryDigest, SourceError>;
}

/// The tree that the archive in `file` stages; `base_dir` is a pattern, `name` what errors call it.
pub(crate) fn stage(
    format: &dyn Format,
    file: &Path,
    base_dir: &str,
    name: &str,
    store: &Store,
) -> Result<DirectoryDigest, SourceError> {
    let base = match base_dir {
        "" => Base::All,
        pattern => Base::find(&format.directories(file, name)?, pattern, name)?,
    };
    format.unpack(file, &base, name, store)
}

/// What of an archive is unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Base {
    /// All of it.
    All,
    /// All of it, also if paths begin with slashes.
    Unrooted,
    /// What is below a directory, which has a slash at its end.
    Below(String),
    /// What is in any directory, without the first name of each path.
    InAny,
}

impl Base {
    /// The directory to unpack: the first of `directories`, in the order of characters, that
    /// matches `pattern`.
    pub(crate) fn find(
        directories: &BTreeSet<String>,
        pattern: &str,
        archive: &str,
    ) -> Result<Self, SourceError> {
        let matcher = Pattern::new(&format!("/{}", pattern.trim_start_matches('/')));
        let mut matching = directories.iter();
        let base = matching.find(|path| matcher.matches(&format!("/{path}")));
        let reason = || format!("nothing in it matches the base-dir {pattern:?}");
        let base = base.ok_or_else(|| archive_error(archive, reason()))?;
        Ok(Self::Below(format!("{}/", base.trim_end_matches('/'))))
    }

    /// An entry's path below the base, or none if it is not there.
    pub(crate) fn strip<'a>(&self, path: &'a str) -> Option<&'a str> {
        match self {
            Self::All => Some(path),
            Self::Unrooted => Some(path.trim_start_matches('/')),
            Self::Below(base) => {
                let path = path.strip_prefix("./").unwrap_or(path);
                path.strip_prefix(base.as_str())
            }
            Self::InAny => path.split_once('/').map(|(_, below)| below),
        }
    }
}

/// The directories that a path leads through.
pub(crate) fn parents(path: &str) -> impl Iterator<Item = String> + '_ {
    let parents = path.match_indices('/').map(|(at, _)| path[..at].to_owned());
    parents.filter(|parent| !parent.is_empty())
}

/// An archive on its way into the store.
pub(crate) struct Unpacking<'a> {
    /// As the project writes its address.
    pub(crate) archive: &'a str,
    tree: Tree,
    store: &'a Store,
}

impl<'a> Unpacking<'a> {
    pub(crate) fn new(archive: &'a str, store: &'a Store) -> Self {
        Self {
            archive,
            tree: Tree::empty(),
            store,
        }
    }

    pub(crate) fn finish(self) -> Result<DirectoryDigest, SourceError> {
        Ok(self.tree.write(self.store)?)
    }

    pub(crate) fn directory(&mut self, path: &TreePath, written: &str) -> Result<(), SourceError> {
        let made = self.tree.make_directory(path, self.store);
        made.map_err(|error| self.misplaced(written, error))
    }

    /// Puts a file's content into the store; a later entry of the same name takes its place.
    pub(crate) fn file(
        &mut self,
        path: &TreePath,
        written: &str,
        content: &mut dyn Read,
        executable: bool,
    ) -> Result<(), SourceError> {
        let failed = |error| unreadable(self.archive, &error);
        let digest = keep(content, &**self.store.store(), None, failed)?;
        self.put(path, written, Node::File(FileNode::new(digest, executable)))
    }

    pub(crate) fn symlink(
        &mut self,
        path: &TreePath,
        written: &str,
        target: &str,
    ) -> Result<(), SourceError> {
        self.put(path, written, Node::Symlink(SymlinkNode::new(target)))
    }

    /// Another name for what stands at `target`.
    pub(crate) fn link(
        &mut self,
        path: &TreePath,
        written: &str,
        target: Option<&TreePath>,
    ) -> Result<(), SourceError> {
        let node = target.map(|target| self.tree.get(target, self.store));
        let node = node.transpose()?.flatten().ok_or_else(|| {
            let target = match target {
                Some(target) => format!("{:?}, which", target.as_str()),
                None => "something that".to_owned(),
            };
            let reason = format!("{written:?} is a link to {target} is not in it");
            archive_error(self.archive, reason)
        })?;
        self.put(path, written, node)
    }

    fn put(&mut self, path: &TreePath, written: &str, node: Node) -> Result<(), SourceError> {
        self.tree
            .insert(path, node, self.store)
            .map_err(|error| self.misplaced(written, error))
    }

    /// The error for an entry that can't stand where it says.
    fn misplaced(&self, written: &str, error: TreeError) -> SourceError {
        match error {
            TreeError::NotADirectory(_) | TreeError::IsADirectory(_) => archive_error(
                self.archive,
                format!("{written:?} in it is misplaced: {error}"),
            ),
            error => error.into(),
        }
    }
}

pub(crate) fn archive_error(archive: &str, reason: String) -> SourceError {
    SourceError::Archive {
        archive: archive.to_owned(),
        reason,
    }
}

/// The error for an archive that can't be read to its end.
pub(crate) fn unreadable(archive: &str, error: &io::Error) -> SourceError {
    // Its words may hold some of the archive's bytes: nothing that a terminal would act on.
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let said: String = error.to_string().chars().map(plain).collect();
    archive_error(archive, format!("it is no archive, or damaged: {said}"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Cursor, Write as _};
    use std::sync::Arc;

    use headstart_store::{BlobStore, MemoryBlobs};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::tar::Tar;
    use crate::zip::Zip;

    fn store() -> Store {
        Store::new(Arc::new(MemoryBlobs::default()) as Arc<dyn BlobStore>)
    }

    /// An archive with entries of all kinds, some of which must not be unpacked where they say.
    fn tar_archive() -> Vec<u8> {
        let mut builder = ::tar::Builder::new(Vec::new());
        for (path, kind, link) in [
            ("a/file", ::tar::EntryType::Regular, None),
            (
                "a/link",
                ::tar::EntryType::Symlink,
                Some("../../etc/passwd"),
            ),
            ("a/hard", ::tar::EntryType::Link, Some("a/file")),
            ("a/directory", ::tar::EntryType::Directory, None),
            ("a/device", ::tar::EntryType::Char, None),
        ] {
            let mut header = ::tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(0o755);
            header.set_path(path).unwrap();
            if let Some(link) = link {
                header.set_link_name(link).unwrap();
            }
            let content: &[u8] = if kind.is_file() { b"content" } else { b"" };
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn zip_archive() -> Vec<u8> {
        let mut writer = ::zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = ::zip::write::SimpleFileOptions::default();
        for path in ["a/file", "a/../../up", "/a/absolute"] {
            writer.start_file(path, options).unwrap();
            writer.write_all(b"content, content, content").unwrap();
        }
        writer.add_directory("a/directory", options).unwrap();
        writer.finish().unwrap().into_inner()
    }

    /// Unpacks an archive; whether it could be is of no account.
    fn unpack(bytes: &[u8]) -> [bool; 4] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("archive");
        fs::write(&file, bytes).unwrap();
        ["", "*"]
            .map(|base| {
                [
                    stage(&Tar, &file, base, "archive", &store()).is_ok(),
                    stage(&Zip, &file, base, "archive", &store()).is_ok(),
                ]
            })
            .concat()
            .try_into()
            .unwrap()
    }

    #[test]
    fn archives_are_what_their_content_says() {
        assert_eq!(unpack(&tar_archive()), [true, false, true, false]);
        assert_eq!(unpack(&zip_archive()), [false, true, false, true]);
    }

    /// The archive in each way that archives are compressed in, and as it is.
    fn compressed(archive: &[u8]) -> Vec<Vec<u8>> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(archive).unwrap();
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(archive).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
        xz.write_all(archive).unwrap();
        vec![
            archive.to_vec(),
            gzip.finish().unwrap(),
            bzip2.finish().unwrap(),
            xz.finish().unwrap(),
            zstd::encode_all(archive, 1).unwrap(),
        ]
    }

    #[test]
    fn compressed_archives_are_unpacked() {
        for archive in compressed(&tar_archive()) {
            assert_eq!(unpack(&archive), [true, false, true, false]);
        }
    }

    /// A quarter of a gigabyte of zeros in some megabytes, as the name of an entry: a name is held in memory, this
    /// one is not.
    #[test]
    fn names_that_swell_take_no_memory() {
        let peak = || {
            let status = fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let number = line.unwrap().trim().trim_end_matches(" kB");
            number.parse::<usize>().unwrap() << 10
        };
        for kind in [
            ::tar::EntryType::GNULongName,
            ::tar::EntryType::GNULongLink,
            ::tar::EntryType::XHeader,
            ::tar::EntryType::XGlobalHeader,
        ] {
            let mut header = ::tar::Header::new_gnu();
            header.set_path("long").unwrap();
            header.set_entry_type(kind);
            header.set_size(1 << 40);
            header.set_cksum();
            let level = flate2::Compression::fast();
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
            gzip.write_all(header.as_bytes()).unwrap();
            for _ in 0..256 {
                gzip.write_all(&[0; 1 << 20]).unwrap();
            }
            let archive = gzip.finish().unwrap();
            assert!(archive.len() < 8 << 20);
            let before = peak();
            assert_eq!(unpack(&archive), [false; 4], "{kind:?}");
            assert!(
                peak() - before < 64 << 20,
                "{kind:?}: {} bytes",
                peak() - before
            );
        }
    }

    proptest! {
        // What fails is told by the test itself; nothing is written beside the sources.
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 256, ..Default::default() })]

        /// Whatever is in an archive, it is unpacked or refused; and nothing can be beside the tree
        /// that it becomes, for that is never on disk. What is damaged is the archive itself, or what it
        /// is compressed to.
        #[test]
        fn damaged_archives_are_unpacked_or_refused(
            changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            end in any::<prop::sample::Index>(),
            cut in any::<bool>(),
        ) {
            let damaged = |mut archive: Vec<u8>| {
                for (at, byte) in &changes {
                    let at = at.index(archive.len());
                    archive[at] = *byte;
                }
                if cut {
                    archive.truncate(end.index(archive.len()));
                }
                archive
            };
            unpack(&damaged(zip_archive()));
            for archive in compressed(&tar_archive()) {
                unpack(&damaged(archive));
            }
            for archive in compressed(&damaged(tar_archive())) {
                unpack(&archive);
            }
        }
    }
}
