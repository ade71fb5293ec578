//! Trees of the store as files that nobody has made: a file system in user space (FUSE).
//!
//! Whatever tree is asked for is there at once, however large it is; what it costs is what is looked at.
//! One file system shows all trees, each below its root by its digest's name, so that files that trees
//! have in common are one inode and stay in the kernel's memory for all of them. Nothing ever changes:
//! the kernel may remember names, attributes, contents and what is not there for as long as it likes,
//! asks for each once, and is never asked to tell of files being opened.

mod contents;
mod filesystem;
mod mounted;
mod nodes;

pub use mounted::TreeFs;
