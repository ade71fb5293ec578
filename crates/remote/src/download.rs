//! Blobs from a server into a store. Nothing is kept whose digest is not the one asked for.

use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use headstart_merkle::BlobDigest;
use headstart_reapi::bytestream::ReadRequest;
use headstart_reapi::reapi;
use headstart_reapi::resource;
use headstart_store::{BlobStore, BlobWriter, StoreError};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::cas::Plan;
use crate::error::RemoteError;
use crate::remote::{Remote, blocking};
use crate::retry::Attempts;

/// From how many bytes on a stream is compressed.
const WORTH_COMPRESSING: u64 = 64 * 1024;

impl Remote {
    /// Brings blobs into a store, those that are not there yet. Gives those that the server does not
    /// have either.
    pub fn download(
        &self,
        digests: Vec<BlobDigest>,
        into: &Arc<dyn BlobStore>,
    ) -> Result<Vec<BlobDigest>, RemoteError> {
        let (remote, into) = (self.clone(), Arc::clone(into));
        self.run(async move { remote.fetch_blobs(digests, &into).await })
    }

    pub(crate) async fn fetch_blobs(
        &self,
        digests: Vec<BlobDigest>,
        into: &Arc<dyn BlobStore>,
    ) -> Result<Vec<BlobDigest>, RemoteError> {
        let store = Arc::clone(into);
        let absent = blocking(move || {
            let mut seen = HashSet::new();
            let wanted = digests.into_iter().filter(|digest| seen.insert(*digest));
            Ok(store.missing(&wanted.collect::<Vec<_>>())?)
        });
        let absent = absent.await?;
        if absent.is_empty() {
            return Ok(absent);
        }
        let plan = Plan::new(absent, self.find_abilities().await?.batch);
        let mut tasks = JoinSet::new();
        for batch in plan.batches {
            let (remote, into) = (self.clone(), Arc::clone(into));
            tasks.spawn(async move { remote.read_batch(batch, &into).await });
        }
        for digest in plan.streams {
            let (remote, into) = (self.clone(), Arc::clone(into));
            tasks.spawn(async move {
                let _permit = remote.transfers().acquire().await;
                let found = remote.read_stream(digest, &into).await?;
                Ok(if found { Vec::new() } else { vec![digest] })
            });
        }
        all(tasks).await
    }

    async fn read_batch(
        &self,
        batch: Vec<BlobDigest>,
        into: &Arc<dyn BlobStore>,
    ) -> Result<Vec<BlobDigest>, RemoteError> {
        let _permit = self.transfers().acquire().await;
        let request = reapi::BatchReadBlobsRequest {
            instance_name: self.instance(),
            digests: batch.iter().map(|digest| (*digest).into()).collect(),
            ..Default::default()
        };
        let answer = self.call("BatchReadBlobs", || {
            let (mut client, request) = (self.cas(), request.clone());
            async move { client.batch_read_blobs(request).await }
        });
        let (mut missing, mut unsettled) = (Vec::new(), batch);
        match answer.await {
            Ok(answer) => {
                let (remote, store) = (self.clone(), Arc::clone(into));
                let kept = blocking(move || remote.keep_batch(unsettled, answer, &*store));
                (missing, unsettled) = kept.await?;
            }
            Err(error) if error.code() == Some(Code::Unimplemented) => {}
            Err(error) => return Err(error),
        }
        // What a batch does not settle a stream does, or says why not.
        for digest in unsettled {
            if !self.read_stream(digest, into).await? {
                missing.push(digest);
            }
        }
        Ok(missing)
    }

    /// Keeps what came of a batch. Gives what the server does not have, and what it did not tell of.
    fn keep_batch(
        &self,
        asked: Vec<BlobDigest>,
        answer: reapi::BatchReadBlobsResponse,
        into: &dyn BlobStore,
    ) -> Result<(Vec<BlobDigest>, Vec<BlobDigest>), RemoteError> {
        let mut unsettled: HashSet<BlobDigest> = asked.into_iter().collect();
        let (mut missing, mut good) = (Vec::new(), Vec::new());
        for response in answer.responses {
            let digest = BlobDigest::required(response.digest.as_ref());
            let digest = digest.map_err(|error| self.answer("BatchReadBlobs", error))?;
            let code = Code::from(response.status.map_or(0, |status| status.code));
            match code {
                Code::Ok if response.compressor == 0 => {
                    if !unsettled.remove(&digest) {
                        continue;
                    }
                    let actual = BlobDigest::of(&response.data);
                    if actual != digest {
                        return Err(self.damaged(digest, actual));
                    }
                    good.push((digest, response.data));
                }
                Code::NotFound if unsettled.remove(&digest) => missing.push(digest),
                _ => {}
            }
        }
        into.write_all(good)?;
        Ok((missing, unsettled.into_iter().collect()))
    }

