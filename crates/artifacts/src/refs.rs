//! Artifacts by element and key: `artifacts/refs/PROJECT/ELEMENT/KEY`.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headstart_store::{BlobStore, Directories};

use crate::artifact::{Artifact, Cached};
use crate::files::{self, RefError};

/// Whose artifact: an element, as refs and logs name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ArtifactName {
    /// The project.
    pub project: String,
    /// The element, `/` replaced by `-`, without `.bst`.
    pub element: String,
}

impl ArtifactName {
    /// The name for an element's file in a project. Characters other than letters, digits, `-`,
    /// `.` and `_` become `_`, as in BuildStream.
    pub fn new(project: &str, element: &str) -> Self {
        let element = element
            .strip_suffix(".bst")
            .unwrap_or(element)
            .replace('/', "-");
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let element = element
            .chars()
            .map(|c| if plain(c) { c } else { '_' })
            .collect();
        Self {
            project: project.to_owned(),
            element,
        }
    }
}

/// The artifacts in a cache directory.
pub struct ArtifactCache {
    refs: PathBuf,
    directories: Arc<Directories<dyn BlobStore>>,
}

impl ArtifactCache {
    /// The artifacts of the cache directory `root`, whose content is in `directories`' store.
    pub fn new(root: &Path, directories: Arc<Directories<dyn BlobStore>>) -> Self {
        Self {
            refs: root.join("artifacts/refs"),
            directories,
        }
    }

    /// The artifact under a key, whether or not all of it is still here.
    pub fn read(&self, name: &ArtifactName, key: &str) -> Result<Option<Artifact>, RefError> {
        // What can't be decoded was never written by either program, and is of no use.
        Ok(files::read(&self.path(name, key))?.and_then(Artifact::decode))
    }

    /// The artifact under a key, if all of it is here.
    pub fn find(&self, name: &ArtifactName, key: &str) -> Result<Option<Cached>, RefError> {
        let Some(artifact) = self.read(name, key)? else {
            return Ok(None);
        };
        if !artifact.is_complete(&self.directories)? {
            return Ok(None);
        }
        Ok(Some(if artifact.message().build_success {
            Cached::Success(artifact)
        } else {
            Cached::Failure(artifact)
        }))
    }

    /// Keeps an artifact under each of `keys`; what it refers to must be in the store.
    pub fn write(
        &self,
        name: &ArtifactName,
        keys: &[&str],
        artifact: &Artifact,
    ) -> Result<(), RefError> {
        keys.iter()
            .try_for_each(|key| files::write(&self.path(name, key), artifact.bytes()))
    }

    /// The elements of a project that may have artifacts, as refs name them; others have none.
    pub fn elements(&self, project: &str) -> Result<HashSet<String>, RefError> {
        Ok(names(&self.refs.join(project))?.into_iter().collect())
    }

    /// The names and keys of all artifacts, those that were used last at the end.
    pub fn list(&self) -> Result<Vec<(ArtifactName, String)>, RefError> {
        let mut found = Vec::new();
        for project in names(&self.refs)? {
            for element in names(&self.refs.join(&project))? {
                let name = ArtifactName {
                    project: project.clone(),
                    element,
                };
                let folder = self.refs.join(&name.project).join(&name.element);
                for key in names(&folder)?
                    .into_iter()
                    .filter(|key| !key.starts_with('.'))
                {
                    let path = folder.join(&key);
                    let used = fs::metadata(&path).and_then(|metadata| metadata.modified());
                    // It may be gone by now.
                    if let Ok(used) = used {
                        found.push((used, name.clone(), key));
                    }
                }
            }
        }
        found.sort_by(|left, right| {
            let order = |(used, name, key): &(_, ArtifactName, String)| {
                (
                    *used,
                    name.project.clone(),
                    name.element.clone(),
                    key.clone(),
                )
            };
            order(left).cmp(&order(right))
        });
        Ok(found
            .into_iter()
            .map(|(_, name, key)| (name, key))
            .collect())
    }

    /// Takes an artifact's ref away; its content stays until the store needs room.
    pub fn remove(&self, name: &ArtifactName, key: &str) -> Result<bool, RefError> {
        let path = self.path(name, key);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(RefError::io(&path, error)),
        }
    }

    fn path(&self, name: &ArtifactName, key: &str) -> PathBuf {
        self.refs.join(&name.project).join(&name.element).join(key)
    }
}

/// What is in a folder; nothing if there is no such folder.
fn names(folder: &Path) -> Result<Vec<String>, RefError> {
    let failed = |error| RefError::io(folder, error);
    let entries = match fs::read_dir(folder) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        entries => entries.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        // No ref has a name that is no text.
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use headstart_merkle::{BlobDigest, Directory, FileNode, Name, Node};
    use headstart_reapi::buildstream;
    use headstart_store::MemoryBlobs;

    use super::*;

    #[test]
    fn an_artifact_counts_while_all_of_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = MemoryBlobs::default();
        let shared: Arc<dyn BlobStore> = Arc::new(store.clone());
        let cache = ArtifactCache::new(folder.path(), Arc::new(Directories::new(shared)));
        let name = ArtifactName::new("demo", "base/a+b.bst");
        assert_eq!(name.element, "base-a_b");

        let mut root = Directory::default();
        let file = FileNode::new(BlobDigest::of(b"content"), false);
        root.entries
            .insert(Name::new("file").unwrap(), Node::File(file));
        let public = BlobDigest::of(b"{}");
        let message = buildstream::Artifact {
            version: 2,
            build_success: true,
            files: Some(root.digest().into()),
            public_data: Some(public.into()),
            ..Default::default()
        };
        cache
            .write(&name, &["strong", "weak"], &message.into())
            .unwrap();
        assert!(
            folder
                .path()
                .join("artifacts/refs/demo/base-a_b/weak")
                .is_file()
        );
        for missing in [
            root.encode(),
            Bytes::from_static(b"content"),
            Bytes::from_static(b"{}"),
        ] {
            assert_eq!(cache.find(&name, "strong").unwrap(), None);
            store.write(missing).unwrap();
        }
        assert!(matches!(
            cache.find(&name, "strong").unwrap(),
            Some(Cached::Success(_))
        ));
        let elements = HashSet::from([name.element.clone()]);
        assert_eq!(cache.elements("demo").unwrap(), elements);
        assert_eq!(cache.elements("other").unwrap(), HashSet::new());
        assert!(cache.remove(&name, "strong").unwrap());
        assert!(!cache.remove(&name, "strong").unwrap());
        assert_eq!(cache.read(&name, "strong").unwrap(), None);
    }

    #[test]
    fn unknown_fields_survive() {
        let folder = tempfile::tempdir().unwrap();
        let shared: Arc<dyn BlobStore> = Arc::new(MemoryBlobs::default());
        let cache = ArtifactCache::new(folder.path(), Arc::new(Directories::new(shared)));
        let name = ArtifactName::new("p", "e.bst");
        let path = folder.path().join("artifacts/refs/p/e/k");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Field 1000, a varint, which no version of the message has.
        fs::write(&path, [0x08, 0x02, 0xc0, 0x3e, 0x01]).unwrap();
        let artifact = cache.read(&name, "k").unwrap().unwrap();
        cache.write(&name, &["l"], &artifact).unwrap();
        assert_eq!(
            fs::read(&path).unwrap(),
            fs::read(path.with_file_name("l")).unwrap()
        );
    }
}
