//! Blobs from a store to a server: those that it does not have.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use headstart_merkle::BlobDigest;
use headstart_reapi::bytestream::{QueryWriteStatusRequest, WriteRequest};
use headstart_reapi::reapi;
use headstart_reapi::resource;
use headstart_store::{BlobStore, StoreError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::cas::Plan;
use crate::download::all;
use crate::error::RemoteError;
use crate::remote::{Remote, blocking};
use crate::retry::{Attempts, fresh};

/// How much of a blob one message of a stream holds, in bytes.
const PIECE: usize = 1024 * 1024;

/// What became of an upload of several blobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Uploaded {
    /// Blobs that were sent, as the server did not have them.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Remote {
    /// Sends those of some blobs that the server does not have.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if such a blob is not in the store either; others may have been sent.
    pub fn upload(
        &self,
        digests: Vec<BlobDigest>,
        from: &Arc<dyn BlobStore>,
    ) -> Result<Uploaded, RemoteError> {
        let (remote, from) = (self.clone(), Arc::clone(from));
        self.run(async move { remote.send_blobs(digests, &from).await })
    }

    pub(crate) async fn send_blobs(
        &self,
        digests: Vec<BlobDigest>,
        from: &Arc<dyn BlobStore>,
    ) -> Result<Uploaded, RemoteError> {
        let mut missing = self.find_missing(&digests).await?;
        missing.sort_unstable();
        missing.dedup();
        let uploaded = Uploaded {
            blobs: missing.len(),
            bytes: missing.iter().map(BlobDigest::size).sum(),
        };
        if missing.is_empty() {
            return Ok(uploaded);
        }
        let plan = Plan::new(missing, self.find_abilities().await?.batch);
        let mut tasks: JoinSet<Result<Vec<()>, RemoteError>> = JoinSet::new();
        for batch in plan.batches {
            let (remote, from) = (self.clone(), Arc::clone(from));
            tasks.spawn(async move {
                remote.write_batch(batch, &from).await?;
                Ok(Vec::new())
            });
        }
        for digest in plan.streams {
            let (remote, from) = (self.clone(), Arc::clone(from));
            tasks.spawn(async move {
                let _permit = remote.transfers().acquire().await;
                remote.write_stream(digest, &from).await?;
                Ok(Vec::new())
            });
        }
        all(tasks).await?;
        Ok(uploaded)
    }

    async fn write_batch(
        &self,
        batch: Vec<BlobDigest>,
        from: &Arc<dyn BlobStore>,
    ) -> Result<(), RemoteError> {
        let _permit = self.transfers().acquire().await;
        let (store, wanted) = (Arc::clone(from), batch.clone());
        let requests = blocking(move || {
            let requests = wanted.into_iter().map(|digest| {
                Ok(reapi::batch_update_blobs_request::Request {
                    digest: Some(digest.into()),
                    data: store.read(digest)?,
                    ..Default::default()
                })
            });
            requests.collect::<Result<Vec<_>, RemoteError>>()
        });
        let request = reapi::BatchUpdateBlobsRequest {
            instance_name: self.instance(),
            requests: requests.await?,
            ..Default::default()
        };
        let answer = self.call("BatchUpdateBlobs", || {
            let (mut client, request) = (self.cas(), request.clone());
            async move { client.batch_update_blobs(request).await }
        });
        let mut unsettled = batch;
        match answer.await {
            Ok(answer) => {
                for response in answer.responses {
                    let taken = response.status.is_none_or(|status| status.code == 0);
                    let digest = BlobDigest::required(response.digest.as_ref());
                    let digest = digest.map_err(|error| self.answer("BatchUpdateBlobs", error))?;
                    if taken {
                        unsettled.retain(|other| *other != digest);
                    }
                }
            }
            Err(error) if error.code() == Some(Code::Unimplemented) => {}
            Err(error) => return Err(error),
        }
        // What a batch does not settle a stream does, or says why not.
        for digest in unsettled {
            self.write_stream(digest, from).await?;
        }
        Ok(())
    }

    /// Writes a blob as a stream, from where it broke off if it does.
    pub(crate) async fn write_stream(
        &self,
        digest: BlobDigest,
        from: &Arc<dyn BlobStore>,
    ) -> Result<(), RemoteError> {
        self.refuse_while_resting("Write")?;
        let size = digest.size().cast_signed();
        let mut attempts = Attempts::new(self.settings(), "Write");
        let mut name = self.upload_name(digest);
        let mut offset = 0;
        loop {
            let status = match self.write_some(&name, digest, offset, from).await? {
                // Compressed or not, -1 stands for a blob that was there already.
                Ok(committed) if committed == size || committed == -1 => return Ok(()),
                Ok(committed) => {
                    Status::unavailable(format!("only {committed} bytes of {digest} were taken"))
                }
                Err(status) if status.code() == Code::AlreadyExists => return Ok(()),
                Err(status) => status,
            };
            self.noted(attempts.failed(&status).await)?;
            let committed = self.committed(&name).await;
            if committed == Some(size) {
                return Ok(());
            }
            let kept = committed.and_then(|bytes| u64::try_from(bytes).ok());
            match kept.filter(|bytes| *bytes < digest.size()) {
                Some(bytes) => {
                    if bytes > offset {
                        attempts.progressed();
                    }
                    offset = bytes;
                }
                None => {
                    name = self.upload_name(digest);
                    offset = 0;
                }
            }
        }
    }

    fn upload_name(&self, digest: BlobDigest) -> String {
        let (a, b) = (fresh(), fresh());
        // Looks like a random UUID, as the API wants it.
        let unique = format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            0x8000 | ((b >> 48) & 0x3fff),
            b & 0xffff_ffff_ffff
        );
        let size = digest.size().cast_signed();
        resource::write_name(&self.instance(), &unique, &digest.hex(), size)
    }

    /// How much of an upload the server has; `None` if it does not know of it.
    async fn committed(&self, name: &str) -> Option<i64> {
        let request = QueryWriteStatusRequest {
            resource_name: name.to_owned(),
        };
        let mut client = self.bytes();
        let answer = self.in_time(client.query_write_status(request)).await;
        Some(answer.ok()?.into_inner().committed_size)
    }

    /// Sends a blob from `offset` on. The outer error is one of this side.
    async fn write_some(
        &self,
        name: &str,
        digest: BlobDigest,
        offset: u64,
        from: &Arc<dyn BlobStore>,
    ) -> Result<Result<i64, Status>, RemoteError> {
        let (sender, receiver) = mpsc::channel(4);
        let sent = Arc::new(AtomicU64::new(0));
        let producer = {
            let (store, name, sent) = (Arc::clone(from), name.to_owned(), Arc::clone(&sent));
            blocking(move || {
                let mut reader = store.open(digest)?;
                let read = send(&mut *reader, name, digest, offset, &sender, &sent);
                Ok(read.map_err(|error| StoreError::io(format!("{digest}, being sent"), error))?)
            })
        };
        let producer = tokio::spawn(producer);
        let mut client = self.bytes();
        let call = client.write(ReceiverStream::new(receiver));
        let answer = self.while_moving(call, &sent).await;
        // Nobody takes what it still has: it ends, if it has not.
        let produced = producer.await;
        produced.map_err(|error| RemoteError::Broken(error.to_string()))??;
        Ok(answer.map(|response| response.into_inner().committed_size))
    }

    /// Waits for an answer as long as something is taken from time to time.
    async fn while_moving<T>(
        &self,
        answer: impl Future<Output = Result<T, Status>>,
        sent: &AtomicU64,
    ) -> Result<T, Status> {
        tokio::pin!(answer);
        loop {
            let before = sent.load(Ordering::Relaxed);
            match self.in_time(&mut answer).await {
                Err(status) if status.code() == Code::DeadlineExceeded => {
                    if sent.load(Ordering::Relaxed) == before {
                        return Err(status);
                    }
                }
                answered => return answered,
            }
        }
    }
}

/// Sends the rest of a blob in pieces, until nobody takes them any more.
fn send(
    reader: &mut dyn Read,
    name: String,
    digest: BlobDigest,
    offset: u64,
    sender: &mpsc::Sender<WriteRequest>,
    sent: &AtomicU64,
) -> io::Result<()> {
    io::copy(&mut reader.take(offset), &mut io::sink())?;
    let mut at = offset;
    let mut resource_name = name;
    loop {
        let mut piece = Vec::with_capacity(PIECE.min((digest.size() - at) as usize));
        reader.take(PIECE as u64).read_to_end(&mut piece)?;
        let length = piece.len() as u64;
        if length == 0 && at < digest.size() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let request = WriteRequest {
            resource_name: std::mem::take(&mut resource_name),
            write_offset: at.cast_signed(),
            finish_write: at + length >= digest.size(),
            data: piece.into(),
        };
        at += length;
        let last = request.finish_write;
        if sender.blocking_send(request).is_err() || last {
            return Ok(());
        }
        sent.fetch_add(1, Ordering::Relaxed);
    }
}
