//! `go_module`: a module of Go, put into the `vendor` directory of the sources before it and into the list
//! of what is there, so that `go build` needs no network.
//!
//! The list, `vendor/modules.txt`, is nowhere documented but must agree with `go.mod`; it becomes what
//! BuildStream's plugin makes of it, which imitates `go mod vendor`.

mod requirements;
mod track;
mod version;

use std::path::Path;

use headstart_merkle::{DirectoryDigest, DirectoryReader as _, Name, Node, Tree, TreePath};
use headstart_project::{Explicit, GoModule, GoRef};

pub(crate) use track::{reference, track};

use crate::error::SourceError;
use crate::files::{put_file, text_at};
use crate::git::{fetch_described, files_of};
use crate::{Store, tree_path};
use requirements::Requirements;
use version::release;

/// The tree of the sources before it, with the module.
pub(crate) fn stage(
    source: &GoModule,
    before: DirectoryDigest,
    folder: &Path,
    store: &Store,
) -> Result<DirectoryDigest, SourceError> {
    let reference = source.reference.as_ref().ok_or(SourceError::Unresolved)?;
    fetch_described(&source.address, &reference.commit, folder)?;
    let files = files_of(&source.address, &reference.commit.commit, folder, store)?;
    let files = module_in(source, reference, files, store)?;
    let mut tree = Tree::stored(before);
    tree.merge(&vendored(&source.module)?, files, store)?;
    let entry = entry(source, reference, &mut tree, store)?;
    append(&mut tree, &vendored("modules.txt")?, &entry, store)?;
    Ok(tree.write(store)?)
}

/// Where a thing is in the sources.
fn vendored(path: &str) -> Result<TreePath, SourceError> {
    Ok(tree_path("vendor")?.join(&tree_path(path)?))
}

/// The directory of a repository that has the module.
fn module_in(
    source: &GoModule,
    reference: &GoRef,
    files: DirectoryDigest,
    store: &Store,
) -> Result<DirectoryDigest, SourceError> {
    let mut tree = Tree::stored(files);
    let mut at = tree_path(reference.subdirectory.as_deref().unwrap_or_default())?;
    let Some(Node::Directory(mut found)) = tree.get(&at, store)? else {
        return Err(refuse(
            source,
            &format!("its repository has no directory '{}'", at.as_str()),
        ));
    };
    // Later versions may be beside the first one, in directories of their own.
    let release = release(&reference.version, source.explicit);
    if let Some(major) = release.as_ref().and_then(|release| release.directory()) {
        at = at.join(&tree_path(major)?);
        if let Some(Node::Directory(of_version)) = tree.get(&at, store)? {
            found = of_version;
        }
    }
    Ok(found)
}

fn refuse(source: &GoModule, said: &str) -> SourceError {
    SourceError::Tool {
        doing: format!("the module {} can't be staged", source.module),
        said: said.to_owned(),
    }
}

/// What the list says of the module: its name and version, and all directories with code.
fn entry(
    source: &GoModule,
    reference: &GoRef,
    tree: &mut Tree,
    store: &Store,
) -> Result<String, SourceError> {
    let module = (&*source.module, &*reference.version);
    let text = match reference.explicit {
        Explicit::Said(_) => String::new(),
        Explicit::Ignored | Explicit::Unsaid => text_at(tree, &tree_path("go.mod")?, store)?
            .ok_or_else(|| refuse(source, "the sources before it have no go.mod"))?,
    };
    let requirements = Requirements::parse(&text)?;
    let original = requirements.original(module);
    let explicit = match reference.explicit {
        Explicit::Said(explicit) => explicit,
        _ => requirements.explicit.contains(original.0),
    };
    let at = vendored(original.0)?;
    let mut lines = match explicit {
        false => vec![format!("# {}", module.0)],
        true => {
            let named = match original == module {
                true => format!("# {} {}", module.0, module.1),
                false => {
                    let (old, old_version) = original;
                    format!("# {old} {old_version} => {} {}", module.0, module.1)
                }
            };
            let text = text_at(tree, &at.join(&tree_path("go.mod")?), store)?;
            let mut directives = text.iter().flat_map(|text| text.lines());
            let marked = match directives.find(|line| line.starts_with("go ")) {
                Some(directive) => format!("## explicit; {directive}"),
                None => "## explicit".to_owned(),
            };
            vec![named, marked]
        }
    };
    if let Some(Node::Directory(module)) = tree.get(&at, store)? {
        let name = tree_path(original.0)?;
        lines.extend(packages(module, name.as_str(), store)?);
    }
    Ok(lines.into_iter().map(|line| line + "\n").collect())
}

/// The directories that have code or are modules, each after those that it is in.
fn packages(
    module: DirectoryDigest,
    name: &str,
    store: &Store,
) -> Result<Vec<String>, SourceError> {
    let mut found = Vec::new();
    let mut pending = vec![(module, name.to_owned())];
    while let Some((digest, path)) = pending.pop() {
        let directory = store.read_directory(digest)?;
        let is_code = |name: &Name, node: &Node| {
            let name = name.as_str();
            !matches!(node, Node::Directory(_)) && (name == "go.mod" || name.ends_with(".go"))
        };
        if directory
            .entries
            .iter()
            .any(|(name, node)| is_code(name, node))
        {
            found.push(path.clone());
        }
        // In reverse, as the last is looked at next.
        for (name, node) in directory.entries.iter().rev() {
            if let Node::Directory(below) = node
                && name.as_str() != ".git"
            {
                pending.push((*below, format!("{path}/{}", name.as_str())));
            }
        }
    }
    Ok(found)
}

/// Writes at the end of a file, which is made if it is not there.
fn append(tree: &mut Tree, at: &TreePath, text: &str, store: &Store) -> Result<(), SourceError> {
    let (before, executable) = match tree.get(at, store)? {
        Some(Node::File(file)) => (store.store().read(file.digest)?, file.executable),
        _ => Default::default(),
    };
    let content = [&before, text.as_bytes()].concat();
    put_file(tree, at, content, executable, store)
}
