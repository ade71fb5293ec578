//! Calls of the REAPI, as tests make them: each answers in time, whatever it answers.

use std::future::Future;
use std::time::Duration;

use headstart_merkle::{ActionDigest, BlobDigest};
use headstart_reapi::bytestream::byte_stream_client::ByteStreamClient;
use headstart_reapi::bytestream::{ReadRequest, WriteRequest};
use headstart_reapi::longrunning::operation;
use headstart_reapi::reapi::batch_update_blobs_request::Request as Update;
use headstart_reapi::reapi::content_addressable_storage_client::ContentAddressableStorageClient as Cas;
use headstart_reapi::reapi::execution_client::ExecutionClient;
use headstart_reapi::{Message, reapi};
use tonic::transport::Channel;
use tonic::{Code, Status};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much of a blob is sent in a message, in bytes.
const PIECE: usize = 64 * 1024;

/// What a call answers, in time.
pub(crate) async fn in_time<T>(call: impl Future<Output = T>) -> T {
    let answered = tokio::time::timeout(PATIENCE, call).await;
    answered.expect("a call is not answered")
}

/// Uploads blobs in one batch; gives what is said of each.
pub(crate) async fn upload(
    channel: &Channel,
    blobs: Vec<Vec<u8>>,
) -> Result<Vec<(BlobDigest, Code)>, Status> {
    let requests = blobs.into_iter().map(|blob| Update {
        digest: Some(BlobDigest::of(&blob).into()),
        data: blob.into(),
        compressor: 0,
    });
    let request = reapi::BatchUpdateBlobsRequest {
        requests: requests.collect(),
        ..Default::default()
    };
    let mut cas = Cas::new(channel.clone());
    let response = in_time(cas.batch_update_blobs(request)).await?;
    let responses = response.into_inner().responses.into_iter().map(|one| {
        let digest = BlobDigest::required(one.digest.as_ref()).unwrap();
        let code = one.status.map_or(0, |status| status.code);
        (digest, Code::from_i32(code))
    });
    Ok(responses.collect())
}

/// Uploads a blob as a stream, under a name that nobody else has.
pub(crate) async fn upload_stream(
    channel: &Channel,
    content: &[u8],
    unique: u64,
) -> Result<BlobDigest, Status> {
    let digest = BlobDigest::of(content);
    let name = format!("uploads/{unique}/blobs/{}/{}", digest.hex(), digest.size());
    let pieces = content
        .chunks(PIECE)
        .enumerate()
        .map(|(at, piece)| WriteRequest {
            resource_name: name.clone(),
            write_offset: (at * PIECE).try_into().unwrap(),
            finish_write: at * PIECE + piece.len() == content.len(),
            data: piece.to_vec().into(),
        });
    let pieces: Vec<_> = pieces.collect();
    let mut bytes = ByteStreamClient::new(channel.clone());
    let written = in_time(bytes.write(tokio_stream::iter(pieces))).await?;
    assert_eq!(
        written.get_ref().committed_size,
        digest.size().cast_signed()
    );
    Ok(digest)
}

/// Reads a blob in a batch.
pub(crate) async fn download(channel: &Channel, digest: BlobDigest) -> Result<Vec<u8>, Status> {
    let request = reapi::BatchReadBlobsRequest {
        digests: vec![digest.into()],
        ..Default::default()
    };
    let mut cas = Cas::new(channel.clone()).max_decoding_message_size(usize::MAX);
    let read = in_time(cas.batch_read_blobs(request)).await?.into_inner();
    let one = read.responses.into_iter().next().unwrap();
    match one.status.filter(|status| status.code != 0) {
        None => Ok(one.data.to_vec()),
        Some(status) => Err(Status::new(Code::from_i32(status.code), status.message)),
    }
}

/// Reads a blob as a stream.
pub(crate) async fn download_stream(
    channel: &Channel,
    digest: BlobDigest,
) -> Result<Vec<u8>, Status> {
    let request = ReadRequest {
        resource_name: format!("blobs/{}/{}", digest.hex(), digest.size()),
        ..Default::default()
    };
    let mut bytes = ByteStreamClient::new(channel.clone()).max_decoding_message_size(usize::MAX);
    let mut stream = in_time(bytes.read(request)).await?.into_inner();
    let mut content = Vec::new();
    while let Some(piece) = in_time(stream.message()).await? {
        content.extend_from_slice(&piece.data);
    }
    Ok(content)
}

/// Whether a blob is not there.
pub(crate) async fn is_missing(channel: &Channel, digest: BlobDigest) -> Result<bool, Status> {
    let request = reapi::FindMissingBlobsRequest {
        blob_digests: vec![digest.into()],
        ..Default::default()
    };
    let missing = in_time(Cas::new(channel.clone()).find_missing_blobs(request)).await?;
    Ok(!missing.into_inner().missing_blob_digests.is_empty())
}

/// Executes an action that was uploaded; `None` if the stream ends without a response.
pub(crate) async fn execute(
    channel: &Channel,
    action: ActionDigest,
) -> Result<Option<reapi::ExecuteResponse>, Status> {
    let request = reapi::ExecuteRequest {
        action_digest: Some(action.into()),
        ..Default::default()
    };
    let mut states = ExecutionClient::new(channel.clone())
        .execute(request)
        .await?
        .into_inner();
    while let Some(state) = states.message().await? {
        if let Some(operation::Result::Response(response)) = state.result {
            return Ok(Some(
                reapi::ExecuteResponse::decode(&*response.value).unwrap(),
            ));
        }
    }
    Ok(None)
}
