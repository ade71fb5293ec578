//! The services of a server, as clients on a socket see them.

#![allow(clippy::unwrap_used)]

mod chunks;
mod limits;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use headstart_daemon::{
    Audience, Guard, Instances, LocalExecutor, Patience, Resources, Server, Tenant,
};
use headstart_execution::{
    BoxFuture, CancellationToken, Sandbox, SandboxError, SandboxOutcome, SandboxRequest,
};
use headstart_merkle::{BlobDigest, Directory};
use headstart_reapi::asset::fetch_client::FetchClient;
use headstart_reapi::asset::push_client::PushClient;
use headstart_reapi::asset::{FetchBlobRequest, PushBlobRequest};
use headstart_reapi::bytestream::byte_stream_client::ByteStreamClient;
use headstart_reapi::bytestream::{QueryWriteStatusRequest, ReadRequest, WriteRequest};
use headstart_reapi::longrunning::operations_client::OperationsClient;
use headstart_reapi::longrunning::{
    CancelOperationRequest, GetOperationRequest, ListOperationsRequest, operation,
};
use headstart_reapi::reapi::capabilities_client::CapabilitiesClient;
use headstart_reapi::reapi::content_addressable_storage_client::ContentAddressableStorageClient;
use headstart_reapi::reapi::execution_client::ExecutionClient;
use headstart_reapi::{Message, reapi};
use headstart_store::{
    Asset, AssetKind, AssetName, Assets, BlobStore, MemoryActionCache, MemoryAssets, MemoryBlobs,
};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

/// Runs everything until it is cancelled.
struct Endless;

impl Sandbox for Endless {
    fn run(
        &self,
        _: SandboxRequest,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<SandboxOutcome, SandboxError>> {
        Box::pin(async move {
            cancel.cancelled().await;
            Err(SandboxError::Cancelled)
        })
    }
}

struct World {
    store: MemoryBlobs,
    assets: Arc<MemoryAssets>,
    channel: Channel,
    stop: CancellationToken,
    folder: tempfile::TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    async fn new() -> Self {
        Self::with(Patience::with_strangers()).await
    }

