//! Sources: fetched, checked, and staged into the store. One file a kind.
//!
//! What comes in from outside is hostile: an archive can't write outside the tree it is staged to,
//! and nothing is used whose digest is not the one that the project gives. Staged trees and
//! downloads are kept where BuildStream keeps them, under the same keys.

mod capture;
mod download;
mod error;
mod local;
mod patch;
mod remote;
mod staging;
mod tarball;

pub use capture::{capture_directory, write_out};
pub use error::SourceError;
pub use staging::Sources;
