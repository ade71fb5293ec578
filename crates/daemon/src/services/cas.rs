//! Blobs in batches, and trees.

use std::collections::HashSet;
use std::sync::Arc;

use headstart_merkle::{BlobDigest, DirectoryDigest, DirectoryReader, Node, TreeError};
use headstart_reapi::reapi;
use headstart_reapi::reapi::chunking_function::Value as Function;
use headstart_reapi::reapi::content_addressable_storage_server::ContentAddressableStorage;
use headstart_reapi::rpc;
use headstart_store::{BlobStore, StoreError};
use rayon::prelude::*;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status};

use super::chunks::{Chunking, Chunks};
use super::outlet::Outlet;
use super::{MAX_BATCH, blocking, check_size, compression, digest};
use crate::instances::Instances;
use crate::patience::Patience;
use crate::status;
use crate::tenant::Tenant;

/// Directories in one GetTree response, unless the client wants fewer.
const TREE_PAGE: usize = 512;

pub(crate) struct CasService {
    instances: Instances,
    chunking: Arc<Chunking>,
    patience: Patience,
}

impl CasService {
    pub(crate) fn new(instances: Instances, patience: Patience) -> Self {
        Self {
            instances,
            chunking: Arc::default(),
            patience,
        }
    }

    /// The store behind an instance's name, if its blobs come in chunks too, and what is known of those.
    #[allow(clippy::result_large_err)]
    fn find_chunks(&self, instance: &str) -> Result<(Arc<dyn BlobStore>, Arc<Chunking>), Status> {
        let tenant = self.instances.find(instance)?;
        match knows_chunks(&tenant) {
            true => Ok((
                Arc::clone(tenant.executor().store()),
                Arc::clone(&self.chunking),
            )),
            false => Err(Status::unimplemented(
                "this instance passes blobs on to another server, and those travel whole",
            )),
        }
    }
}

/// Whether a tenant's blobs can be had and given in chunks. Those of another server would have to be
/// fetched for it, and their chunks be sent there.
pub(crate) fn knows_chunks(tenant: &Tenant) -> bool {
    !tenant.executor().store().is_backed()
}

/// The chunking function in a request's field; what is not known may be any.
fn function(field: i32) -> Function {
    Function::try_from(field).unwrap_or(Function::Unknown)
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

/// Reads all blobs that are wanted, and says of each what came of it.
fn read(
    store: &dyn BlobStore,
    wanted: Vec<reapi::Digest>,
) -> Vec<reapi::batch_read_blobs_response::Response> {
    let digests = wanted.iter().map(|wanted| digest(Some(wanted), "digest"));
    let digests: Vec<Result<BlobDigest, Status>> = digests.collect();
    let valid: Vec<BlobDigest> = digests.iter().flatten().copied().collect();
    let mut read = store.read_all(&valid).into_iter();
    let responses = wanted.into_iter().zip(digests).map(|(wanted, digest)| {
        let content = digest.and_then(|digest| {
            let read = read.next().unwrap_or(Err(StoreError::Missing(digest)));
            read.map_err(|error| status::of_store(&error))
        });
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
    });
    responses.collect()
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
        let tenant = self.instances.find(&request.instance_name)?;
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
        let tenant = self.instances.find(&request.instance_name)?;
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
        let tenant = self.instances.find(&request.instance_name)?;
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
        let responses = blocking(move || read(&*store, request.digests)).await?;
        Ok(Response::new(reapi::BatchReadBlobsResponse { responses }))
    }

    type GetTreeStream = ReceiverStream<Result<reapi::GetTreeResponse, Status>>;

    async fn get_tree(
        &self,
        request: Request<reapi::GetTreeRequest>,
    ) -> Result<Response<Self::GetTreeStream>, Status> {
        let request = request.into_inner();
        let tenant = self.instances.find(&request.instance_name)?;
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
        let (mut outlet, stream) = Outlet::open(2, self.patience);
        tokio::spawn(async move {
            let mut pages = Pages::of(&tenant, root, page);
            loop {
                let turned = blocking(move || (pages.next(), pages)).await;
                let (page, rest) = match turned {
                    Ok((Ok(Some(page)), rest)) => (page, rest),
                    Ok((Ok(None), _)) => return,
                    Ok((Err(error), _)) | Err(error) => return outlet.fail(error),
                };
                pages = rest;
                match outlet.give(page).await {
                    Some(open) => outlet = open,
                    None => return,
                }
            }
        });
        Ok(Response::new(stream))
    }

    async fn split_blob(
        &self,
        request: Request<reapi::SplitBlobRequest>,
    ) -> Result<Response<reapi::SplitBlobResponse>, Status> {
        let request = request.into_inner();
        let (store, chunking) = self.find_chunks(&request.instance_name)?;
        let blob: BlobDigest = digest(request.blob_digest.as_ref(), "blob_digest")?;
        let wanted = function(request.chunking_function);
        let chunks = blocking(move || chunking.split(&*store, blob, wanted)).await??;
        Ok(Response::new(reapi::SplitBlobResponse {
            chunk_digests: chunks.digests.iter().map(|it| (*it).into()).collect(),
            chunking_function: chunks.function as i32,
        }))
    }

    async fn splice_blob(
        &self,
        request: Request<reapi::SpliceBlobRequest>,
    ) -> Result<Response<reapi::SpliceBlobResponse>, Status> {
        let request = request.into_inner();
        let (store, chunking) = self.find_chunks(&request.instance_name)?;
        let blob: BlobDigest = digest(request.blob_digest.as_ref(), "blob_digest")?;
        check_size(blob)?;
        let digests = request.chunk_digests.iter();
        let digests = digests.map(|chunk| digest(Some(chunk), "chunk_digests"));
        let chunks = Chunks {
            digests: digests.collect::<Result<_, _>>()?,
            function: function(request.chunking_function),
        };
        blocking(move || chunking.splice(&*store, blob, chunks)).await??;
        Ok(Response::new(reapi::SpliceBlobResponse {
            blob_digest: Some(blob.into()),
        }))
    }
}

/// The directories below a root, each once, as far as they have not been given.
struct Pages {
    tenant: Tenant,
    root: DirectoryDigest,
    /// How many directories a page has at most.
    size: usize,
    seen: HashSet<DirectoryDigest>,
    pending: Vec<DirectoryDigest>,
}

impl Pages {
    fn of(tenant: &Tenant, root: DirectoryDigest, size: usize) -> Self {
        Self {
            tenant: tenant.clone(),
            root,
            size,
            seen: HashSet::from([root]),
            pending: vec![root],
        }
    }

    /// The next page; `None` if all have been given.
    #[allow(clippy::result_large_err)]
    fn next(&mut self) -> Result<Option<reapi::GetTreeResponse>, Status> {
        let directories = self.tenant.executor().directories();
        let mut page = reapi::GetTreeResponse::default();
        while page.directories.len() < self.size
            && let Some(digest) = self.pending.pop()
        {
            let directory = match directories.read_directory(digest) {
                Ok(directory) => directory,
                // What is missing below the root is left out, as the REAPI allows.
                Err(TreeError::Missing(_)) if digest != self.root => continue,
                Err(error) => {
                    let code = match error {
                        TreeError::Missing(_) => Code::NotFound,
                        _ => Code::FailedPrecondition,
                    };
                    return Err(Status::new(code, error.to_string()));
                }
            };
            for node in directory.entries.values() {
                if let Node::Directory(child) = node
                    && self.seen.insert(*child)
                {
                    self.pending.push(*child);
                }
            }
            page.directories.push(directory.to_message());
        }
        Ok((!page.directories.is_empty()).then_some(page))
    }
}
