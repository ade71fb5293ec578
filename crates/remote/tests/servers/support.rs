//! A server that does what a test wants, on loopback; it ends with the value.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use headstart_merkle::BlobDigest;
use headstart_reapi::bytestream::byte_stream_server::{ByteStream, ByteStreamServer};
use headstart_reapi::bytestream::{
    QueryWriteStatusRequest, QueryWriteStatusResponse, ReadRequest, ReadResponse, WriteRequest,
    WriteResponse,
};
use headstart_reapi::reapi;
use headstart_reapi::reapi::capabilities_server::{Capabilities, CapabilitiesServer};
use headstart_reapi::reapi::content_addressable_storage_server::{
    ContentAddressableStorage, ContentAddressableStorageServer,
};
use headstart_reapi::resource::ResourceName;
use headstart_remote::{Remote, RemoteSettings, Wire};
use headstart_store::{BlobStore, MemoryBlobs};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::service::Routes;
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

/// What goes wrong with the next call; each fault happens once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fault {
    /// The call fails with this code.
    Refuse(tonic::Code),
    /// A stream breaks off after so many bytes.
    BreakAfter(usize),
    /// A stream ends after so many bytes as if that were all.
    EndAfter(usize),
    /// Each content has a byte changed.
    Lie,
    /// More is sent than there is.
    Overflow,
    /// No answer comes.
    Hang,
}

#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) blobs: MemoryBlobs,
    faults: Arc<Mutex<VecDeque<Fault>>>,
    uploads: Arc<Mutex<std::collections::HashMap<String, Vec<u8>>>>,
    pub(crate) calls: Arc<AtomicUsize>,
    /// The bytes of the largest batch.
    pub(crate) largest: Arc<AtomicUsize>,
    pub(crate) batch: i64,
    pub(crate) zstd: bool,
    token: Option<&'static str>,
}

pub(crate) struct Fake {
    pub(crate) script: Script,
    pub(crate) wire: Wire,
    url: String,
    _runtime: Runtime,
}

impl Script {
    pub(crate) fn new() -> Self {
        Self {
            blobs: MemoryBlobs::default(),
            faults: Arc::default(),
            uploads: Arc::default(),
            calls: Arc::default(),
            largest: Arc::default(),
            batch: 64 * 1024,
            zstd: false,
            token: None,
        }
    }

    pub(crate) fn wanting(token: &'static str) -> Self {
        Self {
            token: Some(token),
            ..Self::new()
        }
    }

    pub(crate) fn next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().unwrap().extend(faults);
    }

    /// Notes a call and gives its fault.
    async fn fault<T>(&self, request: &Request<T>) -> Result<Option<Fault>, Status> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if let Some(token) = self.token {
            let given = request.metadata().get("authorization");
            if given.is_none_or(|given| given != format!("Bearer {token}").as_str()) {
                return Err(Status::unauthenticated("who are you?"));
            }
        }
        let fault = self.faults.lock().unwrap().pop_front();
        match fault {
            Some(Fault::Refuse(code)) => Err(Status::new(code, "not now")),
            Some(Fault::Hang) => {
                tokio::time::sleep(Duration::from_secs(600)).await;
                Ok(None)
            }
            fault => Ok(fault),
        }
    }

    fn find(&self, digest: BlobDigest) -> Option<Vec<u8>> {
        self.blobs.read(digest).ok().map(Vec::from)
    }
}

impl Fake {
    pub(crate) fn start(script: Script) -> Self {
        Self::start_with(script, None, Routes::default())
    }

    /// A server that offers further services.
    pub(crate) fn start_also(script: Script, services: Routes) -> Self {
        Self::start_with(script, None, services)
    }

