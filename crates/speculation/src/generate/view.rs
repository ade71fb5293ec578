//! The sandbox as it was staged: several trees, one over the other, each still told apart.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use headstart_merkle::{
    BlobDigest, Directory, DirectoryDigest, Name, Node, SymlinkNode, TreeError, TreePath,
};

use crate::storage::{Storage, content, directory, lookup};
use crate::table::beginning;

/// How many links that lead from one tree into another a path may go through.
const MAX_CROSSINGS: usize = 8;

/// One of the trees.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) of: Of,
    pub(crate) tree: DirectoryDigest,
    pub(crate) at: TreePath,
}

/// Whose tree it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Of {
    Root,
    /// By its place in the list of dependencies.
    Dependency(usize),
    Sources,
}

/// All trees, in the order of staging: later ones lie over earlier ones.
pub(crate) struct View<'a> {
    layers: Vec<Layer>,
    pub(crate) store: &'a dyn Storage,
    known: RefCell<HashMap<TreePath, Rc<Place>>>,
}

/// A directory of the sandbox: what each tree has there.
#[derive(Debug)]
pub(crate) struct Place {
    path: TreePath,
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    /// The tree is staged below here.
    Above { layer: usize },
    In {
        layer: usize,
        /// The path in the layer that leads here, over its own links.
        path: Rc<TreePath>,
        directory: Rc<Listing>,
    },
}

/// A Directory in which many names are looked up.
#[derive(Debug)]
struct Listing {
    directory: Arc<Directory>,
    /// What its names begin with, in their order: the search goes through little memory.
    beginnings: Box<[u64]>,
}

/// A file that a tree has at a path of the sandbox.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) of: Of,
    /// The directory in that tree.
    pub(crate) directory: Rc<TreePath>,
    /// The name in that tree.
    pub(crate) name: Name,
}

impl<'a> View<'a> {
    pub(crate) fn new(layers: Vec<Layer>, store: &'a dyn Storage) -> Self {
        Self {
            layers,
            store,
            known: RefCell::default(),
        }
    }

    /// The sandbox's root.
    pub(crate) fn root(&self) -> Result<Rc<Place>, TreeError> {
        let known = self.known.borrow().get(&TreePath::root()).cloned();
        if let Some(place) = known {
            return Ok(place);
        }
        let mut parts = Vec::new();
        for (number, layer) in self.layers.iter().enumerate() {
            parts.push(if layer.at.is_root() {
                self.enter(number, TreePath::root(), layer.tree)?
            } else {
                Part::Above { layer: number }
            });
        }
        Ok(self.remember(TreePath::root(), parts))
    }

    /// The directory `name` in `place`.
    pub(crate) fn child(&self, place: &Place, name: &Name) -> Result<Rc<Place>, TreeError> {
        self.child_over_links(place, name, MAX_CROSSINGS)
    }

    fn child_over_links(
        &self,
        place: &Place,
        name: &Name,
        links: usize,
    ) -> Result<Rc<Place>, TreeError> {
        let path = place.path.child(name);
        let known = self.known.borrow().get(&path).cloned();
        if let Some(place) = known {
            return Ok(place);
        }
        let mut parts = Vec::new();
        for part in &place.parts {
            match part {
                Part::Above { layer } => parts.extend(self.below(*layer, &path)?),
                Part::In {
                    layer,
                    path: inside,
                    directory,
                } => match directory.get(name) {
                    Some(Node::Directory(digest)) => {
                        parts.push(self.enter(*layer, inside.child(name), *digest)?);
                    }
                    Some(Node::Symlink(link)) => {
                        let inside = inside.child(name);
                        parts.extend(self.follow(*layer, inside, &place.path, link, links)?);
                    }
                    _ => {}
                },
            }
        }
        Ok(self.remember(path, parts))
    }

    /// What lies behind a link to a directory: in its own tree if it leads there, else in others.
    fn follow(
        &self,
        layer: usize,
        inside: TreePath,
        from: &TreePath,
        link: &SymlinkNode,
        links: usize,
    ) -> Result<Vec<Part>, TreeError> {
        let own = lookup(self.store, self.layers[layer].tree, &inside, true)?;
        if let Some(Node::Directory(digest)) = own {
            return Ok(vec![self.enter(layer, inside, digest)?]);
        }
        let Some(links) = links.checked_sub(1) else {
            return Ok(Vec::new());
        };
        let Some(target) = target(from, link) else {
            return Ok(Vec::new());
        };
        Ok(self.at(&target, links)?.parts.clone())
    }

    fn at(&self, path: &TreePath, links: usize) -> Result<Rc<Place>, TreeError> {
        let mut place = self.root()?;
        for component in path.components() {
            if let Ok(name) = Name::new(component) {
                place = self.child_over_links(&place, &name, links)?;
            }
        }
        Ok(place)
    }

    /// The last staged file `name` in `place` that has this content, links followed if `file`.
    pub(crate) fn find(
        &self,
        place: &Place,
        name: &Name,
        wanted: BlobDigest,
        file: bool,
    ) -> Result<Option<Found>, TreeError> {
        self.find_over_links(place, name, wanted, file, MAX_CROSSINGS)
    }

