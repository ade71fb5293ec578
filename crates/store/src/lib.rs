//! Content-addressed storage (CAS) and action cache (AC), as contracts.
//!
//! [`BlobStore`] and [`ActionCache`] are small, synchronous and `dyn`-compatible: what is kept
//! locally answers at once, and what is remote is brought here first. Nothing that comes out of a
//! store is trusted until its digest has been checked, and nothing half-written is ever seen.
//! One decorator a file; [`conformance`] holds every backend to the same promises.

mod action_cache;
mod assets;
mod blobs;
pub mod conformance;
mod directories;
mod memory;
mod recent;
mod whole;

pub use action_cache::{ActionCache, CompletenessChecking, StoredResult, is_complete, named_blobs};
pub use assets::{Asset, AssetKind, AssetName, Assets, MemoryAssets};
pub use blobs::{
    BlobStore, BlobWriter, Hold, LocalBlobs, StoreError, decode_message, read_message,
};
pub use directories::Directories;
pub use memory::{MemoryActionCache, MemoryBlobs};
pub use recent::Recent;
pub use whole::{KnownTrees, WholeTrees};