    fn damaged(&self, expected: BlobDigest, actual: BlobDigest) -> RemoteError {
        RemoteError::Damaged {
            url: self.url().to_owned(),
            expected,
            actual,
        }
    }

    /// Reads a blob as a stream, from where it broke off if it does. Says whether the server has it.
    pub(crate) async fn read_stream(
        &self,
        digest: BlobDigest,
        into: &Arc<dyn BlobStore>,
    ) -> Result<bool, RemoteError> {
        if digest.is_of_nothing() {
            into.write(Bytes::new())?;
            return Ok(true);
        }
        self.refuse_while_resting("Read")?;
        let mut blob = Incoming {
            writer: into.writer()?,
            digest,
            written: 0,
        };
        let mut attempts = Attempts::new(self.settings(), "Read");
        loop {
            let before = blob.written;
            let status = match self.read_some(&mut blob).await {
                Ok(()) if blob.written == digest.size() => break,
                Ok(()) => Status::unavailable(format!(
                    "the stream of {digest} ended after {} bytes",
                    blob.written
                )),
                Err(Broken::Here(error)) => return Err(error),
                Err(Broken::There(status)) if status.code() == Code::NotFound => return Ok(false),
                Err(Broken::There(status)) => status,
            };
            if blob.written > before {
                attempts.progressed();
            }
            self.noted(attempts.failed(&status).await)?;
        }
        let remote = self.clone();
        blocking(move || match blob.writer.finish(Some(digest)) {
            Ok(_) => Ok(true),
            Err(StoreError::Mismatch { expected, actual }) => Err(remote.damaged(expected, actual)),
            Err(error) => Err(error.into()),
        })
        .await
    }

    /// Reads on until the stream ends.
    async fn read_some(&self, blob: &mut Incoming) -> Result<(), Broken> {
        let digest = blob.digest;
        let compressed = digest.size() >= WORTH_COMPRESSING
            && self.find_abilities().await.map_err(Broken::Here)?.zstd;
        let (hash, size) = (digest.hex(), digest.size().cast_signed());
        let request = ReadRequest {
            resource_name: match compressed {
                true => resource::compressed_read_name(&self.instance(), "zstd", &hash, size),
                false => resource::read_name(&self.instance(), &hash, size),
            },
            // Counted in bytes of the content, compressed or not.
            read_offset: blob.written.cast_signed(),
            read_limit: 0,
        };
        let mut client = self.bytes();
        let stream = self
            .in_time(client.read(request))
            .await
            .map_err(Broken::There)?;
        let mut stream = stream.into_inner();
        if compressed {
            let decoder = zstd::stream::write::Decoder::new(blob);
            let mut decoder = decoder.map_err(|error| Broken::here(digest, error))?;
            while let Some(piece) = self
                .in_time(stream.message())
                .await
                .map_err(Broken::There)?
            {
                let written = decoder.write_all(&piece.data);
                written.map_err(|error| Broken::here(digest, error))?;
            }
            return decoder.flush().map_err(|error| Broken::here(digest, error));
        }
        while let Some(piece) = self
            .in_time(stream.message())
            .await
            .map_err(Broken::There)?
        {
            let written = blob.write_all(&piece.data);
            written.map_err(|error| Broken::here(digest, error))?;
        }
        Ok(())
    }
}

/// Why a stream broke off.
enum Broken {
    /// On this side, or for good.
    Here(RemoteError),
    /// On the other, or on the way.
    There(Status),
}

impl Broken {
    fn here(digest: BlobDigest, error: io::Error) -> Self {
        Self::Here(StoreError::io(format!("{digest}, being received"), error).into())
    }
}

/// A blob that is being received.
struct Incoming {
    writer: Box<dyn BlobWriter>,
    digest: BlobDigest,
    written: u64,
}

impl Write for Incoming {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if self.written + piece.len() as u64 > self.digest.size() {
            let error = "the server sends more than that";
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        self.writer.write_all(piece)?;
        self.written += piece.len() as u64;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// All that tasks give; the first error ends them all.
pub(crate) async fn all<T: 'static>(
    mut tasks: JoinSet<Result<Vec<T>, RemoteError>>,
) -> Result<Vec<T>, RemoteError> {
    let mut found = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        found.extend(ended.map_err(|error| RemoteError::Broken(error.to_string()))??);
    }
    Ok(found)
}
