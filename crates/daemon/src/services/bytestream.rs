//! Blobs as streams.

use std::io::{Read, Write};

use bytes::Bytes;
use headstart_merkle::BlobDigest;
use headstart_reapi::bytestream::byte_stream_server::ByteStream;
use headstart_reapi::bytestream::{
    QueryWriteStatusRequest, QueryWriteStatusResponse, ReadRequest, ReadResponse, WriteRequest,
    WriteResponse,
};
use headstart_reapi::resource::{InvalidResourceName, ResourceName};
use headstart_store::{BlobStore, StoreError};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{MAX_BLOB, check_instance};
use crate::status;
use crate::tenant::Tenant;

/// How much of a blob one message holds, in bytes.
const PIECE: usize = 1024 * 1024;

pub(crate) struct ByteStreamService(Tenant);

impl ByteStreamService {
    pub(crate) fn new(tenant: Tenant) -> Self {
        Self(tenant)
    }

    fn store(&self) -> &dyn BlobStore {
        self.0.executor().store().as_ref()
    }

    #[allow(clippy::result_large_err)]
    fn is_there(&self, digest: BlobDigest) -> Result<bool, Status> {
        self.store()
            .contains(digest)
            .map_err(|error| status::of_store(&error))
    }
}

/// The blob that a resource name means.
#[allow(clippy::result_large_err)]
fn blob(name: Result<ResourceName, InvalidResourceName>) -> Result<BlobDigest, Status> {
    let invalid = |error: String| Status::invalid_argument(error);
    let name = name.map_err(|error| invalid(error.to_string()))?;
    check_instance(&name.instance)?;
    let digest = BlobDigest::from_hex(&name.hash, name.size_bytes.unsigned_abs())
        .map_err(|error| invalid(error.to_string()))?;
    if digest.size() > MAX_BLOB {
        return Err(invalid(format!(
            "{digest} is too large: expected {MAX_BLOB} bytes at most"
        )));
    }
    Ok(digest)
}

#[tonic::async_trait]
impl ByteStream for ByteStreamService {
    type ReadStream = ReceiverStream<Result<ReadResponse, Status>>;

    async fn read(
        &self,
        request: Request<ReadRequest>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        let request = request.into_inner();
        let digest = blob(ResourceName::parse_read(&request.resource_name))?;
        let offset = u64::try_from(request.read_offset)
            .ok()
            .filter(|at| *at <= digest.size());
        let offset =
            offset.ok_or_else(|| Status::out_of_range("read_offset is not in the blob"))?;
        let limit = match u64::try_from(request.read_limit) {
            Ok(0) => u64::MAX,
            Ok(limit) => limit,
            Err(_) => return Err(Status::invalid_argument("read_limit is negative")),
        };
        let reader = self
            .store()
            .open(digest)
            .map_err(|error| status::of_store(&error))?;
        let (sender, receiver) = mpsc::channel(4);
        tokio::task::spawn_blocking(move || send_blob(reader, offset, limit, &sender));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn write(
        &self,
        request: Request<Streaming<WriteRequest>>,
    ) -> Result<Response<WriteResponse>, Status> {
        let mut stream = request.into_inner();
        let first = stream.message().await?;
        let mut next = first.ok_or_else(|| Status::invalid_argument("the stream is empty"))?;
        let digest = blob(ResourceName::parse_write(&next.resource_name))?;
        let committed = Response::new(WriteResponse {
            committed_size: digest.size().cast_signed(),
        });
        if self.is_there(digest)? {
            return Ok(committed);
        }
        let mut writer = self
            .store()
            .writer()
            .map_err(|error| status::of_store(&error))?;
        let mut written = 0;
        loop {
            if next.write_offset != written {
                return Err(Status::invalid_argument(format!(
                    "write_offset is {}: expected {written}",
                    next.write_offset
                )));
            }
            written += next.data.len() as i64;
            if written.unsigned_abs() > digest.size() {
                return Err(Status::invalid_argument(format!(
                    "more was written than {digest}"
                )));
            }
            writer.write_all(&next.data).map_err(|error| {
                status::of_store(&StoreError::io("a blob being written", error))
            })?;
            if next.finish_write {
                break;
            }
            let message = stream.message().await?;
            next = message.ok_or_else(|| {
                Status::invalid_argument("the stream ended before finish_write was set")
            })?;
        }
        writer
            .finish(Some(digest))
            .map_err(|error| status::of_store(&error))?;
        Ok(committed)
    }

    async fn query_write_status(
        &self,
        request: Request<QueryWriteStatusRequest>,
    ) -> Result<Response<QueryWriteStatusResponse>, Status> {
        let digest = blob(ResourceName::parse_write(&request.get_ref().resource_name))?;
        let complete = self.is_there(digest)?;
        // Nothing is kept of a write that was broken off: it starts again.
        let committed_size = if complete {
            digest.size().cast_signed()
        } else {
            0
        };
        Ok(Response::new(QueryWriteStatusResponse {
            committed_size,
            complete,
        }))
    }
}

/// Sends a blob from `offset` on, `limit` bytes at most; stops when the client has gone.
fn send_blob(
    mut reader: Box<dyn Read + Send>,
    offset: u64,
    limit: u64,
    sender: &mpsc::Sender<Result<ReadResponse, Status>>,
) {
    let mut left = limit;
    let skipped = std::io::copy(&mut reader.by_ref().take(offset), &mut std::io::sink());
    let mut sent = skipped.map(|_| ());
    while sent.is_ok() && left > 0 {
        let mut piece = Vec::new();
        let size = left.min(PIECE as u64);
        sent = reader
            .by_ref()
            .take(size)
            .read_to_end(&mut piece)
            .map(|_| ());
        if piece.is_empty() {
            break;
        }
        left -= piece.len() as u64;
        if sender
            .blocking_send(Ok(ReadResponse {
                data: Bytes::from(piece),
            }))
            .is_err()
        {
            return;
        }
    }
    if let Err(error) = sent {
        let _ = sender.blocking_send(Err(Status::internal(error.to_string())));
    }
}
