//! Blobs as streams.

mod incoming;
mod outgoing;
mod routed;

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use headstart_merkle::BlobDigest;
use headstart_reapi::bytestream::{
    QueryWriteStatusRequest, QueryWriteStatusResponse, ReadRequest, WriteRequest, WriteResponse,
};
use headstart_reapi::resource::{InvalidResourceName, ResourceName};
use headstart_store::{BlobStore, BlobWriter, StoreError};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use incoming::Incoming;
pub(crate) use routed::Routed;

use super::outlet::Outlet;
use super::uploads::{Upload, Uploads};
use super::{blocking, check_size, ended};
use crate::instances::Instances;
use crate::patience::Patience;
use crate::status;
use crate::tenant::Tenant;

/// How much of a blob one message holds, in bytes.
const PIECE: usize = 1024 * 1024;

/// How long a blob is whose pieces are written while the next ones come, in bytes.
const LONG: u64 = 1024 * 1024;
/// How much of it may have come and wait to be written, in bytes.
const AHEAD: usize = 4 * 1024 * 1024;

pub(crate) struct ByteStreamService {
    instances: Instances,
    uploads: Arc<Uploads>,
    patience: Patience,
}

impl ByteStreamService {
    pub(crate) fn new(instances: Instances, patience: Patience) -> Self {
        Self {
            instances,
            uploads: Arc::default(),
            patience,
        }
    }

    /// Takes a blob that is written.
    async fn take(&self, mut stream: Incoming) -> Result<WriteResponse, Status> {
        let first = stream.next().await?;
        let first = first.ok_or_else(|| Status::invalid_argument("the stream is empty"))?;
        let resource = self.resource(ResourceName::parse_write(&first.resource_name))?;
        let mut committed_size = committed(&resource);
        if !resource.is_there()? {
            committed_size = resource.digest.size().cast_signed();
            let uploads = Arc::clone(&self.uploads);
            // In a task of its own, which is not ended with the call: what came is to be kept.
            let receiving =
                tokio::spawn(async move { receive(&uploads, &resource, first, stream).await });
            ended(receiving).await??;
        }
        Ok(WriteResponse { committed_size })
    }

    /// Gives a blob that is read, in parts.
    #[allow(clippy::result_large_err)]
    fn give(&self, request: ReadRequest) -> Result<Parts, Status> {
        let resource = self.resource(ResourceName::parse_read(&request.resource_name))?;
        let digest = resource.digest;
        let offset = u64::try_from(request.read_offset)
            .ok()
            .filter(|at| *at <= digest.size());
        let offset =
            offset.ok_or_else(|| Status::out_of_range("read_offset is not in the blob"))?;
        let limit = match u64::try_from(request.read_limit) {
            Ok(0) => u64::MAX,
            Ok(_) if resource.compressed => {
                return Err(Status::invalid_argument(
                    "read_limit must be 0 for what travels compressed",
                ));
            }
            Ok(limit) => limit,
            Err(_) => return Err(Status::invalid_argument("read_limit is negative")),
        };
        let reader = resource
            .store()
            .open_from(digest, offset)
            .map_err(|error| status::of_store(&error))?;
        let reader = match resource.compressed {
            false => reader,
            true => {
                let encoder = zstd::stream::read::Encoder::new(reader, 0);
                let encoder = encoder.map_err(|error| Status::internal(error.to_string()))?;
                Box::new(encoder)
            }
        };
        let (outlet, parts) = Outlet::open(2, self.patience);
        tokio::spawn(send_blob(reader.take(limit), outlet));
        Ok(parts)
    }

    /// Says how much of a blob was written.
    #[allow(clippy::result_large_err)]
    fn query(&self, request: &QueryWriteStatusRequest) -> Result<QueryWriteStatusResponse, Status> {
        let name = &request.resource_name;
        let resource = self.resource(ResourceName::parse_write(name))?;
        let complete = resource.is_there()?;
        let committed_size = match complete {
            true => committed(&resource),
            false => self.uploads.written(name).unwrap_or(0).cast_signed(),
        };
        Ok(QueryWriteStatusResponse {
            committed_size,
            complete,
        })
    }