    pub(crate) fn start_with(script: Script, tls: Option<ServerTlsConfig>, others: Routes) -> Self {
        let runtime = Runtime::new().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let host = if tls.is_some() {
            "localhost"
        } else {
            "127.0.0.1"
        };
        let services = script.clone();
        runtime.spawn(async move {
            let mut server = Server::builder();
            if let Some(tls) = tls {
                server = server.tls_config(tls).unwrap();
            }
            server
                .add_routes(others)
                .add_service(CapabilitiesServer::new(services.clone()))
                .add_service(ContentAddressableStorageServer::new(services.clone()))
                .add_service(ByteStreamServer::new(services))
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap();
        });
        Self {
            script,
            wire: Wire::new().unwrap(),
            url: format!("{scheme}://{host}:{port}"),
            _runtime: runtime,
        }
    }

    /// Settings with which a test does not have to wait long.
    pub(crate) fn settings(&self) -> RemoteSettings {
        RemoteSettings {
            retry_delay: Duration::from_millis(1),
            request_timeout: Duration::from_secs(5),
            ..RemoteSettings::new(&self.url)
        }
    }

    pub(crate) fn remote(&self) -> Remote {
        Remote::new(self.settings(), &self.wire).unwrap()
    }
}

#[tonic::async_trait]
impl Capabilities for Script {
    async fn get_capabilities(
        &self,
        request: Request<reapi::GetCapabilitiesRequest>,
    ) -> Result<Response<reapi::ServerCapabilities>, Status> {
        // Faults are for what comes after.
        if self.token.is_some() {
            self.fault(&request).await?;
        }
        let compressors = match self.zstd {
            true => vec![reapi::compressor::Value::Zstd as i32],
            false => Vec::new(),
        };
        Ok(Response::new(reapi::ServerCapabilities {
            cache_capabilities: Some(reapi::CacheCapabilities {
                digest_functions: vec![reapi::digest_function::Value::Sha256 as i32],
                max_batch_total_size_bytes: self.batch,
                supported_compressors: compressors,
                ..Default::default()
            }),
            ..Default::default()
        }))
    }
}

#[tonic::async_trait]
impl ContentAddressableStorage for Script {
    type GetTreeStream = Pin<Box<dyn Stream<Item = Result<reapi::GetTreeResponse, Status>> + Send>>;

    async fn find_missing_blobs(
        &self,
        request: Request<reapi::FindMissingBlobsRequest>,
    ) -> Result<Response<reapi::FindMissingBlobsResponse>, Status> {
        self.fault(&request).await?;
        let digests = request.into_inner().blob_digests;
        let digests: Vec<_> = digests
            .iter()
            .map(|d| BlobDigest::try_from(d).unwrap())
            .collect();
        let missing = self.blobs.missing(&digests).unwrap();
        Ok(Response::new(reapi::FindMissingBlobsResponse {
            missing_blob_digests: missing.into_iter().map(Into::into).collect(),
        }))
    }

    async fn batch_update_blobs(
        &self,
        request: Request<reapi::BatchUpdateBlobsRequest>,
    ) -> Result<Response<reapi::BatchUpdateBlobsResponse>, Status> {
        self.fault(&request).await?;
        let requests = request.into_inner().requests;
        let total = requests.iter().map(|request| request.data.len()).sum();
        self.largest.fetch_max(total, Ordering::Relaxed);
        let responses = requests.into_iter().map(|request| {
            self.blobs.write(request.data).unwrap();
            reapi::batch_update_blobs_response::Response {
                digest: request.digest,
                ..Default::default()
            }
        });
        let responses = responses.collect();
        Ok(Response::new(reapi::BatchUpdateBlobsResponse { responses }))
    }

    async fn batch_read_blobs(
        &self,
        request: Request<reapi::BatchReadBlobsRequest>,
    ) -> Result<Response<reapi::BatchReadBlobsResponse>, Status> {
        let fault = self.fault(&request).await?;
        let mut total = 0;
        let responses = request.into_inner().digests.into_iter().map(|message| {
            let found = self.find(BlobDigest::try_from(&message).unwrap());
            let code = if found.is_some() { 0 } else { 5 };
            let mut data = found.unwrap_or_default();
            total += data.len();
            if fault == Some(Fault::Lie) {
                data[0] ^= 1;
            }
            reapi::batch_read_blobs_response::Response {
                digest: Some(message),
                data: data.into(),
                status: Some(headstart_reapi::rpc::Status {
                    code,
                    ..Default::default()
                }),
                ..Default::default()
            }
        });
        let responses = responses.collect();
        self.largest.fetch_max(total, Ordering::Relaxed);
        Ok(Response::new(reapi::BatchReadBlobsResponse { responses }))
    }

