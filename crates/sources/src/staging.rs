//! All sources of an element, staged together.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use headstart_artifacts::{SourceCache, is_tree_complete};
use headstart_merkle::{DirectoryDigest, Node, Tree, TreePath};
use headstart_plugins::Hosts;
use headstart_project::{
    Archive, Content, Contents, Download, Element, ElementGraph, ElementId, HostedSource, Keys,
    Source, SourceConfig, Submodules,
};
use headstart_store::{BlobStore, Directories};
use rayon::prelude::*;

use crate::capture::digest_of;
use crate::download::{directory_name, fetch};
use crate::error::SourceError;
use crate::hosted::Hosting;
use crate::stats::StatCache;
use crate::tar::Tar;
use crate::unpacking::Format;
use crate::zip::Zip;
use crate::{
    Store, crates, docker, git, go, local, lock, package, patch, patch_queue, remote, tools,
    tree_path, unpacking,
};

/// Fetches and stages the sources of one project's elements.
pub struct Sources {
    project: PathBuf,
    source_dir: PathBuf,
    cache: SourceCache,
    stats: StatCache,
    directories: Arc<Directories<dyn BlobStore>>,
    /// The trees of open workspaces as they were when keys were computed: somebody works in them.
    workspaces: Mutex<HashMap<Arc<str>, DirectoryDigest>>,
    hosts: Arc<Hosts>,
}

impl Sources {
    /// Sources of the project in the folder `project`. Downloads are kept in `source_dir`, staged
    /// trees in `cache` and the store of `directories`, what is known of files in `stats`; `hosts`
    /// run other people's plugins.
    pub fn new(
        project: &Path,
        source_dir: &Path,
        cache: SourceCache,
        stats: StatCache,
        directories: Arc<Directories<dyn BlobStore>>,
        hosts: Arc<Hosts>,
    ) -> Self {
        Self {
            project: project.to_owned(),
            source_dir: source_dir.to_owned(),
            cache,
            stats,
            directories,
            workspaces: Mutex::default(),
            hosts,
        }
    }

    /// Digests what of the project's own files enters keys.
    pub fn contents(&self, graph: &ElementGraph) -> Result<Contents, SourceError> {
        let digest = |content: &Content| match content {
            Content::Tree(path) => Ok::<_, SourceError>(self.local(path, false)?.hex()),
            Content::Workspace(path) => {
                let tree =
                    local::stage_workspace(Path::new(&**path), &self.directories, &self.stats)?;
                self.workspaces().insert(Arc::clone(path), tree);
                Ok(tree.hex())
            }
            Content::File(path) => {
                let path = self.project.join(&**path);
                let failed = |error| SourceError::io(&path, error);
                let mut file = std::fs::File::open(&path).map_err(failed)?;
                Ok(digest_of(&mut file).map_err(failed)?.hex())
            }
        };
        let contents = graph.contents();
        let hashes = contents.into_par_iter().map(|content| {
            let hash = digest(&content)?;
            Ok::<_, SourceError>((content, hash.into()))
        });
        let hashes: Vec<_> = hashes.collect::<Result<_, _>>()?;
        Ok(hashes.into_iter().collect())
    }

    fn workspaces(&self) -> MutexGuard<'_, HashMap<Arc<str>, DirectoryDigest>> {
        self.workspaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The tree of files of the project; `stored` is whether their contents must be in the store.
    fn local(&self, path: &str, stored: bool) -> Result<DirectoryDigest, SourceError> {
        let store = &*self.directories;
        local::stage(&self.project, path, store, &self.stats, stored)
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
        let tree = self.stage_first(element, id, keys, element.sources.len())?;
        if let Some(key) = &key {
            self.cache.write_element_sources(key, tree)?;
        }
        Ok(tree)
    }

    /// The tree of an element's first `count` sources, fetched and staged.
    pub fn stage_first(
        &self,
        element: &Element,
        id: ElementId,
        keys: &Keys,
        count: usize,
    ) -> Result<DirectoryDigest, SourceError> {
        let mut tree = Tree::empty();
        for (index, source) in element.sources.iter().enumerate().take(count) {
            let key = keys.source(id, index).map(|key| key.hex());
            self.add(&mut tree, source, key.as_deref())
                .map_err(|error| error.of(source))?;
        }
        Ok(tree.write(&*self.directories)?)
    }

    fn add(&self, tree: &mut Tree, source: &Source, key: Option<&str>) -> Result<(), SourceError> {
        let store = &*self.directories;
        let directory = source.directory.as_deref().unwrap_or_default();
        let at = TreePath::normalized(directory).map_err(|error| SourceError::Unusable {
            path: directory.into(),
            reason: error.to_string(),
        })?;
        if !source.needs_previous() {
            let staged = self.stage_alone(source, key)?;
            tree.merge(&at, staged, store)?;
            return Ok(());
        }
        if source.is_fetched() {
            tree.make_directory(&at, store)?;
        }
        let before = match tree.get(&at, store)? {
            Some(Node::Directory(digest)) => digest,
            _ => return Err(headstart_merkle::TreeError::NotADirectory(at).into()),
        };
        let after = match &source.config {
            SourceConfig::Patch(patch) => {
                let file = self.project.join(&*patch.path);
                patch::apply(before, &file, patch.strip_level, store)?
            }
            SourceConfig::PatchQueue(queue) => {
                patch_queue::apply(before, queue, &self.project, store)?
            }
            SourceConfig::GoModule(module) => {
                go::stage(module, before, &self.folder(source), store)?
            }
            SourceConfig::Hosted(hosted) => {
                let hosting = self.hosting(source, hosted);
                hosting.fetch(Some(before))?;
                hosting.stage(Some(before))?
            }
            // The others are staged alone.
            _ => before,
        };
        Ok(tree.insert(&at, Node::Directory(after), store)?)
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
        let tree = self.fetch_and_stage(source)?;
        if let Some(key) = key {
            self.cache.write_source(kind, key, tree)?;
        }
        Ok(tree)
    }

