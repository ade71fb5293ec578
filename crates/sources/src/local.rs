//! `local`: files of the project itself.

use std::path::Path;

use headstart_merkle::{Directory, DirectoryDigest, DirectoryWriter, Name, Node};

use crate::Store;
use crate::capture::capture_node;
use crate::error::SourceError;

/// The tree of a path of the project: a directory as it is, or a directory that holds just the file.
pub(crate) fn stage(
    project: &Path,
    path: &str,
    store: &Store,
) -> Result<DirectoryDigest, SourceError> {
    let full = project.join(path);
    match capture_node(&full, store)? {
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
