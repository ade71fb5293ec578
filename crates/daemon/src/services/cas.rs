//! Blobs in batches, and trees.

use std::collections::HashSet;
use std::sync::Arc;

use headstart_merkle::{BlobDigest, DirectoryDigest, DirectoryReader, Node, TreeError};
use headstart_reapi::reapi;
use headstart_reapi::reapi::content_addressable_storage_server::ContentAddressableStorage;
use headstart_reapi::rpc;
use headstart_store::BlobStore;
use rayon::prelude::*;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status};

use super::{MAX_BATCH, blocking, compression, digest};
use crate::instances::Instances;
use crate::status;
use crate::tenant::Tenant;

/// Directories in one GetTree response, unless the client wants fewer.
const TREE_PAGE: usize = 512;

pub(crate) struct CasService(Instances);

impl CasService {
    pub(crate) fn new(instances: Instances) -> Self {
        Self(instances)
    }
}

fn update(
    store: &dyn BlobStore,
    request: reapi::batch_update_blobs_request::Request,
) -> rpc::Status {
    let written = digest(request.digest.as_ref(), "digest").and_then(|expected: BlobDigest| {
        let data = compression::expanded(request.data, request.compressor, expected)?;
        store
            .write_as(expected, data)
            .map_err(|error| status::of_store(&error))
    });
    match written {
        Ok(()) => rpc::Status::default(),
        Err(error) => status::message(&error),
    }
}

fn read(
    store: &dyn BlobStore,
    wanted: reapi::Digest,
) -> reapi::batch_read_blobs_response::Response {
    let content = digest(Some(&wanted), "digest")
        .and_then(|digest| store.read(digest).map_err(|error| status::of_store(&error)));
    let (data, status) = match content {
        Ok(data) => (data, rpc::Status::default()),
        Err(error) => (bytes::Bytes::new(), status::message(&error)),
    };
    reapi::batch_read_blobs_response::Response {
        digest: Some(wanted),
        data,
        status: Some(status),
        ..Default::default()
    }
}

/// Checks that a batch is not larger than was announced.
#[allow(clippy::result_large_err)]
fn check_batch(size: u64) -> Result<(), Status> {
    if size <= MAX_BATCH {
        return Ok(());
    }
    Err(Status::invalid_argument(format!(
        "the batch holds {size} bytes: expected {MAX_BATCH} at most; use ByteStream for large blobs"
    )))
}

#[tonic::async_trait]
impl ContentAddressableStorage for CasService {
    async fn find_missing_blobs(
        &self,
        request: Request<reapi::FindMissingBlobsRequest>,
    ) -> Result<Response<reapi::FindMissingBlobsResponse>, Status> {
        let request = request.into_inner();
        let tenant = self.0.find(&request.instance_name)?;
        let digests: Vec<BlobDigest> = request
            .blob_digests
            .iter()
            .map(|wanted| digest(Some(wanted), "blob_digests"))
            .collect::<Result<_, _>>()?;
        let store = Arc::clone(tenant.executor().store());
        let missing = blocking(move || store.missing(&digests)).await?;
        let missing = missing.map_err(|error| status::of_store(&error))?;
        let missing_blob_digests = missing.into_iter().map(Into::into).collect();
        Ok(Response::new(reapi::FindMissingBlobsResponse {
            missing_blob_digests,
        }))
    }

    async fn batch_update_blobs(
        &self,
        request: Request<reapi::BatchUpdateBlobsRequest>,
    ) -> Result<Response<reapi::BatchUpdateBlobsResponse>, Status> {
        let request = request.into_inner();
        let tenant = self.0.find(&request.instance_name)?;
        check_batch(
            request
                .requests
                .iter()
                .map(|request| request.data.len() as u64)
                .sum(),
        )?;
        let store = Arc::clone(tenant.executor().store());
        let responses = blocking(move || {
            let responses = request.requests.into_par_iter().map(|request| {
                reapi::batch_update_blobs_response::Response {
                    digest: request.digest.clone(),
                    status: Some(update(&*store, request)),
                }
            });
            responses.collect()
        });
        let responses = responses.await?;
        Ok(Response::new(reapi::BatchUpdateBlobsResponse { responses }))
    }

    async fn batch_read_blobs(
        &self,
        request: Request<reapi::BatchReadBlobsRequest>,
    ) -> Result<Response<reapi::BatchReadBlobsResponse>, Status> {
        let request = request.into_inner();
        let tenant = self.0.find(&request.instance_name)?;
        let sizes = request
            .digests
            .iter()
            .map(|digest| u64::try_from(digest.size_bytes));
        check_batch(
            sizes
                .map(|size| size.unwrap_or(0))
                .fold(0, u64::saturating_add),
        )?;
        let store = Arc::clone(tenant.executor().store());
        let responses = blocking(move || {
            let wanted = request.digests.into_par_iter();
            wanted.map(|wanted| read(&*store, wanted)).collect()
        });
        let responses = responses.await?;
        Ok(Response::new(reapi::BatchReadBlobsResponse { responses }))
    }

    type GetTreeStream = ReceiverStream<Result<reapi::GetTreeResponse, Status>>;

    async fn get_tree(
        &self,
        request: Request<reapi::GetTreeRequest>,
    ) -> Result<Response<Self::GetTreeStream>, Status> {
        let request = request.into_inner();
        let tenant = self.0.find(&request.instance_name)?;
        if !request.page_token.is_empty() {
            return Err(Status::invalid_argument(
                "page_token: the whole tree comes in one stream",
            ));
        }
        let root: DirectoryDigest = digest(request.root_digest.as_ref(), "root_digest")?;
        let page = match usize::try_from(request.page_size) {
            Ok(size) if size > 0 => size.min(TREE_PAGE),
            _ => TREE_PAGE,
        };
        let (sender, receiver) = mpsc::channel(2);
        tokio::task::spawn_blocking(move || send_tree(&tenant, root, page, &sender));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// Sends the directories below `root`, each once; stops when the client has gone.
fn send_tree(
    tenant: &Tenant,
    root: DirectoryDigest,
    page: usize,
    sender: &mpsc::Sender<Result<reapi::GetTreeResponse, Status>>,
) {
    let directories = tenant.executor().directories();
    let mut seen = HashSet::from([root]);
    let mut pending = vec![root];
    let mut response = reapi::GetTreeResponse::default();
    while let Some(digest) = pending.pop() {
        let directory = match directories.read_directory(digest) {
            Ok(directory) => directory,
            // What is missing below the root is left out, as the REAPI allows.
            Err(TreeError::Missing(_)) if digest != root => continue,
            Err(error) => {
                let code = match error {
                    TreeError::Missing(_) => Code::NotFound,
                    _ => Code::FailedPrecondition,
                };
                let _ = sender.blocking_send(Err(Status::new(code, error.to_string())));
                return;
            }
        };
        for node in directory.entries.values() {
            if let Node::Directory(child) = node
                && seen.insert(*child)
            {
                pending.push(*child);
            }
        }
        response.directories.push(directory.to_message());
        if response.directories.len() >= page
            && sender
                .blocking_send(Ok(std::mem::take(&mut response)))
                .is_err()
        {
            return;
        }
    }
    if !response.directories.is_empty() {
        // The client may have gone; nothing is left to do for it then.
        let _ = sender.blocking_send(Ok(response));
    }
}
