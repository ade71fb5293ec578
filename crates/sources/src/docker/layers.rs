//! Layers laid over each other.

use std::collections::BTreeSet;
use std::path::Path;

use headstart_merkle::{DirectoryDigest, Node, Tree, TreeError, TreePath};

use crate::Store;
use crate::error::SourceError;
use crate::tar::{Member, unpack_members};
use crate::unpacking::archive_error;

/// What a name begins with that takes another away.
const WHITEOUT: &str = ".wh.";
/// The name that takes away what layers below have in a directory.
const OPAQUE: &str = ".wh..wh..opq";

/// An image in the making.
pub(super) struct Image<'a> {
    /// As the project writes its address.
    name: &'a str,
    layers: Vec<Layer>,
    store: &'a Store,
}

struct Layer {
    /// The names that are still wanted, as they are written, in their order.
    members: Vec<String>,
    /// All that is in it.
    tree: DirectoryDigest,
}

/// What a layer says of those below it.
#[derive(Default)]
struct Removals {
    names: BTreeSet<String>,
    /// What names begin with.
    below: Vec<String>,
}

impl Removals {
    fn has(&self, member: &str) -> bool {
        self.names.contains(member) || self.below.iter().any(|begin| member.starts_with(begin))
    }

    /// Takes note of a name; whether it is one of these.
    fn take(&mut self, name: &str) -> bool {
        let (folder, base) = name.rsplit_once('/').unwrap_or(("", name));
        if base == OPAQUE {
            self.below.push(match folder {
                "" => String::new(),
                folder => format!("{folder}/"),
            });
            return true;
        }
        let Some(removed) = base.strip_prefix(WHITEOUT) else {
            return false;
        };
        self.names.insert(match folder {
            "" => removed.to_owned(),
            folder => format!("{folder}/{removed}"),
        });
        true
    }
}

impl<'a> Image<'a> {
    pub(super) fn new(name: &'a str, store: &'a Store) -> Self {
        Self {
            name,
            layers: Vec::new(),
            store,
        }
    }

    /// Lays the layer in a file over those that are there.
    pub(super) fn add(&mut self, file: &Path) -> Result<(), SourceError> {
        let mut removals = Removals::default();
        let (mut members, mut known) = (Vec::new(), BTreeSet::new());
        let tree = unpack_members(file, self.name, self.store, |member: &Member<'_>| {
            let name = member.name.trim_end_matches('/');
            if removals.take(name) || name.starts_with("dev/") || !member.is_ordinary {
                return false;
            }
            if known.insert(name.to_owned()) {
                members.push(name.to_owned());
            }
            true
        })?;
        for layer in &mut self.layers {
            layer.members.retain(|member| !removals.has(member));
        }
        self.layers.push(Layer { members, tree });
        Ok(())
    }

    /// The tree of all that is left.
    pub(super) fn finish(self) -> Result<DirectoryDigest, SourceError> {
        let mut image = Tree::empty();
        for layer in &self.layers {
            let mut tree = Tree::stored(layer.tree);
            for member in &layer.members {
                let path = TreePath::normalized(member.trim_start_matches('/'));
                let path = path.map_err(|error| self.misplaced(member, &error.to_string()))?;
                let Some(node) = tree.get(&path, self.store)? else {
                    continue;
                };
                self.put(&mut image, &path, member, node)?;
            }
        }
        Ok(image.write(self.store)?)
    }

    fn put(
        &self,
        image: &mut Tree,
        path: &TreePath,
        member: &str,
        node: Node,
    ) -> Result<(), SourceError> {
        let before = image.get(path, self.store);
        let in_the_way = |error: TreeError| self.misplaced(member, &error.to_string());
        match (node, before.map_err(in_the_way)?) {
            // What is in it is among the members.
            (Node::Directory(_), Some(Node::Directory(_))) => Ok(()),
            (Node::Directory(_), None) => {
                let made = image.make_directory(path, self.store);
                made.map_err(in_the_way)
            }
            (Node::Directory(_), Some(_)) => {
                Err(self.misplaced(member, "a layer below has no directory there"))
            }
            (leaf, before) => {
                if matches!(before, Some(Node::Directory(_))) {
                    let names = image.names(path, self.store)?;
                    if names.is_some_and(|names| !names.is_empty()) {
                        // As BuildStream does it.
                        tracing::warn!(
                            image = self.name,
                            member,
                            "it is left out: a directory is there"
                        );
                        return Ok(());
                    }
                    image.remove(path, self.store)?;
                }
                let put = image.insert(path, leaf, self.store);
                put.map_err(in_the_way)
            }
        }
    }

    fn misplaced(&self, member: &str, reason: &str) -> SourceError {
        archive_error(
            self.name,
            format!("{member:?} in a layer is misplaced: {reason}"),
        )
    }
}
