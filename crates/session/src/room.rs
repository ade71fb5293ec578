//! Room in the cache directory, which a build without a daemon keeps by itself.

use headstart_store::StoreError;
use headstart_store_disk::make_room;

use crate::session::Session;

impl Session {
    /// Removes what was not used for longest if more is stored than the configuration allows. What this
    /// session has used stays.
    pub(crate) fn keep_within_limits(&self) {
        let limits = self.config.storage.limits(self.layout.root());
        match make_room(&self.layout, limits, self.opened) {
            Ok(()) => {}
            Err(StoreError::Full(_)) => tracing::warn!(
                "more is stored than `cache: quota` and `reserved-disk-space` allow, and all of it was \
                 used by this build: raise the quota, or free some of the disk"
            ),
            Err(error) => tracing::warn!(%error, "no room can be made in the cache"),
        }
    }
}
