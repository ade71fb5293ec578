//! The calls to the server, each with its bounds: messages stay below what servers accept, larger
//! blobs go as streams.

mod connect;
mod content;

use std::collections::HashMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use headstart_merkle::{ActionDigest, BlobDigest};
use headstart_reapi::bytestream::byte_stream_client::ByteStreamClient;
use headstart_reapi::bytestream::{ReadRequest, WriteRequest};
use headstart_reapi::reapi::action_cache_client::ActionCacheClient;
use headstart_reapi::reapi::content_addressable_storage_client::ContentAddressableStorageClient;
use headstart_reapi::reapi::execution_client::ExecutionClient;
use headstart_reapi::{Message, longrunning, reapi, resource};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::failure::Failure;
use crate::settings::Settings;
use connect::connect;
pub(crate) use content::Content;

/// What a message may hold besides some room for its own fields; gRPC's usual limit is 4 MiB.
const BATCH: usize = 4 * 1024 * 1024 - 64 * 1024;
/// What one blob adds to a message besides its content.
const PER_BLOB: usize = 128;
/// Digests a call may ask for.
const DIGESTS: usize = 20_000;
const RESPONSES: usize = 64 * 1024 * 1024;
const METADATA: &str = "build.bazel.remote.execution.v2.requestmetadata-bin";

/// Connections to one or several servers.
pub(crate) struct Client {
    execution: Channel,
    cas: Channel,
    action_cache: Channel,
    execution_instance: String,
    cas_instance: String,
    action_cache_instance: String,
    retries: u32,
    retry_delay: Duration,
    metadata: reapi::RequestMetadata,
}

impl Client {
    /// Connects to the servers that the settings name.
    pub(crate) async fn connect(settings: &Settings) -> Result<Self, Failure> {
        let missing = || {
            Failure::Usage("RECC_SERVER must be set, for example to unix:/tmp/casd.sock".to_owned())
        };
        let main = settings.server.as_ref();
        let cas_at = settings.cas_server.as_ref().or(main).ok_or_else(missing)?;
        let results_at = settings.action_cache_server.as_ref();
        let results_at = results_at
            .or(settings.cas_server.as_ref())
            .or(main)
            .ok_or_else(missing)?;
        let execution_at = main.unwrap_or(cas_at);
        let cas = connect(cas_at).await?;
        let execution = if execution_at == cas_at {
            cas.clone()
        } else {
            connect(execution_at).await?
        };
        let action_cache = match results_at {
            at if at == cas_at => cas.clone(),
            at if at == execution_at => execution.clone(),
            at => connect(at).await?,
        };
        let or_main = |own: &Option<String>| own.as_ref().unwrap_or(&settings.instance).clone();
        Ok(Self {
            execution,
            cas,
            action_cache,
            execution_instance: settings.instance.clone(),
            cas_instance: or_main(&settings.cas_instance),
            action_cache_instance: or_main(&settings.action_cache_instance),
            retries: settings.retry_limit,
            retry_delay: Duration::from_millis(settings.retry_delay.unwrap_or(100).into()),
            metadata: reapi::RequestMetadata {
                tool_details: Some(reapi::ToolDetails {
                    tool_name: "recc".to_owned(),
                    tool_version: env!("CARGO_PKG_VERSION").to_owned(),
                }),
                tool_invocation_id: invocation(),
                correlated_invocations_id: settings.correlated_invocations.clone(),
                ..Default::default()
            },
        })
    }

    /// Names the action in all further calls.
    pub(crate) fn set_action(&mut self, action: ActionDigest) {
        self.metadata.action_id = action.to_string();
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let value = MetadataValue::from_bytes(&self.metadata.encode_to_vec());
        request.metadata_mut().insert_bin(METADATA, value);
        request
    }

    fn cas(&self) -> ContentAddressableStorageClient<Channel> {
        ContentAddressableStorageClient::new(self.cas.clone()).max_decoding_message_size(RESPONSES)
    }

