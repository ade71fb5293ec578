//! A world for tests and simulations: stores in memory, trees and actions from text, projects whose
//! compiler is a hash. What can't be made here is a mistake in a test, and panics.
#![allow(clippy::unwrap_used, clippy::panic)]

pub mod random;
#[cfg(test)]
pub(crate) mod session;
pub mod world;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use headstart_execution::{Answered, Subaction};
use headstart_merkle::{
    ActionDigest, BlobDigest, DirectoryDigest, FileNode, Node, SymlinkNode, Tree, TreePath,
};
use headstart_reapi::{Message, reapi};
use headstart_store::{BlobStore, Directories, MemoryBlobs};

/// A store in memory.
pub struct Fixture {
    /// What is in it.
    pub store: Directories<MemoryBlobs>,
}

impl Default for Fixture {
    fn default() -> Self {
        Self {
            store: Directories::new(Arc::new(MemoryBlobs::default())),
        }
    }
}

/// A path from text.
pub fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

/// A node from text: `-> target` is a link, `+content` an executable file.
pub fn node(text: &str) -> Node {
    if let Some(target) = text.strip_prefix("-> ") {
        return Node::Symlink(SymlinkNode::new(target));
    }
    let (content, executable) = match text.strip_prefix('+') {
        Some(content) => (content, true),
        None => (text, false),
    };
    Node::File(FileNode::new(
        BlobDigest::of(content.as_bytes()),
        executable,
    ))
}

/// A static library of these objects.
pub fn archive(members: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut archive = b"!<arch>\n".to_vec();
    for (number, member) in members.iter().enumerate() {
        let member = member.as_ref();
        let name = format!("m{number}.o/");
        archive.extend(format!("{name:<16}{:32}{:<10}`\n", "", member.len()).as_bytes());
        archive.extend_from_slice(member);
        if member.len() % 2 == 1 {
            archive.push(b'\n');
        }
    }
    archive
}

impl Fixture {
    /// Keeps a blob.
    pub fn write(&self, content: impl Into<Bytes>) -> BlobDigest {
        self.store.store().write(content.into()).unwrap()
    }

    /// A tree of `files`: path and text as for [`node`].
    pub fn tree(&self, files: &[(&str, &str)]) -> DirectoryDigest {
        let mut tree = Tree::empty();
        for (at, text) in files {
            let content = text.strip_prefix('+').unwrap_or(text);
            self.write(content.to_owned());
            tree.insert(&path(at), node(text), &self.store).unwrap();
        }
        tree.write(&self.store).unwrap()
    }

    /// An action that runs `arguments` (split at blanks) in `root`, its outputs being `outputs`.
    pub fn action(
        &self,
        root: DirectoryDigest,
        arguments: &str,
        working_directory: &str,
        outputs: &[&str],
    ) -> ActionDigest {
        let command = reapi::Command {
            arguments: arguments.split(' ').map(str::to_owned).collect(),
            output_paths: outputs.iter().map(|&o| o.to_owned()).collect(),
            working_directory: working_directory.to_owned(),
            ..Default::default()
        };
        let action = reapi::Action {
            command_digest: Some(self.write(command.encode_to_vec()).into()),
            input_root_digest: Some(root.into()),
            ..Default::default()
        };
        self.write(action.encode_to_vec()).cast()
    }

    /// A recorded action with files as outputs.
    pub fn recorded(&self, action: ActionDigest, outputs: &[(&str, &str)]) -> Subaction {
        Subaction {
            action,
            result: self.result(outputs).into(),
            answered: Answered::Executed,
            duration: Duration::from_millis(100),
        }
    }

    /// A result with these outputs, as for [`node`].
    pub fn result(&self, outputs: &[(&str, &str)]) -> reapi::ActionResult {
        let mut result = reapi::ActionResult::default();
        for (at, text) in outputs {
            match node(text) {
                Node::File(file) => result.output_files.push(reapi::OutputFile {
                    path: (*at).to_owned(),
                    digest: Some(file.digest.into()),
                    is_executable: file.executable,
                    ..Default::default()
                }),
                Node::Symlink(link) => result.output_symlinks.push(reapi::OutputSymlink {
                    path: (*at).to_owned(),
                    target: link.target.to_string(),
                    ..Default::default()
                }),
                Node::Directory(_) => {}
            }
            self.write(text.strip_prefix('+').unwrap_or(text).to_owned());
        }
        result
    }
}