    /// The blob that a resource name means.
    #[allow(clippy::result_large_err)]
    fn resource(
        &self,
        name: Result<ResourceName, InvalidResourceName>,
    ) -> Result<Resource, Status> {
        let invalid = |error: String| Status::invalid_argument(error);
        let name = name.map_err(|error| invalid(error.to_string()))?;
        let tenant = self.instances.find(&name.instance)?;
        let digest = BlobDigest::from_hex(&name.hash, name.size_bytes.unsigned_abs())
            .map_err(|error| invalid(error.to_string()))?;
        check_size(digest)?;
        let compressed = match name.compressor.as_str() {
            "" | "identity" => false,
            "zstd" => true,
            other => {
                return Err(invalid(format!(
                    "compressor {other:?} is not known: expected zstd, which the capabilities name"
                )));
            }
        };
        Ok(Resource {
            tenant,
            digest,
            compressed,
        })
    }
}

/// Takes a blob as it comes, beginning with `first`. What came of one that is broken off is kept.
async fn receive(
    uploads: &Uploads,
    resource: &Resource,
    first: WriteRequest,
    mut stream: Incoming,
) -> Result<(), Status> {
    let name = first.resource_name.clone();
    let upload = match first.write_offset {
        0 => resource.begin()?,
        offset => {
            let kept = uploads.take(&name);
            let kept = kept.filter(|upload| upload.written == offset.unsigned_abs());
            kept.ok_or_else(|| {
                Status::invalid_argument(format!(
                    "write_offset is {offset}: expected 0, as nothing is kept up to there"
                ))
            })?
        }
    };
    let mut writing = Writing::Here(upload);
    let mut next = first;
    loop {
        let last = next.finish_write;
        writing = writing.add(next, resource.digest).await?;
        if last {
            break;
        }
        next = match stream.next().await {
            Ok(Some(message)) => message,
            broken => {
                uploads.keep(name, writing.end(resource.digest).await?);
                broken?;
                return Err(Status::invalid_argument(
                    "the stream ended before finish_write was set",
                ));
            }
        };
    }
    let upload = writing.end(resource.digest).await?;
    let finished = upload.writer.finish(Some(resource.digest));
    finished.map_err(|error| status::of_store(&error))?;
    Ok(())
}

/// A blob, and whose it is.
struct Resource {
    tenant: Tenant,
    digest: BlobDigest,
    compressed: bool,
}

impl Resource {
    fn store(&self) -> &Arc<dyn BlobStore> {
        self.tenant.executor().store()
    }

    #[allow(clippy::result_large_err)]
    fn is_there(&self) -> Result<bool, Status> {
        self.store()
            .contains(self.digest)
            .map_err(|error| status::of_store(&error))
    }

    #[allow(clippy::result_large_err)]
    fn begin(&self) -> Result<Upload, Status> {
        let writer = self
            .store()
            .writer()
            .map_err(|error| status::of_store(&error))?;
        let writer = match self.compressed {
            false => writer,
            true => Box::new(Expanding::new(writer, self.digest)?),
        };
        Ok(Upload { writer, written: 0 })
    }
}

/// What comes is written, that of a long blob while more comes. No thread waits for a client: there are
/// more clients than threads.
enum Writing {
    Here(Upload),
    Beside {
        thread: JoinHandle<Result<Upload, Status>>,
        /// What came meanwhile.
        waiting: Vec<WriteRequest>,
    },
}

impl Writing {
    async fn add(self, piece: WriteRequest, digest: BlobDigest) -> Result<Self, Status> {
        let (thread, mut waiting) = match self {
            Self::Here(mut upload) if digest.size() <= LONG => {
                upload.add(vec![piece], digest)?;
                return Ok(Self::Here(upload));
            }
            Self::Here(upload) => return Ok(Self::beside(upload, vec![piece], digest)),
            Self::Beside { thread, waiting } => (thread, waiting),
        };
        waiting.push(piece);
        let ahead: usize = waiting.iter().map(|piece| piece.data.len()).sum();
        if ahead < AHEAD && !thread.is_finished() {
            return Ok(Self::Beside { thread, waiting });
        }
        Ok(Self::beside(ended(thread).await??, waiting, digest))
    }

    fn beside(upload: Upload, pieces: Vec<WriteRequest>, digest: BlobDigest) -> Self {
        Self::Beside {
            thread: write_beside(upload, pieces, digest),
            waiting: Vec::new(),
        }
    }

    /// What was written, once all that came is.
    async fn end(self, digest: BlobDigest) -> Result<Upload, Status> {
        match self {
            Self::Here(upload) => Ok(upload),
            Self::Beside { thread, waiting } => {
                let upload = ended(thread).await??;
                ended(write_beside(upload, waiting, digest)).await?
            }
        }
    }
}