    async fn with(patience: Patience) -> Self {
        let store = MemoryBlobs::default();
        let executor = LocalExecutor::new(Resources {
            store: Arc::new(store.clone()),
            cache: Arc::new(MemoryActionCache::default()),
            sandbox: Arc::new(Endless),
            slots: 1,
        });
        let stop = CancellationToken::new();
        let assets = Arc::new(MemoryAssets::default());
        let server = Server {
            instances: Instances::one(Tenant::outside(executor, true, stop.clone())),
            assets: assets.clone(),
        };
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let connections = UnixListenerStream::new(UnixListener::bind(&socket).unwrap());
        tokio::spawn(server.serve(
            Audience::Network(Guard::default(), patience),
            connections,
            stop.clone(),
        ));
        Self {
            store,
            assets,
            channel: connect(&socket).await,
            stop,
            folder,
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Another connection.
    async fn connect(&self) -> Channel {
        connect(&self.socket()).await
    }

    fn bytes(&self) -> ByteStreamClient<Channel> {
        ByteStreamClient::new(self.channel.clone())
    }
}

async fn connect(socket: &Path) -> Channel {
    let endpoint = Endpoint::from_shared(format!("unix:{}", socket.display())).unwrap();
    endpoint.connect().await.unwrap()
}

fn piece(name: &str, offset: usize, data: &[u8], last: bool) -> WriteRequest {
    WriteRequest {
        resource_name: name.to_owned(),
        write_offset: offset as i64,
        finish_write: last,
        data: Bytes::copy_from_slice(data),
    }
}

#[tokio::test]
async fn a_write_that_was_broken_off_goes_on_where_it_stopped() {
    let world = World::new().await;
    let content = b"first half, second half";
    let digest = BlobDigest::of(content);
    let name = format!("uploads/1/blobs/{}/{}", digest.hex(), digest.size());
    let half = tokio_stream::iter([piece(&name, 0, &content[..11], false)]);
    world.bytes().write(half).await.unwrap_err();
    let status = || {
        let resource_name = name.clone();
        let mut client = world.bytes();
        async move {
            let request = QueryWriteStatusRequest { resource_name };
            let status = client
                .query_write_status(request)
                .await
                .unwrap()
                .into_inner();
            (status.committed_size, status.complete)
        }
    };
    assert_eq!(status().await, (11, false));
    let wrong = tokio_stream::iter([piece(&name, 7, &content[7..], true)]);
    let refused = world.bytes().write(wrong).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    // What was kept went with that; all of it is sent again.
    let half = tokio_stream::iter([piece(&name, 0, &content[..11], false)]);
    world.bytes().write(half).await.unwrap_err();
    let rest = tokio_stream::iter([piece(&name, 11, &content[11..], true)]);
    let written = world.bytes().write(rest).await.unwrap().into_inner();
    assert_eq!(written.committed_size, content.len() as i64);
    assert_eq!(status().await, (content.len() as i64, true));
    assert_eq!(world.store.read(digest).unwrap(), &content[..]);
}

#[tokio::test]
async fn blobs_travel_compressed() {
    let world = World::new().await;
    let content = vec![b'x'; 5 << 20];
    let digest = BlobDigest::of(&content);
    let packed = zstd::encode_all(&*content, 0).unwrap();
    let blob = format!("compressed-blobs/zstd/{}/{}", digest.hex(), digest.size());
    let name = format!("uploads/1/{blob}");
    for (data, expected) in [
        (&packed[..packed.len() / 2], Code::InvalidArgument),
        (b"no zstd", Code::InvalidArgument),
        (
            &zstd::encode_all(&[b'y'; 6 << 20][..], 0).unwrap(),
            Code::InvalidArgument,
        ),
    ] {
        let stream = tokio_stream::iter([piece(&name, 0, data, true)]);
        let refused = world.bytes().write(stream).await.unwrap_err();
        assert_eq!(refused.code(), expected, "{refused}");
    }
    let stream = tokio_stream::iter([piece(&name, 0, &packed, true)]);
    world.bytes().write(stream).await.unwrap();
    let request = ReadRequest {
        resource_name: blob,
        ..Default::default()
    };
    let mut stream = world.bytes().read(request).await.unwrap().into_inner();
    let mut received = Vec::new();
    while let Some(piece) = stream.message().await.unwrap() {
        received.extend_from_slice(&piece.data);
    }
    assert!(received.len() < content.len() / 100);
    assert_eq!(zstd::decode_all(&*received).unwrap(), content);

    let small = b"in a batch".repeat(10);
    let request = reapi::batch_update_blobs_request::Request {
        digest: Some(BlobDigest::of(&small).into()),
        data: zstd::encode_all(&*small, 0).unwrap().into(),
        compressor: reapi::compressor::Value::Zstd as i32,
    };
    let request = reapi::BatchUpdateBlobsRequest {
        requests: vec![request],
        ..Default::default()
    };
    let mut cas = ContentAddressableStorageClient::new(world.channel.clone());
    let updated = cas.batch_update_blobs(request).await.unwrap().into_inner();
    assert_eq!(updated.responses[0].status.clone().unwrap().code, 0);
    assert_eq!(world.store.read(BlobDigest::of(&small)).unwrap(), small);
}

#[tokio::test]
async fn operations_are_listed_and_cancelled() {
    let world = World::new().await;
    let write = |bytes: Vec<u8>| world.store.write(bytes.into()).unwrap();
    let command = reapi::Command {
        arguments: vec!["endless".into()],
        ..Default::default()
    };
    let action = reapi::Action {
        command_digest: Some(write(command.encode_to_vec()).into()),
        input_root_digest: Some(write(Directory::default().encode().to_vec()).into()),
        ..Default::default()
    };
    let request = reapi::ExecuteRequest {
        action_digest: Some(write(action.encode_to_vec()).into()),
        ..Default::default()
    };
    let mut execution = ExecutionClient::new(world.channel.clone());
    let mut states = execution.execute(request).await.unwrap().into_inner();
    let first = states.message().await.unwrap().unwrap();
    let mut operations = OperationsClient::new(world.channel.clone());
    let listed = operations
        .list_operations(ListOperationsRequest::default())
        .await
        .unwrap();
    let listed = listed.into_inner().operations;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].name, first.name);
    let name = first.name.clone();
    operations
        .cancel_operation(CancelOperationRequest { name })
        .await
        .unwrap();
    let mut last = first.clone();
    let mut stages = Vec::new();
    while let Some(state) = states.message().await.unwrap() {
        let metadata = state.metadata.clone().unwrap();
        let metadata = reapi::ExecuteOperationMetadata::decode(&*metadata.value).unwrap();
        stages.push(metadata.stage());
        last = state;
    }
    assert!(last.done);
    let Some(operation::Result::Response(response)) = last.result else {
        panic!("{last:?}");
    };
    let response = reapi::ExecuteResponse::decode(&*response.value).unwrap();
    assert_eq!(response.status.unwrap().code, Code::Cancelled as i32);
    assert_eq!(
        stages.last(),
        Some(&reapi::execution_stage::Value::Completed)
    );
    let unknown = GetOperationRequest {
        name: "operations/none".into(),
    };
    let refused = operations.get_operation(unknown).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
}

#[tokio::test]
async fn names_stand_for_what_was_pushed_while_it_is_there() {
    let world = World::new().await;
    let mut push = PushClient::new(world.channel.clone());
    let mut fetch = FetchClient::new(world.channel.clone());
    // Build tools find out by empty requests what a server offers.
    let refused = fetch
        .fetch_blob(FetchBlobRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let refused = push
        .push_blob(PushBlobRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);

    let content = BlobDigest::of(b"artifact");
    let pushed = PushBlobRequest {
        uris: vec!["urn:one".into(), "urn:two".into()],
        blob_digest: Some(content.into()),
        ..Default::default()
    };
    let wanted = FetchBlobRequest {
        uris: vec!["urn:none".into(), "urn:two".into()],
        ..Default::default()
    };
    let absent = fetch.fetch_blob(wanted.clone()).await.unwrap_err();
    assert_eq!(absent.code(), Code::NotFound);
    // Whoever keeps contents elsewhere has an index here.
    push.push_blob(pushed.clone()).await.unwrap();
    let found = fetch.fetch_blob(wanted.clone()).await.unwrap().into_inner();
    assert_eq!(
        (found.uri.as_str(), found.blob_digest),
        ("urn:two", Some(content.into()))
    );
    // What was here counts only while it is.
    let name = AssetName {
        kind: AssetKind::Blob,
        uri: "urn:two".into(),
        qualifiers: Vec::new(),
    };
    let here = Asset {
        content,
        elsewhere: false,
    };
    world.assets.put(&name, &here).unwrap();
    let gone = fetch.fetch_blob(wanted.clone()).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    world.store.write(Bytes::from_static(b"artifact")).unwrap();
    fetch.fetch_blob(wanted).await.unwrap();
}

#[tokio::test]
async fn clients_elsewhere_name_no_paths_and_instances_are_known_ones() {
    use headstart_reapi::localcas::local_content_addressable_storage_client::LocalContentAddressableStorageClient;
    use headstart_reapi::localcas::{CaptureFilesRequest, GetLocalServerDetailsRequest};
    let world = World::new().await;
    let mut local = LocalContentAddressableStorageClient::new(world.channel.clone());
    let request = CaptureFilesRequest {
        path: vec!["/etc/passwd".into()],
        ..Default::default()
    };
    let refused = local.capture_files(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let request = GetLocalServerDetailsRequest::default();
    let refused = local.get_local_server_details(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let mut capabilities = CapabilitiesClient::new(world.channel.clone());
    let request = reapi::GetCapabilitiesRequest {
        instance_name: "other".into(),
    };
    let refused = capabilities.get_capabilities(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}