    fn find_over_links(
        &self,
        place: &Place,
        name: &Name,
        wanted: BlobDigest,
        file: bool,
        links: usize,
    ) -> Result<Option<Found>, TreeError> {
        for part in place.parts.iter().rev() {
            let Part::In {
                layer,
                path,
                directory,
            } = part
            else {
                continue;
            };
            let found = || {
                Some(Found {
                    of: self.layers[*layer].of,
                    directory: Rc::clone(path),
                    name: name.clone(),
                })
            };
            let Some(node) = directory.get(name) else {
                continue;
            };
            if content(node) == Some(wanted) && matches!(node, Node::File(_)) == file {
                return Ok(found());
            }
            let Node::Symlink(link) = node else {
                continue;
            };
            if !file {
                continue;
            }
            let own = lookup(
                self.store,
                self.layers[*layer].tree,
                &path.child(name),
                true,
            )?;
            if own.as_ref().and_then(content) == Some(wanted) {
                return Ok(found());
            }
            let elsewhere = self.find_behind(&place.path, link, wanted, links)?;
            if elsewhere.is_some() {
                return Ok(elsewhere);
            }
        }
        Ok(None)
    }

    fn find_behind(
        &self,
        from: &TreePath,
        link: &SymlinkNode,
        wanted: BlobDigest,
        links: usize,
    ) -> Result<Option<Found>, TreeError> {
        let target = target(from, link);
        let (Some(links), Some((parent, name))) =
            (links.checked_sub(1), target.and_then(|path| path.split()))
        else {
            return Ok(None);
        };
        let place = self.at(&parent, links)?;
        self.find_over_links(&place, &name, wanted, true, links)
    }

    fn enter(
        &self,
        layer: usize,
        path: TreePath,
        digest: DirectoryDigest,
    ) -> Result<Part, TreeError> {
        Ok(Part::In {
            layer,
            path: Rc::new(path),
            directory: Rc::new(Listing::of(directory(self.store, digest)?)),
        })
    }

    /// What a layer staged further down has at `path`, if it is on the way there or there.
    fn below(&self, layer: usize, path: &TreePath) -> Result<Option<Part>, TreeError> {
        let Layer { at, tree, .. } = &self.layers[layer];
        match at.strip_prefix(path) {
            Some(rest) if rest.is_root() => Ok(Some(self.enter(layer, rest, *tree)?)),
            Some(_) => Ok(Some(Part::Above { layer })),
            None => Ok(None),
        }
    }

    fn remember(&self, path: TreePath, parts: Vec<Part>) -> Rc<Place> {
        let place = Rc::new(Place {
            path: path.clone(),
            parts,
        });
        self.known.borrow_mut().insert(path, Rc::clone(&place));
        place
    }
}

impl Place {
    /// Whether no tree has anything here or below.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

impl Listing {
    fn of(directory: Arc<Directory>) -> Self {
        let names = directory.entries.keys();
        Self {
            beginnings: names.map(beginning).collect(),
            directory,
        }
    }

    fn get(&self, name: &Name) -> Option<&Node> {
        let wanted = beginning(name);
        let place = self.beginnings.partition_point(|one| *one < wanted);
        if self.beginnings.get(place) != Some(&wanted) {
            return None;
        }
        match self.directory.entries.nth(place) {
            Some((found, node)) if found == name => Some(node),
            // Another begins alike.
            _ => self.directory.entries.get(name),
        }
    }
}

/// Where a link in the directory `from` leads; `None` if out of the sandbox.
fn target(from: &TreePath, link: &SymlinkNode) -> Option<TreePath> {
    let text = match link.target.strip_prefix('/') {
        Some(absolute) => absolute.to_owned(),
        None => format!("{}/{}", from.as_str(), link.target),
    };
    TreePath::normalized(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fixture, path};

    #[test]
    fn files_are_found_where_they_were_staged_and_over_links() {
        let fixture = Fixture::default();
        let base = fixture.tree(&[("lib", "-> usr/lib"), ("usr/lib/libc.so.6", "c")]);
        let zlib = fixture.tree(&[
            ("usr/lib/libz.so", "-> libz.so.1"),
            ("usr/lib/libz.so.1", "z"),
            ("usr/lib/libother.so", "-> libc.so.6"),
            ("usr/lib/libother.so.2", "begins alike"),
            ("usr/lib/libc.so.6", "overlap"),
        ]);
        let sources = fixture.tree(&[("src/a.c", "a")]);
        let layer = |of, tree, at: &str| Layer {
            of,
            tree,
            at: path(at),
        };
        let layers = vec![
            layer(Of::Dependency(0), base, ""),
            layer(Of::Dependency(1), zlib, ""),
            layer(Of::Sources, sources, "buildstream/p/e.bst"),
        ];
        let view = View::new(layers, &fixture.store);
        let check = |at: &str, text: &str, expected: Option<(Of, &str)>| {
            let (parent, name) = path(at).split().unwrap();
            let place = view.at(&parent, MAX_CROSSINGS).unwrap();
            let wanted = BlobDigest::of(text.as_bytes());
            let found = view.find(&place, &name, wanted, true).unwrap();
            let found = found.map(|f| (f.of, f.directory.child(&f.name)));
            assert_eq!(found, expected.map(|(of, at)| (of, path(at))), "{at}");
        };
        let (c, z) = (Of::Dependency(0), Of::Dependency(1));
        check("usr/lib/libc.so.6", "c", Some((c, "usr/lib/libc.so.6")));
        check(
            "usr/lib/libc.so.6",
            "overlap",
            Some((z, "usr/lib/libc.so.6")),
        );
        check("usr/lib/libz.so", "z", Some((z, "usr/lib/libz.so")));
        check("lib/libc.so.6", "c", Some((c, "lib/libc.so.6")));
        check("usr/lib/libother.so", "c", Some((c, "usr/lib/libc.so.6")));
        check("usr/lib/libz.so", "other", None);
        let alike = "usr/lib/libother.so.2";
        check(alike, "begins alike", Some((z, alike)));
        check("usr/lib/libother.so.3", "begins alike", None);
        let own = "buildstream/p/e.bst/src/a.c";
        check(own, "a", Some((Of::Sources, "src/a.c")));
        check("buildstream/p/src/a.c", "a", None);
    }
}