    fn fetch_and_stage(&self, source: &Source) -> Result<DirectoryDigest, SourceError> {
        let store = &*self.directories;
        let folder = self.folder(source);
        match &source.config {
            SourceConfig::Local(local) => self.local(&local.path, true),
            SourceConfig::Workspace(workspace) => {
                let tree = self.workspaces().get(&workspace.path).copied();
                tree.ok_or(SourceError::Unresolved)
            }
            SourceConfig::Tar(archive) => stage_archive(archive, &folder, &Tar, store),
            SourceConfig::Zip(archive) => stage_archive(archive, &folder, &Zip, store),
            SourceConfig::Remote(remote) => {
                remote::stage(remote, &fetch_file(&remote.download, &folder)?, store)
            }
            SourceConfig::Git(source) => {
                git::fetch_mirror(source, &folder)?;
                git::stage_mirror(source, &folder, store)
            }
            SourceConfig::GitRepo(source) => {
                git::fetch_repo(source, &folder)?;
                git::stage_repo(source, &folder, store)
            }
            SourceConfig::GitTag(source) => {
                git::fetch_clone(&source.clone, &source.submodules, &folder)?;
                git::stage_clone(&source.clone, &source.submodules, &folder, store)
            }
            SourceConfig::GitModule(source) => {
                git::fetch_clone(&source.clone, &Submodules::none(), &folder)?;
                let files = git::stage_clone(&source.clone, &Submodules::none(), &folder, store)?;
                let mut tree = Tree::empty();
                tree.merge(&tree_path(&source.path)?, files, store)?;
                Ok(tree.write(store)?)
            }
            SourceConfig::Crates(source) => {
                crates::download(source, &folder)?;
                crates::stage(source, &folder, store)
            }
            SourceConfig::GeneratedLock(source) => lock::stage(source, store),
            SourceConfig::PyPi(source) => {
                let file = source.reference.as_ref();
                package::stage(&source.storage, &source.name, file, &folder, store)
            }
            SourceConfig::Cpan(source) => {
                let file = source.reference.as_ref();
                package::stage(&source.index, &source.name, file, &folder, store)
            }
            SourceConfig::Docker(source) => docker::stage(source, &folder, store),
            SourceConfig::Bazaar(source) => tools::stage_bazaar(source, &folder, store),
            SourceConfig::OsTree(source) => {
                tools::stage_ostree(source, &self.project, &folder, store)
            }
            SourceConfig::Hosted(hosted) => {
                let hosting = self.hosting(source, hosted);
                hosting.fetch(None)?;
                hosting.stage(None)
            }
            // Staged by the caller, onto what comes before them.
            SourceConfig::Patch(_) | SourceConfig::PatchQueue(_) | SourceConfig::GoModule(_) => {
                Ok(Tree::empty().write(store)?)
            }
        }
    }

    /// A source whose kind is a plugin.
    pub(crate) fn hosting<'a>(
        &'a self,
        source: &'a Source,
        hosted: &'a HostedSource,
    ) -> Hosting<'a> {
        Hosting {
            hosts: &self.hosts,
            store: &self.directories,
            source,
            hosted,
        }
    }

    /// What of a tree of sources is in the directory of one of them.
    pub(crate) fn below(
        &self,
        tree: DirectoryDigest,
        source: &Source,
    ) -> Result<DirectoryDigest, SourceError> {
        let store = &*self.directories;
        let at = tree_path(source.directory.as_deref().unwrap_or_default())?;
        Ok(match Tree::stored(tree).get(&at, store)? {
            Some(Node::Directory(below)) => below,
            _ => Tree::empty().write(store)?,
        })
    }

    /// Where the downloads of a source's kind are kept.
    pub(crate) fn folder(&self, source: &Source) -> PathBuf {
        self.source_dir.join(source.kind.name())
    }

    pub(crate) fn project(&self) -> &Path {
        &self.project
    }

    pub(crate) fn directories(&self) -> &Store {
        &self.directories
    }
}

fn fetch_file(download: &Download, folder: &Path) -> Result<PathBuf, SourceError> {
    let reference = download.reference.as_deref();
    let reference = reference.ok_or(SourceError::Unresolved)?;
    let folder = folder.join(directory_name(&download.address.url));
    fetch(&download.address, reference, &folder)
}

fn stage_archive(
    archive: &Archive,
    folder: &Path,
    format: &dyn Format,
    store: &Store,
) -> Result<DirectoryDigest, SourceError> {
    let file = fetch_file(&archive.download, folder)?;
    unpacking::stage(
        format,
        &file,
        &archive.base_dir,
        &archive.download.address.url,
        store,
    )
}
