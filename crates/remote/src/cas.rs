//! Which blobs a server has, and how many fit into one message.

use std::collections::HashSet;

use headstart_merkle::BlobDigest;
use headstart_reapi::reapi;

use crate::error::RemoteError;
use crate::remote::Remote;

/// How many digests are asked for in one call: what takes a message of less than 1 MiB.
const AT_ONCE: usize = 8192;
/// What a blob takes in a message beside its content, at most, in bytes: digest, status, framing.
const BESIDES: u64 = 160;

/// Blobs, as they are transferred.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// Those that fit into messages together.
    pub(crate) batches: Vec<Vec<BlobDigest>>,
    /// Those that are too large for that.
    pub(crate) streams: Vec<BlobDigest>,
}

impl Plan {
    /// Distributes blobs over messages of at most `limit` bytes each, in order.
    pub(crate) fn new(blobs: impl IntoIterator<Item = BlobDigest>, limit: u64) -> Self {
        let mut plan = Self::default();
        let mut left = 0;
        for blob in blobs {
            let takes = blob.size().saturating_add(BESIDES);
            if takes > limit {
                plan.streams.push(blob);
                continue;
            }
            match plan.batches.last_mut() {
                Some(batch) if takes <= left => batch.push(blob),
                _ => {
                    plan.batches.push(vec![blob]);
                    left = limit;
                }
            }
            left -= takes;
        }
        plan
    }
}

impl Remote {
    /// Those of `digests` that the server does not have, in the same order. The empty blob is
    /// everywhere.
    pub fn missing(&self, digests: Vec<BlobDigest>) -> Result<Vec<BlobDigest>, RemoteError> {
        let remote = self.clone();
        self.run(async move { remote.find_missing(&digests).await })
    }

    pub(crate) async fn find_missing(
        &self,
        digests: &[BlobDigest],
    ) -> Result<Vec<BlobDigest>, RemoteError> {
        let mut seen = HashSet::new();
        let asked = digests.iter().filter(|digest| !digest.is_of_nothing());
        let asked: Vec<_> = asked
            .copied()
            .filter(|digest| seen.insert(*digest))
            .collect();
        let mut missing = HashSet::new();
        for some in asked.chunks(AT_ONCE) {
            let request = reapi::FindMissingBlobsRequest {
                instance_name: self.instance(),
                blob_digests: some.iter().map(|digest| (*digest).into()).collect(),
                ..Default::default()
            };
            let answer = self.call("FindMissingBlobs", || {
                let (mut client, request) = (self.cas(), request.clone());
                async move { client.find_missing_blobs(request).await }
            });
            for digest in &answer.await?.missing_blob_digests {
                let digest = BlobDigest::try_from(digest);
                missing.insert(digest.map_err(|error| self.answer("FindMissingBlobs", error))?);
            }
        }
        Ok(digests
            .iter()
            .copied()
            .filter(|digest| missing.contains(digest))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_filled_and_never_too_full() {
        let blob = |size| BlobDigest::new([0; 32], size);
        let plan = Plan::new(
            [100, 100, 2000, 700, 1000 - BESIDES, 1001 - BESIDES].map(blob),
            1000,
        );
        let batches = vec![
            vec![blob(100), blob(100)],
            vec![blob(700)],
            vec![blob(1000 - BESIDES)],
        ];
        let streams = vec![blob(2000), blob(1001 - BESIDES)];
        assert_eq!(plan, Plan { batches, streams });
        assert_eq!(Plan::new([], 1000), Plan::default());
        // A server that takes next to nothing in one message still gets everything.
        assert_eq!(Plan::new([blob(0)], 10).streams, [blob(0)]);
    }
}
