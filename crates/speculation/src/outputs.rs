//! What an action left behind, by path in the tree it ran in.

use std::collections::BTreeMap;

use headstart_merkle::{
    BlobDigest, Digest, DirectoryDigest, DirectoryReader, DirectoryWriter, FileNode,
    MemoryDirectories, Node, Properties, SymlinkNode, TreeError, TreePath, Visit, walk,
};
use headstart_reapi::{Message, reapi};
use headstart_store::read_message;

use crate::storage::{SpeculationError, Storage};

/// Files and links that an action left, also those inside output directories.
#[derive(Debug, Default)]
pub(crate) struct Outputs(BTreeMap<TreePath, Node>);

impl Outputs {
    /// The outputs in `result` of a command that ran in `working_directory`. What would lie outside
    /// the tree is left out.
    pub(crate) fn of(
        result: &reapi::ActionResult,
        working_directory: &TreePath,
        store: &dyn Storage,
    ) -> Result<Self, SpeculationError> {
        let mut outputs = Self::default();
        let place = |path: &str| {
            TreePath::normalized(&format!("{}/{path}", working_directory.as_str())).ok()
        };
        for file in &result.output_files {
            let digest = file.digest.as_ref().map(Digest::try_from);
            if let (Some(path), Some(Ok(digest))) = (place(&file.path), digest) {
                let node = FileNode {
                    digest,
                    executable: file.is_executable,
                    properties: Properties::from_message(file.node_properties.clone()),
                };
                outputs.0.insert(path, Node::File(node));
            }
        }
        let links = result.output_symlinks.iter();
        let older = result.output_file_symlinks.iter();
        for link in links.chain(older).chain(&result.output_directory_symlinks) {
            if let Some(path) = place(&link.path) {
                let node = SymlinkNode {
                    target: link.target.as_str().into(),
                    properties: Properties::from_message(link.node_properties.clone()),
                };
                outputs.0.insert(path, Node::Symlink(node));
            }
        }
        for directory in &result.output_directories {
            if let Some(path) = place(&directory.path) {
                outputs.add_directory(&path, directory, store)?;
            }
        }
        Ok(outputs)
    }

    pub(crate) fn get(&self, path: &TreePath) -> Option<&Node> {
        self.0.get(path)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&TreePath, &Node)> {
        self.0.iter()
    }

    fn add_directory(
        &mut self,
        at: &TreePath,
        directory: &reapi::OutputDirectory,
        store: &dyn Storage,
    ) -> Result<(), SpeculationError> {
        if let Some(root) = &directory.root_directory_digest {
            if let Ok(root) = DirectoryDigest::try_from(root) {
                self.add_tree(at, root, store)?;
            }
            return Ok(());
        }
        let Some(Ok(tree)) = directory.tree_digest.as_ref().map(BlobDigest::try_from) else {
            return Ok(());
        };
        let tree: reapi::Tree = read_message(store.blobs(), tree, "a Tree")?;
        let inside = MemoryDirectories::default();
        let add = |directory: reapi::Directory| -> Result<DirectoryDigest, TreeError> {
            let encoded = directory.encode_to_vec();
            let digest = DirectoryDigest::of(&encoded);
            inside.write_directory(digest, encoded.into())?;
            Ok(digest)
        };
        let root = add(tree.root.unwrap_or_default())?;
        for child in tree.children {
            add(child)?;
        }
        self.add_tree(at, root, &inside)
    }

    fn add_tree(
        &mut self,
        at: &TreePath,
        root: DirectoryDigest,
        reader: &(impl DirectoryReader + ?Sized),
    ) -> Result<(), SpeculationError> {
        walk(reader, root, &mut |path, node| {
            if !matches!(node, Node::Directory(_)) {
                self.0.insert(at.join(path), node.clone());
            }
            Visit::Enter
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::content;
    use crate::testing::Fixture;

    #[test]
    fn files_links_and_directories_of_both_forms_are_outputs() {
        let fixture = Fixture::default();
        let inner = fixture.tree(&[("x/deep", "deep"), ("link", "-> x")]);
        let root = store_directory(&fixture, inner);
        let tree = reapi::Tree {
            root: Some(root),
            children: vec![store_directory(&fixture, fixture.tree(&[("deep", "deep")]))],
        };
        let tree = fixture.write(tree.encode_to_vec());
        let file = reapi::OutputFile {
            path: "../a.o".into(),
            digest: Some(fixture.write("object").into()),
            is_executable: true,
            ..Default::default()
        };
        let result = reapi::ActionResult {
            output_files: vec![file],
            output_symlinks: vec![reapi::OutputSymlink {
                path: "b".into(),
                target: "a".into(),
                ..Default::default()
            }],
            output_directories: vec![
                reapi::OutputDirectory {
                    path: "stored".into(),
                    root_directory_digest: Some(inner.into()),
                    ..Default::default()
                },
                reapi::OutputDirectory {
                    path: "packed".into(),
                    tree_digest: Some(tree.into()),
                    ..Default::default()
                },
            ],
            ..Default::default()
        };
        let wd = TreePath::new("build/sub").unwrap();
        let outputs = Outputs::of(&result, &wd, &fixture.store).unwrap();
        let found: Vec<_> = outputs.iter().map(|(path, _)| path.to_string()).collect();
        let expected = [
            "build/a.o",
            "build/sub/b",
            "build/sub/packed/link",
            "build/sub/packed/x/deep",
            "build/sub/stored/link",
            "build/sub/stored/x/deep",
        ];
        assert_eq!(found, expected);
        let object = outputs.get(&TreePath::new("build/a.o").unwrap()).unwrap();
        assert!(matches!(object, Node::File(file) if file.executable));
        assert_eq!(content(object), Some(fixture.write("object")));
    }

    fn store_directory(fixture: &Fixture, digest: DirectoryDigest) -> reapi::Directory {
        let directory = fixture.store.read_directory(digest).unwrap();
        directory.to_message()
    }
}
