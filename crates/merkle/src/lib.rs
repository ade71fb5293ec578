//! Content digests, paths inside trees, and the graph of REAPI Directories.
//!
//! Everything here is pure: no clock, no file, no socket. Directories come from and go to whoever
//! implements [`DirectoryReader`] and [`DirectoryWriter`]. Invariant: a value that exists is valid.
//! Messages are checked once, when they are decoded; what is encoded is canonical, so that equal
//! trees have equal digests.

pub mod digest;
pub mod directory;
mod extent;
pub mod path;
pub mod tree;
mod walk;

pub use digest::{ActionDigest, BlobDigest, CommandDigest, Digest, DirectoryDigest, Hasher};
pub use directory::{
    Directory, Entries, FileNode, InvalidDirectory, MODIFIED, Node, Properties, SymlinkNode,
};
pub use extent::{Extent, MAX_DEPTH, MAX_ENTRIES, extent, extents};
pub use path::{Name, TreePath};
pub use tree::{
    Ahead, DirectoryReader, DirectoryWriter, Everywhere, Guide, MemoryDirectories, Merged, Tree,
    TreeError,
};
pub use walk::{Difference, Visit, diff, each_directory, tree_blobs, walk};
