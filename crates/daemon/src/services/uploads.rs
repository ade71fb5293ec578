//! Uploads that were broken off: kept for a while, so that they can go on where they stopped.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use headstart_store::BlobWriter;

/// How long an upload is kept that nobody continues.
const KEPT: Duration = Duration::from_secs(600);
/// How many are kept; the oldest goes when there are more.
const MOST: usize = 64;

/// Half of a blob.
pub(crate) struct Upload {
    pub(crate) writer: Box<dyn BlobWriter>,
    /// How many bytes of it have been written.
    pub(crate) written: u64,
}

/// Uploads by resource name, which is unique to each.
#[derive(Default)]
pub(crate) struct Uploads(Mutex<HashMap<String, (Instant, Upload)>>);

impl Uploads {
    /// Keeps what was written so far.
    pub(crate) fn keep(&self, name: String, upload: Upload) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        kept.retain(|_, (since, _)| now.duration_since(*since) < KEPT);
        if kept.len() >= MOST {
            let oldest = kept.iter().min_by_key(|(_, (since, _))| *since);
            let oldest = oldest.map(|(name, _)| name.clone());
            oldest.and_then(|name| kept.remove(&name));
        }
        kept.insert(name, (now, upload));
    }

    /// Takes an upload to go on with it.
    pub(crate) fn take(&self, name: &str) -> Option<Upload> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(name).map(|(_, upload)| upload)
    }

    /// How much of an upload is kept, in bytes.
    pub(crate) fn written(&self, name: &str) -> Option<u64> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(name).map(|(_, upload)| upload.written)
    }
}
