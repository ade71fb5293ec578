//! `local`: files of the project itself; and open workspaces.

use std::path::Path;

use headstart_merkle::{Directory, DirectoryDigest, DirectoryWriter, Name, Node};

use crate::Store;
use crate::capture::{Capture, Known};
use crate::error::SourceError;
use crate::stats::StatCache;

/// The tree of an open workspace, with times of modification; its contents are put into the store.
pub(crate) fn stage_workspace(
    folder: &Path,
    store: &Store,
    stats: &StatCache,
) -> Result<DirectoryDigest, SourceError> {
    let table = stats.open(folder);
    let known = Known {
        table: &table,
        stored: true,
    };
    let tree = Capture::changed(store, known).with_times().root(folder)?;
    table.close();
    Ok(tree)
}

/// The tree of a path of the project: a directory as it is, or a directory that holds just the file.
///
/// Where the cache of stats knows a file, it is not read again; `stored` is whether its content must
/// be in the store.
pub(crate) fn stage(
    project: &Path,
    path: &str,
    store: &Store,
    stats: &StatCache,
    stored: bool,
) -> Result<DirectoryDigest, SourceError> {
    let full = project.join(path);
    let table = stats.open(&full);
    let known = Known {
        table: &table,
        stored,
    };
    let node = Capture::changed(store, known).node(&full)?;
    table.close();
    match node {
        Node::Directory(digest) => Ok(digest),
        node => {
            let name = full
                .file_name()
                .and_then(|name| Name::new(name.to_str()?).ok());
            let name = name.ok_or_else(|| SourceError::Unusable {
                path: full.clone(),
                reason: "its name is not UTF-8".to_owned(),
            })?;
            let encoded = Directory {
                entries: [(name, node)].into(),
                ..Default::default()
            }
            .encode();
            let digest = DirectoryDigest::of(&encoded);
            store.write_directory(digest, encoded)?;
            Ok(digest)
        }
    }
}