/// Writes some pieces where that holds up nobody.
fn write_beside(
    mut upload: Upload,
    pieces: Vec<WriteRequest>,
    digest: BlobDigest,
) -> JoinHandle<Result<Upload, Status>> {
    tokio::task::spawn_blocking(move || {
        upload.add(pieces, digest)?;
        Ok(upload)
    })
}

impl Upload {
    #[allow(clippy::result_large_err)]
    fn add(&mut self, requests: Vec<WriteRequest>, digest: BlobDigest) -> Result<(), Status> {
        let mut pieces = Vec::with_capacity(requests.len());
        for request in requests {
            if request.write_offset.unsigned_abs() != self.written {
                return Err(Status::invalid_argument(format!(
                    "write_offset is {}: expected {}",
                    request.write_offset, self.written
                )));
            }
            self.written += request.data.len() as u64;
            // Compression makes nothing much longer.
            if self.written > digest.size() + digest.size() / 8 + 1024 {
                return Err(Status::invalid_argument(format!(
                    "more was written than {digest}"
                )));
            }
            pieces.push(request.data);
        }
        self.writer.write_pieces(pieces).map_err(|error| {
            if error.kind() == std::io::ErrorKind::InvalidData {
                return Status::invalid_argument(format!("{digest}: {error}"));
            }
            status::of_store(&StoreError::io("a blob being written", error))
        })
    }
}

/// What is committed of a blob that is there, as far as the API can tell for compressed ones.
fn committed(resource: &Resource) -> i64 {
    match resource.compressed {
        false => resource.digest.size().cast_signed(),
        true => -1,
    }
}

/// A blob on its way to a client.
type Parts = ReceiverStream<Result<Bytes, Status>>;

type Reader = io::Take<Box<dyn Read + Send>>;

/// Sends what comes; stops when the client has gone, or takes nothing for too long. The next piece is
/// read while the last ones are on their way, and no thread waits for the client.
async fn send_blob(mut reader: Reader, mut outlet: Outlet<Bytes>) {
    loop {
        let (data, rest) = match blocking(move || read_piece(reader)).await {
            Ok(Ok((data, _))) if data.is_empty() => return,
            Ok(Ok(read)) => read,
            Ok(Err(error)) => {
                return outlet.fail(match error.kind() {
                    // The store gives nothing that is not what it should be.
                    io::ErrorKind::InvalidData => Status::data_loss(error.to_string()),
                    _ => Status::internal(error.to_string()),
                });
            }
            Err(status) => return outlet.fail(status),
        };
        reader = rest;
        match outlet.give(data).await {
            Some(open) => outlet = open,
            None => return,
        }
    }
}

fn read_piece(mut reader: Reader) -> io::Result<(Bytes, Reader)> {
    let mut piece = Vec::with_capacity(PIECE);
    reader.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
    Ok((piece.into(), reader))
}

/// A blob that comes compressed, written as it is.
struct Expanding {
    decoder: zstd::stream::write::Decoder<'static, Bounded>,
}

/// A writer that takes no more than it was told.
struct Bounded {
    writer: Box<dyn BlobWriter>,
    left: u64,
}

impl Expanding {
    #[allow(clippy::result_large_err)]
    fn new(writer: Box<dyn BlobWriter>, digest: BlobDigest) -> Result<Self, Status> {
        let left = digest.size();
        let decoder = zstd::stream::write::Decoder::new(Bounded { writer, left });
        let decoder = decoder.map_err(|error| Status::internal(error.to_string()))?;
        Ok(Self { decoder })
    }
}

impl Write for Bounded {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(piece)?;
        self.left = self.left.checked_sub(written as u64).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "it expands to more than it should",
            )
        })?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Write for Expanding {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let written = self.decoder.write(piece);
        written.map_err(|error| match error.kind() {
            // What zstd finds wrong has no kind of its own.
            io::ErrorKind::Other => io::Error::new(io::ErrorKind::InvalidData, error),
            _ => error,
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.decoder.flush()
    }
}

impl BlobWriter for Expanding {
    fn finish(mut self: Box<Self>, expected: Option<BlobDigest>) -> Result<BlobDigest, StoreError> {
        self.decoder
            .flush()
            .map_err(|error| StoreError::io("a blob being written", error))?;
        self.decoder.into_inner().writer.finish(expected)
    }
}
