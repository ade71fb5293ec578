//! BuildStream's cache of artifacts and of sources: small messages in files, named by keys, whose
//! content is in the CAS. Both programs read and write the same files. Beside them lie records of
//! subactions by lineage, which are only ours.
//!
//! A file is replaced as a whole or not at all. An artifact only counts as cached while everything
//! it refers to is in the store: the store may have lost some of it to make room.

mod artifact;
mod files;
mod lineage;
mod refs;
mod sources;

pub use artifact::{Artifact, Cached, is_tree_complete};
pub use files::RefError;
pub use lineage::{Ancestor, LineageCache};
pub use refs::{ArtifactCache, ArtifactName};
pub use sources::SourceCache;
