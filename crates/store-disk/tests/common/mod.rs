//! What several tests of the store want.

use std::path::PathBuf;

use headstart_merkle::BlobDigest;
use headstart_store_disk::Layout;

/// The file of an object.
pub(crate) fn object(layout: &Layout, digest: BlobDigest) -> PathBuf {
    let hex = digest.hex();
    layout.objects().join(&hex[..2]).join(&hex[2..])
}
