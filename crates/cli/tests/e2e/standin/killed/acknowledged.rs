//! What was acknowledged, and whether it is there.

use std::collections::BTreeMap;
use std::fmt;

use headstart_merkle::{ActionDigest, BlobDigest, DirectoryDigest};
use headstart_reapi::localcas::FetchTreeRequest;
use headstart_reapi::localcas::local_content_addressable_storage_client::LocalContentAddressableStorageClient as LocalCas;
use headstart_reapi::reapi;
use headstart_reapi::reapi::action_cache_client::ActionCacheClient;
use headstart_reapi::reapi::content_addressable_storage_client::ContentAddressableStorageClient as Cas;
use tonic::Code;
use tonic::transport::Channel;

use super::super::calls::download_stream;
use super::super::seeded::Seeded;

/// How many of each kind are looked at again after later rounds.
const SAMPLE: usize = 12;
/// Blobs that are larger are read as streams, in bytes.
const LARGE: u64 = 1 << 20;
/// So many that are not come in one answer, which has 4 MiB at most.
const TOGETHER: usize = 4;

/// What a daemon said that it has.
#[derive(Debug, Default)]
pub(crate) struct Acknowledged {
    pub(crate) blobs: Vec<BlobDigest>,
    pub(crate) trees: Vec<DirectoryDigest>,
    pub(crate) results: BTreeMap<ActionDigest, reapi::ActionResult>,
    pub(crate) executed: usize,
}

impl Acknowledged {
    pub(crate) fn add(&mut self, other: Self) {
        self.blobs.extend(other.blobs);
        self.trees.extend(other.trees);
        self.results.extend(other.results);
        self.executed += other.executed;
    }

    pub(crate) fn blobs(&self) -> impl Iterator<Item = &BlobDigest> {
        self.blobs.iter()
    }

    /// Some of it.
    pub(crate) fn sample(&self, random: &mut Seeded) -> Self {
        let mut some = |length: usize| -> Vec<usize> {
            (0..SAMPLE.min(length))
                .map(|_| usize::try_from(random.below(length as u64)).unwrap())
                .collect()
        };
        let results: Vec<_> = self.results.iter().collect();
        Self {
            blobs: some(self.blobs.len())
                .into_iter()
                .map(|at| self.blobs[at])
                .collect(),
            trees: some(self.trees.len())
                .into_iter()
                .map(|at| self.trees[at])
                .collect(),
            results: some(results.len())
                .into_iter()
                .map(|at| (*results[at].0, results[at].1.clone()))
                .collect(),
            executed: 0,
        }
    }

    /// Whether so many rounds have come to anything.
    pub(crate) fn is_enough(&self, rounds: usize, executes: bool) -> bool {
        self.blobs.len() > rounds
            && self.trees.len() > rounds / 4
            && self.results.len() > rounds / 2
            && (!executes || self.executed > rounds / 4)
    }

    /// Asks for all of it. What is not there is wrong, unless objects may go; what is served is right.
    pub(crate) async fn check(&self, channel: Channel, may_go: bool) -> Result<(), String> {
        for blobs in self.blobs.chunks(64) {
            check_blobs(&channel, blobs, may_go).await?;
        }
        for tree in &self.trees {
            let request = FetchTreeRequest {
                root_digest: Some((*tree).into()),
                fetch_file_blobs: true,
                ..Default::default()
            };
            match LocalCas::new(channel.clone()).fetch_tree(request).await {
                Ok(_) => {}
                Err(status) if may_go && status.code() == Code::NotFound => {}
                Err(status) => return Err(format!("tree {tree}: {status}")),
            }
        }
        for (action, expected) in &self.results {
            let request = reapi::GetActionResultRequest {
                action_digest: Some((*action).into()),
                ..Default::default()
            };
            let mut cache = ActionCacheClient::new(channel.clone());
            match cache.get_action_result(request).await {
                Ok(result) => {
                    check_result(&channel, *action, expected, result.into_inner()).await?
                }
                Err(status) if may_go && status.code() == Code::NotFound => {}
                Err(status) => return Err(format!("result of {action}: {status}")),
            }
        }
        Ok(())
    }
}

impl fmt::Display for Acknowledged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} blobs, {} trees, {} results, {} of them executed",
            self.blobs.len(),
            self.trees.len(),
            self.results.len(),
            self.executed
        )
    }
}

/// Checks that blobs are here and are what they should be.
async fn check_blobs(channel: &Channel, blobs: &[BlobDigest], may_go: bool) -> Result<(), String> {
    let mut cas = Cas::new(channel.clone()).max_decoding_message_size(usize::MAX);
    let request = reapi::FindMissingBlobsRequest {
        blob_digests: blobs.iter().map(|blob| (*blob).into()).collect(),
        ..Default::default()
    };
    let missing = cas.find_missing_blobs(request).await;
    let missing = missing.map_err(|status| status.to_string())?.into_inner();
    if !may_go && let Some(missing) = missing.missing_blob_digests.first() {
        return Err(format!("{}/{} is lost", missing.hash, missing.size_bytes));
    }
    let (small, large): (Vec<BlobDigest>, Vec<BlobDigest>) =
        blobs.iter().copied().partition(|blob| blob.size() < LARGE);
    for blob in large {
        match download_stream(channel, blob).await {
            Ok(content) if BlobDigest::of(&content) == blob => {}
            Ok(_) => return Err(format!("{blob} is served wrongly as a stream")),
            Err(status) if may_go && status.code() == Code::NotFound => {}
            Err(status) => return Err(format!("{blob}: {status}")),
        }
    }
    for some in small.chunks(TOGETHER) {
        let request = reapi::BatchReadBlobsRequest {
            digests: some.iter().map(|blob| (*blob).into()).collect(),
            ..Default::default()
        };
        let read = cas.batch_read_blobs(request).await;
        let read = read.map_err(|status| status.to_string())?.into_inner();
        for (blob, response) in some.iter().zip(read.responses) {
            match response.status.map_or(0, |status| status.code) {
                0 if BlobDigest::of(&response.data) == *blob => {}
                0 => return Err(format!("{blob} is served wrongly")),
                code if may_go && code == Code::NotFound as i32 => {}
                code => return Err(format!("{blob} can't be read: {code}")),
            }
        }
    }
    Ok(())
}

/// A result is the one that was acknowledged, and all that it names is here.
async fn check_result(
    channel: &Channel,
    action: ActionDigest,
    expected: &reapi::ActionResult,
    actual: reapi::ActionResult,
) -> Result<(), String> {
    if (&expected.output_files, &expected.output_directories)
        != (&actual.output_files, &actual.output_directories)
    {
        return Err(format!("{action} has another result: {actual:?}"));
    }
    let files = actual.output_files.iter().map(|file| file.digest.as_ref());
    let folders = actual.output_directories.iter();
    let named = files.chain(folders.map(|folder| folder.tree_digest.as_ref()));
    let named: Result<Vec<BlobDigest>, _> = named.map(BlobDigest::required).collect();
    let named = named.map_err(|error| format!("{action}: {error}"))?;
    // A result whose contents have gone is none: nobody else is at work now.
    let checked = check_blobs(channel, &named, false).await;
    checked.map_err(|error| format!("result of {action}: {error}"))
}