    /// The known result of `action`, if there is one.
    pub(crate) async fn action_result(
        &self,
        action: ActionDigest,
    ) -> Result<Option<reapi::ActionResult>, Failure> {
        let message = reapi::GetActionResultRequest {
            instance_name: self.action_cache_instance.clone(),
            action_digest: Some(action.into()),
            inline_stdout: true,
            inline_stderr: true,
            ..Default::default()
        };
        let asked = self.retried(|| async {
            let mut client = ActionCacheClient::new(self.action_cache.clone())
                .max_decoding_message_size(RESPONSES);
            client
                .get_action_result(self.request(message.clone()))
                .await
        });
        match asked.await {
            Ok(response) => Ok(Some(response.into_inner())),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(Failure::rpc("GetActionResult")(status)),
        }
    }

    /// Stores the result of an action that was run here.
    pub(crate) async fn update_action_result(
        &self,
        action: ActionDigest,
        result: reapi::ActionResult,
    ) -> Result<(), Failure> {
        let message = reapi::UpdateActionResultRequest {
            instance_name: self.action_cache_instance.clone(),
            action_digest: Some(action.into()),
            action_result: Some(result),
            ..Default::default()
        };
        let stored = self.retried(|| async {
            let mut client = ActionCacheClient::new(self.action_cache.clone());
            client
                .update_action_result(self.request(message.clone()))
                .await
        });
        stored
            .await
            .map(drop)
            .map_err(Failure::rpc("UpdateActionResult"))
    }

