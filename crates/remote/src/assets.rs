//! Contents by name: Remote Asset.

use headstart_merkle::{BlobDigest, Digest, DirectoryDigest};
use headstart_reapi::asset;
use headstart_reapi::rpc;
use tonic::Code;

use crate::error::RemoteError;
use crate::remote::Remote;

/// What a name refers to beside its own content: to be kept as long.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Blobs.
    pub blobs: Vec<BlobDigest>,
    /// Trees.
    pub directories: Vec<DirectoryDigest>,
}

impl Remote {
    /// The blob that the first of some names stands for that the server knows.
    pub fn fetch_blob(&self, uris: Vec<String>) -> Result<Option<BlobDigest>, RemoteError> {
        let remote = self.clone();
        let request = asset::FetchBlobRequest {
            uris,
            ..Default::default()
        };
        self.run(async move {
            let answer = remote.pass_on_fetch_blob(request).await;
            let answer = answer.map(|answer| (answer.status, answer.blob_digest));
            remote.known("FetchBlob", answer)
        })
    }

    /// The tree that the first of some names stands for that the server knows.
    pub fn fetch_directory(
        &self,
        uris: Vec<String>,
    ) -> Result<Option<DirectoryDigest>, RemoteError> {
        let remote = self.clone();
        let request = asset::FetchDirectoryRequest {
            uris,
            ..Default::default()
        };
        self.run(async move {
            let answer = remote.pass_on_fetch_directory(request).await;
            let answer = answer.map(|answer| (answer.status, answer.root_directory_digest));
            remote.known("FetchDirectory", answer)
        })
    }

    fn known<K>(
        &self,
        call: &'static str,
        answer: Result<(Option<rpc::Status>, Option<headstart_reapi::reapi::Digest>), RemoteError>,
    ) -> Result<Option<Digest<K>>, RemoteError> {
        let (status, digest) = match answer {
            Ok(answer) => answer,
            Err(error) if error.code() == Some(Code::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        let status = status.unwrap_or_default();
        match Code::from(status.code) {
            Code::Ok => {}
            Code::NotFound => return Ok(None),
            code => {
                return Err(RemoteError::Call {
                    url: self.url().to_owned(),
                    call,
                    code,
                    message: status.message,
                    attempts: 1,
                });
            }
        }
        let digest = Digest::required(digest.as_ref());
        digest.map(Some).map_err(|error| self.answer(call, error))
    }

    /// Has names stand for a blob, which the server has.
    pub fn push_blob(
        &self,
        uris: Vec<String>,
        blob: BlobDigest,
        references: &References,
    ) -> Result<(), RemoteError> {
        let request = asset::PushBlobRequest {
            uris,
            blob_digest: Some(blob.into()),
            references_blobs: messages(&references.blobs),
            references_directories: messages(&references.directories),
            ..Default::default()
        };
        let remote = self.clone();
        self.run(async move { remote.pass_on_push_blob(request).await.map(|_| ()) })
    }

    /// Has names stand for a tree, which the server has.
    pub fn push_directory(
        &self,
        uris: Vec<String>,
        root: DirectoryDigest,
        references: &References,
    ) -> Result<(), RemoteError> {
        let request = asset::PushDirectoryRequest {
            uris,
            root_directory_digest: Some(root.into()),
            references_blobs: messages(&references.blobs),
            references_directories: messages(&references.directories),
            ..Default::default()
        };
        let remote = self.clone();
        self.run(async move { remote.pass_on_push_directory(request).await.map(|_| ()) })
    }
}

fn messages<K>(digests: &[Digest<K>]) -> Vec<headstart_reapi::reapi::Digest> {
    digests.iter().map(|digest| (*digest).into()).collect()
}

/// Requests of others, passed on as they are but for the name of the instance.
impl Remote {
    /// Asks what a name of a blob stands for.
    pub async fn pass_on_fetch_blob(
        &self,
        mut request: asset::FetchBlobRequest,
    ) -> Result<asset::FetchBlobResponse, RemoteError> {
        request.instance_name = self.instance();
        let answer = self.call("FetchBlob", || {
            let (mut client, request) = (self.fetch(), request.clone());
            async move { client.fetch_blob(request).await }
        });
        answer.await
    }

    /// Asks what a name of a tree stands for.
    pub async fn pass_on_fetch_directory(
        &self,
        mut request: asset::FetchDirectoryRequest,
    ) -> Result<asset::FetchDirectoryResponse, RemoteError> {
        request.instance_name = self.instance();
        let answer = self.call("FetchDirectory", || {
            let (mut client, request) = (self.fetch(), request.clone());
            async move { client.fetch_directory(request).await }
        });
        answer.await
    }

    /// Names a blob.
    pub async fn pass_on_push_blob(
        &self,
        mut request: asset::PushBlobRequest,
    ) -> Result<asset::PushBlobResponse, RemoteError> {
        request.instance_name = self.instance();
        let answer = self.call("PushBlob", || {
            let (mut client, request) = (self.push(), request.clone());
            async move { client.push_blob(request).await }
        });
        answer.await
    }

    /// Names a tree.
    pub async fn pass_on_push_directory(
        &self,
        mut request: asset::PushDirectoryRequest,
    ) -> Result<asset::PushDirectoryResponse, RemoteError> {
        request.instance_name = self.instance();
        let answer = self.call("PushDirectory", || {
            let (mut client, request) = (self.push(), request.clone());
            async move { client.push_directory(request).await }
        });
        answer.await
    }
}
