//! Laying the artifacts of dependencies over each other.

use headstart_merkle::{DirectoryDigest, DirectoryReader, Node, Tree, TreePath, Visit, walk};
use headstart_project::{ElementId, Pattern, SplitFilter};
use headstart_store::{BlobStore, Directories};

use crate::assembly::{AssembleError, Trees};

pub(crate) type Store = Directories<dyn BlobStore>;

/// An artifact in a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedArtifact {
    /// The element whose artifact it is.
    pub element: ElementId,
    /// Its files.
    pub tree: DirectoryDigest,
    /// Where they were staged.
    pub at: TreePath,
}

/// The tree of a sandbox while it is put together.
pub(crate) struct Staging<'a> {
    trees: &'a Trees<'a>,
    pub(crate) tree: Tree,
    pub(crate) staged: Vec<StagedArtifact>,
    warnings: Vec<(&'static str, String)>,
}

impl<'a> Staging<'a> {
    pub(crate) fn new(trees: &'a Trees<'a>) -> Self {
        Self {
            trees,
            tree: Tree::empty(),
            staged: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Stages elements with their runtime dependencies at `place`.
    pub(crate) fn stage(
        &mut self,
        elements: &[ElementId],
        place: &str,
    ) -> Result<(), AssembleError> {
        for id in self.trees.graph.run_scope_of(elements) {
            self.stage_one(id, place, None)?;
        }
        Ok(())
    }

    /// Stages one element's artifact, or what `filter` takes of it.
    pub(crate) fn stage_one(
        &mut self,
        id: ElementId,
        place: &str,
        filter: Option<&SplitFilter<'_>>,
    ) -> Result<(), AssembleError> {
        let at = place_path(place)?;
        let store = self.trees.directories;
        let Some(mut tree) = (self.trees.artifact)(id) else {
            return Ok(());
        };
        if let Some(filter) = filter {
            tree = filtered(tree, filter, store)?;
        }
        let merged = self.tree.merge(&at, tree, store)?;
        self.staged.push(StagedArtifact {
            element: id,
            tree,
            at: at.clone(),
        });
        self.warn(
            id,
            "overlaps",
            "hides files of elements staged before it",
            merged.overwritten,
            &at,
        );
        self.warn(
            id,
            "unstaged-files",
            "could not put files where directories are",
            merged.ignored,
            &at,
        );
        Ok(())
    }

    fn warn(
        &mut self,
        id: ElementId,
        name: &'static str,
        what: &str,
        paths: Vec<TreePath>,
        at: &TreePath,
    ) {
        let whitelist = self.trees.public(id).whitelist();
        let element = &self.trees.graph[id];
        let counts = |path: &TreePath| {
            let inside = path.strip_prefix(at).unwrap_or_else(|| path.clone());
            name != "overlaps" || !is_listed(&whitelist, &inside)
        };
        let paths: Vec<String> = paths
            .into_iter()
            .filter(counts)
            .map(|path| format!("/{path}"))
            .collect();
        if let Some(first) = paths.first() {
            let more = match paths.len() {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            self.warnings
                .push((name, format!("{} {what}: {first}{more}", element.name)));
        }
    }

    /// What was noticed while staging for an element; an error if its project says that such a thing
    /// is fatal.
    pub(crate) fn finish_warnings(&mut self, of: ElementId) -> Result<Vec<String>, AssembleError> {
        let warnings = std::mem::take(&mut self.warnings);
        let project = self.trees.graph.project(of);
        let is_fatal = |name: &str| project.is_some_and(|project| project.is_fatal(name));
        if let Some((name, text)) = warnings.iter().find(|(name, _)| is_fatal(name)) {
            return Err(AssembleError::FatalWarning {
                name,
                text: text.clone(),
            });
        }
        Ok(warnings
            .into_iter()
            .map(|(name, text)| format!("[{name}] {text}"))
            .collect())
    }
}

fn is_listed(whitelist: &[Pattern], path: &TreePath) -> bool {
    let path = format!("/{path}");
    whitelist.iter().any(|pattern| pattern.matches(&path))
}

/// A directory of the sandbox as a path in its tree.
pub(crate) fn place_path(place: &str) -> Result<TreePath, AssembleError> {
    TreePath::normalized(place)
        .map_err(|error| AssembleError::Element(format!("{place:?} is no directory: {error}")))
}

/// The files of `tree` that `filter` takes, with the directories that lead to them.
pub(crate) fn filtered(
    tree: DirectoryDigest,
    filter: &SplitFilter<'_>,
    store: &Store,
) -> Result<DirectoryDigest, AssembleError> {
    let mut taken = Tree::empty();
    for path in manifest(tree, Some(filter), store)? {
        copy(&mut Tree::stored(tree), &mut taken, &path, store)?;
    }
    Ok(taken.write(store)?)
}

/// The paths in `tree` that `filter` takes; directories count by their own path.
pub(crate) fn manifest(
    tree: DirectoryDigest,
    filter: Option<&SplitFilter<'_>>,
    store: &Store,
) -> Result<Vec<TreePath>, AssembleError> {
    let mut paths = Vec::new();
    walk(store, tree, &mut |path, _| {
        if filter.is_none_or(|filter| filter.takes(path.as_str())) {
            paths.push(path.clone());
        }
        Visit::Enter
    })?;
    Ok(paths)
}

/// Copies what is at `path`; of a directory just that it is there.
pub(crate) fn copy(
    from: &mut Tree,
    to: &mut Tree,
    path: &TreePath,
    store: &Store,
) -> Result<(), AssembleError> {
    match from.get(path, store)? {
        None => {}
        Some(Node::Directory(_)) => to.make_directory(path, store)?,
        Some(leaf) => to.insert(path, leaf, store)?,
    }
    Ok(())
}

/// Whether a directory holds nothing.
pub(crate) fn is_empty(tree: DirectoryDigest, store: &Store) -> Result<bool, AssembleError> {
    Ok(store.read_directory(tree)?.entries.is_empty())
}

/// The integration commands of `elements`, each with the element it comes from.
pub(crate) fn integration_commands(
    trees: &Trees<'_>,
    elements: Vec<ElementId>,
) -> Vec<(ElementId, String)> {
    let each = elements.into_iter().map(|id| {
        let commands = effective_integration(trees, id);
        commands.into_iter().map(move |command| (id, command))
    });
    each.flatten().collect()
}

/// An element's integration commands; a filter may take over those of what it filters.
pub(crate) fn effective_integration(trees: &Trees<'_>, id: ElementId) -> Vec<String> {
    let public = trees.public(id);
    let own = public.integration_commands.iter();
    let own = own.map(|command| command.to_string());
    match &trees.graph[id].config {
        headstart_project::Config::Filter(filter) if filter.pass_integration => {
            effective_integration(trees, filter.filtered)
                .into_iter()
                .chain(own)
                .collect()
        }
        _ => own.collect(),
    }
}
