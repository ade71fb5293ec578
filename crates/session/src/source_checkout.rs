//! Writing elements' sources out of the cache: each in a folder named after its element, those of a
//! joined project in one named after the junction.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use headstart_assemble::{AssembleError, BareBuild, bare_build_all, bare_commands};
use headstart_merkle::{FileNode, Node, Tree, TreePath};
use headstart_project::{Config, Element, ElementId};
use headstart_store::BlobStore as _;
use serde_json::json;

use crate::checkout::{CheckoutError, Compression};
use crate::error::SessionError;
use crate::session::{Loaded, Session};
use crate::source_info::Told;

/// Where to write sources to.
pub enum SourceTarget<'a> {
    /// A folder.
    Directory {
        /// Which.
        path: &'a Path,
        /// Whether it may have something in it already.
        force: bool,
    },
    /// A tar archive.
    Tar(&'a mut dyn Write, Compression),
}

/// Whether scripts that build elements on the machine itself are written beside their sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildScripts {
    /// They are.
    Included,
    /// They are not.
    Left,
}

impl Session {
    /// Writes the sources of elements, fetched if need be, to `target`.
    pub fn checkout_sources(
        &self,
        loaded: &Loaded,
        elements: &[ElementId],
        target: SourceTarget<'_>,
        scripts: BuildScripts,
    ) -> Result<(), CheckoutError> {
        let mut tree = self.sources_tree(loaded, elements)?;
        if scripts == BuildScripts::Included {
            self.add_scripts(loaded, elements, &mut tree)?;
        }
        let tree = tree.write(&*self.directories)?;
        match target {
            SourceTarget::Directory { path, force } => self.write_to(tree, path, false, force),
            SourceTarget::Tar(writer, compression) => {
                self.write_compressed(tree, writer, compression)
            }
        }
    }

    fn sources_tree(&self, loaded: &Loaded, elements: &[ElementId]) -> Result<Tree, CheckoutError> {
        let mut tree = Tree::empty();
        for id in elements {
            let element = &loaded.graph[*id];
            if element.sources.is_empty() {
                continue;
            }
            let staged = self.obtain_sources(loaded, *id)?;
            let at = place(&folder(element), &element.full_name)?;
            tree.merge(&at, staged, &*self.directories)?;
        }
        Ok(tree)
    }

    /// Adds a script for each element that can be built without a sandbox, and one that runs them.
    fn add_scripts(
        &self,
        loaded: &Loaded,
        elements: &[ElementId],
        tree: &mut Tree,
    ) -> Result<(), CheckoutError> {
        let mut names = Vec::new();
        let mut taken = BTreeSet::new();
        for id in elements {
            let element = &loaded.graph[*id];
            let Some(commands) = self.commands_of(loaded, *id)? else {
                continue;
            };
            let sources = folder(element);
            let build = BareBuild {
                element,
                sources: &sources,
                commands: &commands,
            };
            // Elements of two projects may be called alike.
            let short = format!("build-{}", element.normal_name());
            let name = match taken.insert(short.clone()) {
                true => short,
                false => format!("build-{}", sources.replace('/', "-")),
            };
            self.add_script(tree, place(&name, &element.full_name)?, build.script())?;
            names.push(name);
        }
        let at = place("build.sh", "build.sh")?;
        self.add_script(tree, at, bare_build_all(&names))
    }

    fn add_script(&self, tree: &mut Tree, at: TreePath, text: String) -> Result<(), CheckoutError> {
        let digest = self.store.write(text.into_bytes().into())?;
        let node = Node::File(FileNode::new(digest, true));
        Ok(tree.insert(&at, node, &*self.directories)?)
    }

    /// The commands that build an element without a sandbox, if its kind has such.
    fn commands_of(&self, loaded: &Loaded, id: ElementId) -> Result<Option<String>, SessionError> {
        let element = &loaded.graph[id];
        let Config::Hosted(hosted) = &element.config else {
            return Ok(bare_commands(element));
        };
        let mut answers = Told::new(self, loaded);
        let described = answers.with_others(|others| {
            let describe = self.hosts.describe();
            describe.hosted(element, &hosted.dependencies, others)
        });
        let request = json!({"do": "build-script", "element": described});
        let answer = self.hosts.request(&request, &mut answers);
        let answer = answer.map_err(|error| AssembleError::Plugin {
            kind: element.plugin.kind.to_string(),
            origin: element.plugin.origin.to_string(),
            error: Box::new(error),
        })?;
        Ok(answer.as_str().map(str::to_owned))
    }
}

/// The folder of an element's sources: below those of the junctions that lead to it.
fn folder(element: &Element) -> String {
    element.normal_path().join("/")
}

/// A path below what is checked out, for something called `name`.
fn place(path: &str, name: &str) -> Result<TreePath, CheckoutError> {
    let path = TreePath::normalized(path).map_err(|error| io::Error::other(error.to_string()));
    path.map_err(|source| CheckoutError::Io {
        path: name.into(),
        source,
    })
}