    async fn get_tree(
        &self,
        _: Request<reapi::GetTreeRequest>,
    ) -> Result<Response<Self::GetTreeStream>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn split_blob(
        &self,
        _: Request<reapi::SplitBlobRequest>,
    ) -> Result<Response<reapi::SplitBlobResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn splice_blob(
        &self,
        _: Request<reapi::SpliceBlobRequest>,
    ) -> Result<Response<reapi::SpliceBlobResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }
}

#[tonic::async_trait]
impl ByteStream for Script {
    type ReadStream = Pin<Box<dyn Stream<Item = Result<ReadResponse, Status>> + Send>>;

    async fn read(
        &self,
        request: Request<ReadRequest>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        let fault = self.fault(&request).await?;
        let request = request.into_inner();
        let name = ResourceName::parse_read(&request.resource_name).unwrap();
        let digest = BlobDigest::from_hex(&name.hash, name.size_bytes as u64).unwrap();
        let content = self.find(digest);
        let mut content = content.ok_or_else(|| Status::not_found("no such blob"))?;
        content.drain(..request.read_offset as usize);
        if fault == Some(Fault::Lie) {
            content[0] ^= 1;
        }
        if fault == Some(Fault::Overflow) {
            content.extend_from_slice(b"and more");
        }
        if name.compressor == "zstd" {
            content = zstd::encode_all(&*content, 1).unwrap();
        }
        let mut pieces: Vec<Result<ReadResponse, Status>> = Vec::new();
        if let Some(Fault::BreakAfter(bytes) | Fault::EndAfter(bytes)) = &fault {
            content.truncate(*bytes);
        }
        for piece in content.chunks(64 * 1024) {
            let data = piece.to_vec().into();
            pieces.push(Ok(ReadResponse { data }));
        }
        if matches!(fault, Some(Fault::BreakAfter(_))) {
            pieces.push(Err(Status::unavailable("broken off")));
        }
        Ok(Response::new(Box::pin(tokio_stream::iter(pieces))))
    }

    async fn write(
        &self,
        request: Request<Streaming<WriteRequest>>,
    ) -> Result<Response<WriteResponse>, Status> {
        let fault = self.fault(&request).await?;
        let mut stream = request.into_inner();
        let (mut name, mut content) = (String::new(), Vec::new());
        while let Some(piece) = stream.next().await {
            let piece = piece?;
            if name.is_empty() {
                name = piece.resource_name;
                let mut uploads = self.uploads.lock().unwrap();
                content = uploads.remove(&name).unwrap_or_default();
            }
            if piece.write_offset as usize != content.len() {
                return Err(Status::invalid_argument("write_offset"));
            }
            content.extend_from_slice(&piece.data);
            if let Some(Fault::BreakAfter(bytes)) = fault
                && content.len() >= bytes
            {
                content.truncate(bytes);
                self.uploads.lock().unwrap().insert(name, content);
                return Err(Status::unavailable("broken off"));
            }
        }
        let digest = self.blobs.write(content.into()).unwrap();
        let committed_size = digest.size() as i64;
        Ok(Response::new(WriteResponse { committed_size }))
    }

    async fn query_write_status(
        &self,
        request: Request<QueryWriteStatusRequest>,
    ) -> Result<Response<QueryWriteStatusResponse>, Status> {
        let uploads = self.uploads.lock().unwrap();
        let upload = uploads.get(&request.get_ref().resource_name);
        let upload = upload.ok_or_else(|| Status::not_found("no such upload"))?;
        Ok(Response::new(QueryWriteStatusResponse {
            committed_size: upload.len() as i64,
            complete: false,
        }))
    }
}