    /// Uploads those of `blobs` that the server lacks.
    pub(crate) async fn upload(&self, blobs: &HashMap<BlobDigest, Content>) -> Result<(), Failure> {
        let missing = self.missing(blobs.keys().copied().collect()).await?;
        let mut batch = Vec::new();
        let mut batched = 0;
        for digest in missing {
            let Some(content) = blobs.get(&digest) else {
                return Err(Failure::answer(
                    "FindMissingBlobs",
                    format!("{digest} was not asked for"),
                ));
            };
            let size = usize::try_from(digest.size()).unwrap_or(usize::MAX);
            if size.saturating_add(PER_BLOB) > BATCH {
                self.write(digest, content).await?;
                continue;
            }
            if batched + size + PER_BLOB > BATCH {
                self.update_blobs(std::mem::take(&mut batch)).await?;
                batched = 0;
            }
            batched += size + PER_BLOB;
            batch.push((digest, content.read()?));
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.update_blobs(batch).await
    }

    async fn missing(&self, digests: Vec<BlobDigest>) -> Result<Vec<BlobDigest>, Failure> {
        const CALL: &str = "FindMissingBlobs";
        let mut missing = Vec::new();
        for asked in digests.chunks(DIGESTS) {
            let message = reapi::FindMissingBlobsRequest {
                instance_name: self.cas_instance.clone(),
                blob_digests: asked.iter().map(|digest| (*digest).into()).collect(),
                ..Default::default()
            };
            let response = self
                .retried(|| async {
                    self.cas()
                        .find_missing_blobs(self.request(message.clone()))
                        .await
                })
                .await
                .map_err(Failure::rpc(CALL))?;
            for digest in &response.get_ref().missing_blob_digests {
                let digest = digest
                    .try_into()
                    .map_err(|error| Failure::answer(CALL, error))?;
                missing.push(digest);
            }
        }
        Ok(missing)
    }

    async fn update_blobs(&self, blobs: Vec<(BlobDigest, Bytes)>) -> Result<(), Failure> {
        const CALL: &str = "BatchUpdateBlobs";
        let requests =
            blobs.into_iter().map(
                |(digest, data)| reapi::batch_update_blobs_request::Request {
                    digest: Some(digest.into()),
                    data,
                    ..Default::default()
                },
            );
        let message = reapi::BatchUpdateBlobsRequest {
            instance_name: self.cas_instance.clone(),
            requests: requests.collect(),
            ..Default::default()
        };
        let response = self
            .retried(|| async {
                self.cas()
                    .batch_update_blobs(self.request(message.clone()))
                    .await
            })
            .await
            .map_err(Failure::rpc(CALL))?;
        for response in response.into_inner().responses {
            check_status(CALL, response.status)?;
        }
        Ok(())
    }

    async fn write(&self, digest: BlobDigest, content: &Content) -> Result<(), Failure> {
        const CALL: &str = "Write";
        let upload = format!("{}-{}", std::process::id(), digest.hex());
        let size = i64::try_from(digest.size()).unwrap_or(i64::MAX);
        let name = resource::write_name(&self.cas_instance, &upload, &digest.hex(), size);
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        let feed = async {
            let mut pieces = content.pieces()?;
            let mut offset = 0;
            while let Some(data) = pieces.next()? {
                let length = i64::try_from(data.len()).unwrap_or(i64::MAX);
                let request = WriteRequest {
                    resource_name: if offset == 0 {
                        name.clone()
                    } else {
                        String::new()
                    },
                    write_offset: offset,
                    finish_write: offset + length >= size,
                    data,
                };
                offset += length;
                // A server that has the blob already stops listening.
                if sender.send(request).await.is_err() {
                    break;
                }
            }
            drop(sender);
            Ok::<_, Failure>(())
        };
        let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let mut client = ByteStreamClient::new(self.cas.clone());
        let (fed, written) = tokio::join!(feed, client.write(self.request(stream)));
        fed?;
        let committed = written
            .map_err(Failure::rpc(CALL))?
            .into_inner()
            .committed_size;
        if committed != size && committed != -1 {
            return Err(Failure::answer(
                CALL,
                format!("{committed} of {size} bytes of {digest} were taken"),
            ));
        }
        Ok(())
    }

    /// Reads the blobs `digests`.
    pub(crate) async fn read(
        &self,
        digests: &[BlobDigest],
    ) -> Result<HashMap<BlobDigest, Bytes>, Failure> {
        let mut found = HashMap::new();
        let mut batch: Vec<BlobDigest> = Vec::new();
        let mut batched = 0;
        for digest in digests {
            let size = usize::try_from(digest.size()).unwrap_or(usize::MAX);
            if size == 0 {
                found.insert(*digest, Bytes::new());
            } else if size.saturating_add(PER_BLOB) > BATCH {
                found.insert(*digest, self.read_stream(*digest).await?);
            } else {
                if batched + size + PER_BLOB > BATCH {
                    self.read_batch(std::mem::take(&mut batch), &mut found)
                        .await?;
                    batched = 0;
                }
                batched += size + PER_BLOB;
                batch.push(*digest);
            }
        }
        if !batch.is_empty() {
            self.read_batch(batch, &mut found).await?;
        }
        for (digest, content) in &found {
            if !digest.matches(content) {
                return Err(Failure::Corrupt(*digest));
            }
        }
        Ok(found)
    }

    async fn read_batch(
        &self,
        batch: Vec<BlobDigest>,
        found: &mut HashMap<BlobDigest, Bytes>,
    ) -> Result<(), Failure> {
        const CALL: &str = "BatchReadBlobs";
        let message = reapi::BatchReadBlobsRequest {
            instance_name: self.cas_instance.clone(),
            digests: batch.into_iter().map(Into::into).collect(),
            ..Default::default()
        };
        let response = self
            .retried(|| async {
                self.cas()
                    .batch_read_blobs(self.request(message.clone()))
                    .await
            })
            .await
            .map_err(Failure::rpc(CALL))?;
        for response in response.into_inner().responses {
            check_status(CALL, response.status)?;
            let digest = BlobDigest::required(response.digest.as_ref());
            found.insert(
                digest.map_err(|error| Failure::answer(CALL, error))?,
                response.data,
            );
        }
        Ok(())
    }

    async fn read_stream(&self, digest: BlobDigest) -> Result<Bytes, Failure> {
        let size = i64::try_from(digest.size()).unwrap_or(i64::MAX);
        let request = self.request(ReadRequest {
            resource_name: resource::read_name(&self.cas_instance, &digest.hex(), size),
            ..Default::default()
        });
        let failed = Failure::rpc("Read");
        let mut client =
            ByteStreamClient::new(self.cas.clone()).max_decoding_message_size(RESPONSES);
        let mut stream = client.read(request).await.map_err(&failed)?.into_inner();
        let mut content = BytesMut::new();
        while let Some(piece) = stream.message().await.map_err(&failed)? {
            content.extend_from_slice(&piece.data);
        }
        Ok(content.freeze())
    }

    /// Has `action` executed; says whether the result was known already.
    pub(crate) async fn execute(
        &self,
        action: ActionDigest,
        skip_cache_lookup: bool,
    ) -> Result<(reapi::ActionResult, bool), Failure> {
        const CALL: &str = "Execute";
        let failed = Failure::rpc(CALL);
        let message = reapi::ExecuteRequest {
            instance_name: self.execution_instance.clone(),
            skip_cache_lookup,
            action_digest: Some(action.into()),
            inline_stdout: true,
            inline_stderr: true,
            ..Default::default()
        };
        let started = self.retried(|| async {
            let mut client =
                ExecutionClient::new(self.execution.clone()).max_decoding_message_size(RESPONSES);
            client.execute(self.request(message.clone())).await
        });
        let mut stream = started.await.map_err(&failed)?.into_inner();
        while let Some(operation) = stream.message().await.map_err(&failed)? {
            if operation.done {
                return finished(operation);
            }
        }
        Err(Failure::answer(
            CALL,
            "the stream ended before the action did",
        ))
    }

    /// Makes a call again, up to the limit, when there was nobody to answer it.
    async fn retried<T, F, R>(&self, call: F) -> Result<T, Status>
    where
        F: Fn() -> R,
        R: Future<Output = Result<T, Status>>,
    {
        let mut pause = self.retry_delay;
        for _ in 0..self.retries {
            match call().await {
                Err(status) if status.code() == Code::Unavailable => {
                    tokio::time::sleep(pause).await
                }
                answered => return answered,
            }
            pause = (pause * 2).min(Duration::from_secs(10));
        }
        call().await
    }
}

fn finished(operation: longrunning::Operation) -> Result<(reapi::ActionResult, bool), Failure> {
    use longrunning::operation::Result as Outcome;
    const CALL: &str = "Execute";
    let response = match operation.result {
        Some(Outcome::Response(any)) => reapi::ExecuteResponse::decode(any.value.as_ref())
            .map_err(|error| Failure::answer(CALL, error))?,
        Some(Outcome::Error(status)) => {
            check_status(CALL, Some(status))?;
            return Err(Failure::answer(
                CALL,
                "it ended with neither result nor error",
            ));
        }
        None => return Err(Failure::answer(CALL, "it ended without a result")),
    };
    check_status(CALL, response.status)?;
    let result = response
        .result
        .ok_or_else(|| Failure::answer(CALL, "it ended without a result"))?;
    Ok((result, response.cached_result))
}

fn check_status(
    call: &'static str,
    status: Option<headstart_reapi::rpc::Status>,
) -> Result<(), Failure> {
    match status {
        Some(status) if status.code != 0 => Err(Failure::rpc(call)(Status::new(
            Code::from(status.code),
            status.message,
        ))),
        _ => Ok(()),
    }
}

/// Names the build that calls: the host and the process that called.
fn invocation() -> String {
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let parent = rustix::process::getppid().map_or(0, |parent| parent.as_raw_nonzero().get());
    format!("{host}:{parent}")
}
