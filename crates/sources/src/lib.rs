//! Sources: fetched, checked, and staged into the store. One file a kind.
//!
//! What comes in from outside is hostile: an archive can't write outside the tree it is staged to,
//! and nothing is used whose digest is not the one that the project gives. Staged trees and
//! downloads are kept where BuildStream keeps them, under the same keys.

mod capture;
mod cpan;
mod crates;
mod curl;
mod docker;
mod download;
mod error;
mod files;
mod git;
mod glob;
mod go;
mod hosted;
mod local;
mod lock;
mod netrc;
mod package;
mod patch;
mod patch_queue;
mod places;
mod pypi;
mod remote;
mod staging;
mod stats;
mod tar;
mod toml;
mod tools;
mod tracking;
mod unpacking;
mod zip;

use headstart_merkle::TreePath;
use headstart_store::{BlobStore, Directories};

pub use capture::{capture_directory, write_out};
pub use error::SourceError;
pub use hosted::{StoreAnswers, digest_of_host};
pub use staging::Sources;
pub use stats::StatCache;
pub use tracking::NewRef;

/// Where trees and files are put.
type Store = Directories<dyn BlobStore>;

/// A path below the root of staged sources.
fn tree_path(text: &str) -> Result<TreePath, SourceError> {
    TreePath::normalized(text).map_err(|error| SourceError::Tool {
        doing: format!("{text:?} can't be staged"),
        said: error.to_string(),
    })
}
