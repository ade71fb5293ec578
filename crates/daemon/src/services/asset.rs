//! Content by name: Remote Asset, over what was pushed here.

use std::sync::Arc;

use headstart_merkle::{BlobDigest, DirectoryDigest};
use headstart_reapi::asset;
use headstart_reapi::asset::fetch_server::Fetch;
use headstart_reapi::asset::push_server::Push;
use headstart_store::{Asset, AssetKind, AssetName, Assets, StoreError};
use tonic::{Request, Response, Status};

use super::{blocking, digest};
use crate::instances::Instances;
use crate::status;
use crate::tenant::Tenant;

/// Both services: what is pushed can be fetched.
#[derive(Clone)]
pub(crate) struct AssetService {
    instances: Instances,
    assets: Arc<dyn Assets>,
}

impl AssetService {
    pub(crate) fn new(instances: Instances, assets: Arc<dyn Assets>) -> Self {
        Self { instances, assets }
    }

    /// The first of some names under which something complete is known.
    async fn find(
        &self,
        instance: &str,
        kind: AssetKind,
        uris: Vec<String>,
        qualifiers: &[asset::Qualifier],
    ) -> Result<(String, Asset), Status> {
        let tenant = self.instances.find(instance)?;
        let assets = Arc::clone(&self.assets);
        let names = names(kind, uris, qualifiers)?;
        let found = blocking(move || {
            names
                .into_iter()
                .find_map(|name| look_up(&tenant, &*assets, name).transpose())
                .transpose()
        });
        let found = found.await?.map_err(|error| status::of_store(&error))?;
        found.ok_or_else(|| Status::not_found("nothing is known under these names"))
    }

    async fn push(
        &self,
        instance: &str,
        kind: AssetKind,
        uris: Vec<String>,
        qualifiers: &[asset::Qualifier],
        content: BlobDigest,
    ) -> Result<(), Status> {
        let tenant = self.instances.find(instance)?;
        let assets = Arc::clone(&self.assets);
        let names = names(kind, uris, qualifiers)?;
        if !tenant.may_update_cache() {
            return Err(Status::permission_denied(
                "names are not taken from those who may not write to the action cache",
            ));
        }
        let pushed = blocking(move || {
            // A server may be nothing but an index to others.
            let elsewhere = !tenant.executor().store().contains(content)?;
            let asset = Asset { content, elsewhere };
            names.iter().try_for_each(|name| assets.put(name, &asset))
        });
        pushed.await?.map_err(|error| status::of_store(&error))
    }
}

fn look_up(
    tenant: &Tenant,
    assets: &dyn Assets,
    name: AssetName,
) -> Result<Option<(String, Asset)>, StoreError> {
    let executor = tenant.executor();
    let Some(asset) = assets.get(&name)? else {
        return Ok(None);
    };
    let complete = match name.kind {
        _ if asset.elsewhere => true,
        AssetKind::Blob => executor.store().contains(asset.content)?,
        AssetKind::Directory => {
            let tree = asset.content.cast();
            executor.directories().find_whole(tree, true).is_ok()
        }
    };
    Ok(complete.then_some((name.uri, asset)))
}

/// The names that a request gives.
#[allow(clippy::result_large_err)]
fn names(
    kind: AssetKind,
    uris: Vec<String>,
    qualifiers: &[asset::Qualifier],
) -> Result<Vec<AssetName>, Status> {
    if uris.is_empty() {
        return Err(Status::invalid_argument("uris: expected at least one"));
    }
    let mut qualifiers: Vec<_> = qualifiers
        .iter()
        .map(|qualifier| (qualifier.name.clone(), qualifier.value.clone()))
        .collect();
    qualifiers.sort();
    let name = |uri| AssetName {
        kind,
        uri,
        qualifiers: qualifiers.clone(),
    };
    Ok(uris.into_iter().map(name).collect())
}

#[tonic::async_trait]
impl Fetch for AssetService {
    async fn fetch_blob(
        &self,
        request: Request<asset::FetchBlobRequest>,
    ) -> Result<Response<asset::FetchBlobResponse>, Status> {
        let request = request.into_inner();
        if let Some(server) = self.instances.find(&request.instance_name)?.names() {
            let answer = server.pass_on_fetch_blob(request).await;
            return answer
                .map(Response::new)
                .map_err(|error| status::of_remote(&error));
        }
        let (instance, qualifiers) = (&request.instance_name, request.qualifiers);
        let (uri, found) = self
            .find(instance, AssetKind::Blob, request.uris, &qualifiers)
            .await?;
        Ok(Response::new(asset::FetchBlobResponse {
            status: Some(Default::default()),
            uri,
            qualifiers,
            blob_digest: Some(found.content.into()),
            ..Default::default()
        }))
    }

    async fn fetch_directory(
        &self,
        request: Request<asset::FetchDirectoryRequest>,
    ) -> Result<Response<asset::FetchDirectoryResponse>, Status> {
        let request = request.into_inner();
        if let Some(server) = self.instances.find(&request.instance_name)?.names() {
            let answer = server.pass_on_fetch_directory(request).await;
            return answer
                .map(Response::new)
                .map_err(|error| status::of_remote(&error));
        }
        let (instance, qualifiers) = (&request.instance_name, request.qualifiers);
        let (uri, found) = self
            .find(instance, AssetKind::Directory, request.uris, &qualifiers)
            .await?;
        Ok(Response::new(asset::FetchDirectoryResponse {
            status: Some(Default::default()),
            uri,
            qualifiers,
            root_directory_digest: Some(found.content.into()),
            ..Default::default()
        }))
    }
}

#[tonic::async_trait]
impl Push for AssetService {
    async fn push_blob(
        &self,
        request: Request<asset::PushBlobRequest>,
    ) -> Result<Response<asset::PushBlobResponse>, Status> {
        let request = request.into_inner();
        if let Some(server) = self.instances.find(&request.instance_name)?.names() {
            let answer = server.pass_on_push_blob(request).await;
            return answer
                .map(Response::new)
                .map_err(|error| status::of_remote(&error));
        }
        names(AssetKind::Blob, request.uris.clone(), &[])?;
        let content: BlobDigest = digest(request.blob_digest.as_ref(), "blob_digest")?;
        let (instance, qualifiers) = (&request.instance_name, &request.qualifiers);
        self.push(instance, AssetKind::Blob, request.uris, qualifiers, content)
            .await?;
        Ok(Response::new(asset::PushBlobResponse {}))
    }

    async fn push_directory(
        &self,
        request: Request<asset::PushDirectoryRequest>,
    ) -> Result<Response<asset::PushDirectoryResponse>, Status> {
        let request = request.into_inner();
        if let Some(server) = self.instances.find(&request.instance_name)?.names() {
            let answer = server.pass_on_push_directory(request).await;
            return answer
                .map(Response::new)
                .map_err(|error| status::of_remote(&error));
        }
        names(AssetKind::Directory, request.uris.clone(), &[])?;
        let root: DirectoryDigest = digest(
            request.root_directory_digest.as_ref(),
            "root_directory_digest",
        )?;
        let (instance, qualifiers) = (&request.instance_name, &request.qualifiers);
        let kind = AssetKind::Directory;
        self.push(instance, kind, request.uris, qualifiers, root.blob())
            .await?;
        Ok(Response::new(asset::PushDirectoryResponse {}))
    }
}
