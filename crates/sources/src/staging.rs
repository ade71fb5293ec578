//! All sources of an element, staged together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use headstart_artifacts::{SourceCache, is_tree_complete};
use headstart_merkle::{DirectoryDigest, Node, Tree, TreePath};
use headstart_project::{
    Content, Contents, Element, ElementGraph, ElementId, Keys, Source, SourceConfig,
};
use headstart_store::{BlobStore, Directories};

use crate::capture::digest_of;
use crate::error::SourceError;
use crate::{download, local, patch, remote, tarball};

/// Fetches and stages the sources of one project's elements.
pub struct Sources {
    project: PathBuf,
    source_dir: PathBuf,
    cache: SourceCache,
    directories: Arc<Directories<dyn BlobStore>>,
}

impl Sources {
    /// Sources of the project in the folder `project`. Downloads are kept in `source_dir`, staged
    /// trees in `cache` and the store of `directories`.
    pub fn new(
        project: &Path,
        source_dir: &Path,
        cache: SourceCache,
        directories: Arc<Directories<dyn BlobStore>>,
    ) -> Self {
        Self {
            project: project.to_owned(),
            source_dir: source_dir.to_owned(),
            cache,
            directories,
        }
    }

    /// Digests what of the project's own files enters keys; what is staged is in the store then.
    pub fn contents(&self, graph: &ElementGraph) -> Result<Contents, SourceError> {
        let digest = |content: &Content| match content {
            Content::Tree(path) => {
                Ok::<_, SourceError>(local::stage(&self.project, path, &self.directories)?.hex())
            }
            Content::File(path) => {
                let path = self.project.join(&**path);
                let failed = |error| SourceError::io(&path, error);
                let mut file = std::fs::File::open(&path).map_err(failed)?;
                Ok(digest_of(&mut file).map_err(failed)?.hex())
            }
        };
        let mut contents = Contents::default();
        for content in graph.contents() {
            let hash = digest(&content)?;
            contents.insert(content, hash);
        }
        Ok(contents)
    }

    /// The tree of all sources of an element, fetched and staged if it is not cached.
    pub fn stage(
        &self,
        element: &Element,
        id: ElementId,
        keys: &Keys,
    ) -> Result<DirectoryDigest, SourceError> {
        let key = keys.element_sources(id).map(|key| key.hex());
        if let Some(key) = &key
            && let Some(tree) = self.cache.element_sources(key)?
            && is_tree_complete(tree, &self.directories)?
        {
            return Ok(tree);
        }
        let mut tree = Tree::empty();
        for (index, source) in element.sources.iter().enumerate() {
            let key = keys.source(id, index).map(|key| key.hex());
            self.add(&mut tree, source, key.as_deref())
                .map_err(|error| error.of(source))?;
        }
        let tree = tree.write(&*self.directories)?;
        if let Some(key) = &key {
            self.cache.write_element_sources(key, tree)?;
        }
        Ok(tree)
    }

    fn add(&self, tree: &mut Tree, source: &Source, key: Option<&str>) -> Result<(), SourceError> {
        let store = &*self.directories;
        let directory = source.directory.as_deref().unwrap_or_default();
        let at = TreePath::normalized(directory).map_err(|error| SourceError::Unusable {
            path: directory.into(),
            reason: error.to_string(),
        })?;
        if let SourceConfig::Patch(patch) = &source.config {
            let before = match tree.get(&at, store)? {
                Some(Node::Directory(digest)) => digest,
                _ => return Err(headstart_merkle::TreeError::NotADirectory(at).into()),
            };
            let file = self.project.join(&*patch.path);
            let after = patch::apply(before, &file, patch.strip_level, store)?;
            return Ok(tree.insert(&at, Node::Directory(after), store)?);
        }
        let staged = self.stage_alone(source, key)?;
        tree.merge(&at, staged, store)?;
        Ok(())
    }

    /// The tree of a source that does not need those before it.
    fn stage_alone(
        &self,
        source: &Source,
        key: Option<&str>,
    ) -> Result<DirectoryDigest, SourceError> {
        let kind = source.kind.name();
        if let Some(key) = key
            && let Some(tree) = self.cache.source(kind, key)?
            && is_tree_complete(tree, &self.directories)?
        {
            return Ok(tree);
        }
        let store = &*self.directories;
        let tree = match &source.config {
            SourceConfig::Local(local) => local::stage(&self.project, &local.path, store)?,
            SourceConfig::Tar(tar) => tarball::stage(
                tar,
                &download::fetch(&tar.download, kind, &self.source_dir)?,
                store,
            )?,
            SourceConfig::Remote(remote) => {
                let file = download::fetch(&remote.download, kind, &self.source_dir)?;
                remote::stage(remote, &file, store)?
            }
            // Staged by the caller, onto what comes before it.
            SourceConfig::Patch(_) => Tree::empty().write(store)?,
        };
        if let Some(key) = key {
            self.cache.write_source(kind, key, tree)?;
        }
        Ok(tree)
    }
}
