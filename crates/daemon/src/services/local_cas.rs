//! What a cache on the same machine does for its clients: trees and files go from the disk into the
//! store and back.
//!
//! Build tools on the machine may name any path that they could read themselves. Those inside a
//! sandbox name paths of the sandbox, and are never led out of it.

mod staging;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use headstart_hostfs::{Capture, HostError, Place, Wanted};
use headstart_merkle::{BlobDigest, DirectoryDigest, FileNode, TreeError};
use headstart_reapi::localcas::local_content_addressable_storage_server::LocalContentAddressableStorage;
use headstart_reapi::reapi::command::OutputDirectoryFormat as Format;
use headstart_reapi::{Message, localcas, reapi, rpc};
use headstart_store::{BlobStore, StoreError};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::UdsConnectInfo;
use tonic::{Extensions, Request, Response, Status, Streaming};

use super::{blocking, digest};
use crate::inside::Inside;
use crate::instances::Instances;
use crate::premises::Premises;
use crate::status;
use crate::tenant::Tenant;
use crate::trees::{self, write_tree};

/// Where the clients of a server are.
#[derive(Clone)]
pub(crate) enum Clients {
    /// On the machine.
    OnTheMachine(Arc<dyn Premises>),
    /// In a sandbox.
    Inside(Arc<Inside>),
    /// Anywhere: their paths mean nothing here.
    Anywhere,
}

pub(crate) struct LocalCasService {
    instances: Instances,
    clients: Clients,
}

impl LocalCasService {
    pub(crate) fn new(instances: Instances, clients: Clients) -> Self {
        Self { instances, clients }
    }

    #[allow(clippy::result_large_err)]
    fn premises(&self, client: &Extensions) -> Result<&Arc<dyn Premises>, Status> {
        match &self.clients {
            Clients::OnTheMachine(premises) => same_user(client).map(|()| premises),
            Clients::Inside(_) => Err(Status::permission_denied(
                "this is not offered inside a sandbox",
            )),
            Clients::Anywhere => Err(elsewhere()),
        }
    }

    /// The name of the instance with these servers behind it, which is made if there is none.
    #[allow(clippy::result_large_err)]
    fn add_remotes(
        &self,
        premises: &dyn Premises,
        wanted: &localcas::GetInstanceNameForRemotesRequest,
    ) -> Result<String, Status> {
        let digest = BlobDigest::of(&wanted.encode_to_vec());
        let name = format!("remotes-{}", &digest.hex()[..32]);
        self.instances.add(&name, || premises.remotes(wanted))?;
        Ok(name)
    }

    /// Where the paths of a request begin.
    #[allow(clippy::result_large_err)]
    fn place<T>(&self, request: &Request<T>, tenant: &Tenant) -> Result<Place, Status> {
        match (&self.clients, tenant.root()) {
            (Clients::OnTheMachine(_), None) => {
                same_user(request.extensions()).map(|()| Place::host())
            }
            (Clients::OnTheMachine(_), Some(root)) => {
                same_user(request.extensions())?;
                Place::below(root).map_err(|error| of_host(&error))
            }
            (Clients::Inside(inside), _) => inside.place(request.extensions()),
            (Clients::Anywhere, _) => Err(elsewhere()),
        }
    }
}

/// Whoever names paths must be who this process is, or the administrator: it would read and write for
/// others what they can't themselves.
#[allow(clippy::result_large_err)]
fn same_user(client: &Extensions) -> Result<(), Status> {
    let client = client.get::<UdsConnectInfo>();
    let user = client.and_then(|client| Some(client.peer_cred?.uid()));
    match user {
        Some(user) if user == 0 || user == rustix::process::geteuid().as_raw() => Ok(()),
        _ => Err(Status::permission_denied(
            "paths are taken from processes of this server's own user only",
        )),
    }
}

fn elsewhere() -> Status {
    Status::permission_denied(
        "paths are taken from clients on this machine only, which connect to a unix socket",
    )
}

/// The place that paths of a request begin at, if it narrows it down further.
#[allow(clippy::result_large_err)]
fn narrowed(place: Place, root: &str) -> Result<Place, Status> {
    if root.is_empty() {
        return Ok(place);
    }
    place
        .enter(Path::new(root))
        .map_err(|error| of_host(&error))
}

fn of_host(error: &HostError) -> Status {
    match error {
        HostError::Store(error) => status::of_store(error),
        HostError::Tree(error) => status::of_tree(error),
        HostError::Unusable { .. } => Status::invalid_argument(error.to_string()),
        HostError::Io { source, .. } => match source.kind() {
            std::io::ErrorKind::NotFound => Status::not_found(error.to_string()),
            std::io::ErrorKind::PermissionDenied => Status::permission_denied(error.to_string()),
            _ => Status::invalid_argument(error.to_string()),
        },
    }
}

/// What of nodes' properties a request wants.
fn wanted(properties: &[String], mask: Option<u32>) -> Wanted {
    let has = |name: &str| properties.iter().any(|property| property == name);
    Wanted {
        mtime: has("mtime"),
        unix_mode: has("unix_mode").then(|| mask.unwrap_or(0o7777)),
    }
}

#[allow(clippy::result_large_err)]
fn digests(blobs: &[reapi::Digest]) -> Result<Vec<BlobDigest>, Status> {
    let digests = blobs.iter().map(|blob| digest(Some(blob), "blob_digests"));
    digests.collect()
}

/// Does something with the blobs of a request in a tenant's store, as [`BlobStore::bring`] and
/// [`BlobStore::hand_over`] do. Gives those that are nowhere, each with its status.
async fn move_blobs(
    tenant: &Tenant,
    blobs: Vec<BlobDigest>,
    act: impl FnOnce(&dyn BlobStore, &[BlobDigest]) -> Result<Vec<BlobDigest>, StoreError>
    + Send
    + 'static,
) -> Result<Vec<BlobDigest>, Status> {
    let store = Arc::clone(tenant.executor().store());
    let missing = blocking(move || act(&*store, &blobs)).await?;
    missing.map_err(|error| status::of_store(&error))
}

/// What a response tells of each blob that is nowhere, in its own type.
fn failures<T>(
    missing: Vec<BlobDigest>,
    failure: impl Fn(Option<reapi::Digest>, Option<rpc::Status>) -> T,
) -> Vec<T> {
    let missing = missing.into_iter();
    missing
        .map(|digest| failure(Some(digest.into()), Some(not_here(digest))))
        .collect()
}

fn not_here(digest: BlobDigest) -> rpc::Status {
    status::message(&Status::not_found(format!("{digest} is not here")))
}

/// Sees that a tree is here, with its files if they are wanted. It is brought if the tenant's contents are elsewhere
/// too.
async fn check_tree(tenant: &Tenant, root: DirectoryDigest, files: bool) -> Result<(), Status> {
    let executor = tenant.executor().clone();
    let is_backed = executor.store().is_backed();
    let found = blocking(move || executor.directories().find_whole(root, files)).await?;
    match found {
        Ok(_) => Ok(()),
        Err(TreeError::Missing(missing)) => Err(Status::not_found(format!(
            "the tree {root} is not complete: {missing} is {}",
            match is_backed {
                true => "neither here nor on the server behind",
                false => "not here",
            }
        ))),
        Err(error) => Err(status::of_tree(&error)),
    }
}

#[tonic::async_trait]
impl LocalContentAddressableStorage for LocalCasService {
    type StageTreeStream = ReceiverStream<Result<localcas::StageTreeResponse, Status>>;

    async fn get_local_server_details(
        &self,
        request: Request<localcas::GetLocalServerDetailsRequest>,
    ) -> Result<Response<localcas::LocalServerDetails>, Status> {
        self.instances.find(&request.get_ref().instance_name)?;
        let root = self.premises(request.extensions())?.storage_root();
        Ok(Response::new(localcas::LocalServerDetails {
            hostname: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            process_uid: rustix::process::getuid().as_raw().into(),
            storage_root: root.to_string_lossy().into_owned(),
        }))
    }

    async fn fetch_missing_blobs(
        &self,
        request: Request<localcas::FetchMissingBlobsRequest>,
    ) -> Result<Response<localcas::FetchMissingBlobsResponse>, Status> {
        use localcas::fetch_missing_blobs_response::Response as Failed;
        let request = request.into_inner();
        let tenant = self.instances.find(&request.instance_name)?;
        let wanted = digests(&request.blob_digests)?;
        let missing = move_blobs(&tenant, wanted, |store, blobs| store.bring(blobs)).await?;
        let responses = failures(missing, |digest, status| Failed { digest, status });
        Ok(Response::new(localcas::FetchMissingBlobsResponse {
            responses,
        }))
    }

    async fn upload_missing_blobs(
        &self,
        request: Request<localcas::UploadMissingBlobsRequest>,
    ) -> Result<Response<localcas::UploadMissingBlobsResponse>, Status> {
        use localcas::upload_missing_blobs_response::Response as Failed;
        let request = request.into_inner();
        let tenant = self.instances.find(&request.instance_name)?;
        let wanted = digests(&request.blob_digests)?;
        let missing = move_blobs(&tenant, wanted, |store, blobs| store.hand_over(blobs)).await?;
        let responses = failures(missing, |digest, status| Failed { digest, status });
        Ok(Response::new(localcas::UploadMissingBlobsResponse {
            responses,
        }))
    }

    async fn fetch_tree(
        &self,
        request: Request<localcas::FetchTreeRequest>,
    ) -> Result<Response<localcas::FetchTreeResponse>, Status> {
        let request = request.into_inner();
        let tenant = self.instances.find(&request.instance_name)?;
        let root = digest(request.root_digest.as_ref(), "root_digest")?;
        check_tree(&tenant, root, request.fetch_file_blobs).await?;
        Ok(Response::new(localcas::FetchTreeResponse {}))
    }

    async fn upload_tree(
        &self,
        request: Request<localcas::UploadTreeRequest>,
    ) -> Result<Response<localcas::UploadTreeResponse>, Status> {
        let request = request.into_inner();
        let tenant = self.instances.find(&request.instance_name)?;
        let root = digest(request.root_digest.as_ref(), "root_digest")?;
        if !tenant.executor().store().is_backed() {
            check_tree(&tenant, root, true).await?;
            return Ok(Response::new(localcas::UploadTreeResponse {}));
        }
        let executor = tenant.executor().clone();
        let blobs = blocking(move || trees::blobs(root, true, executor.directories())).await?;
        let blobs = blobs.map_err(|error| status::of_tree(&error))?;
        let missing = move_blobs(&tenant, blobs, |store, blobs| store.hand_over(blobs)).await?;
        match missing.first() {
            None => Ok(Response::new(localcas::UploadTreeResponse {})),
            Some(missing) => Err(Status::not_found(format!(
                "the tree {root} is not complete: {missing} is not here"
            ))),
        }
    }

    async fn stage_tree(
        &self,
        request: Request<Streaming<localcas::StageTreeRequest>>,
    ) -> Result<Response<Self::StageTreeStream>, Status> {
        let premises = Arc::clone(self.premises(request.extensions())?);
        let stream = request.into_inner();
        Ok(Response::new(
            staging::serve(self.instances.clone(), premises, stream).await?,
        ))
    }

    async fn capture_tree(
        &self,
        request: Request<localcas::CaptureTreeRequest>,
    ) -> Result<Response<localcas::CaptureTreeResponse>, Status> {
        let tenant = self.instances.find(&request.get_ref().instance_name)?;
        let place = narrowed(self.place(&request, &tenant)?, &request.get_ref().root)?;
        let request = request.into_inner();
        let responses = blocking(move || {
            let paths = request.path.iter();
            let captured = paths.map(|path| capture_tree(&tenant, &place, path, &request));
            captured.collect()
        });
        Ok(Response::new(localcas::CaptureTreeResponse {
            responses: responses.await?,
        }))
    }

    async fn capture_files(
        &self,
        request: Request<localcas::CaptureFilesRequest>,
    ) -> Result<Response<localcas::CaptureFilesResponse>, Status> {
        let tenant = self.instances.find(&request.get_ref().instance_name)?;
        let place = narrowed(self.place(&request, &tenant)?, &request.get_ref().root)?;
        let request = request.into_inner();
        let responses = blocking(move || {
            let wanted = wanted(&request.node_properties, request.unix_mode_mask);
            let paths = request.path.iter();
            paths
                .map(|path| capture_file(&tenant, &place, path, wanted))
                .collect()
        });
        Ok(Response::new(localcas::CaptureFilesResponse {
            responses: responses.await?,
        }))
    }

    async fn get_instance_name_for_remote(
        &self,
        request: Request<localcas::GetInstanceNameForRemoteRequest>,
    ) -> Result<Response<localcas::GetInstanceNameForRemoteResponse>, Status> {
        let premises = Arc::clone(self.premises(request.extensions())?);
        let request = request.into_inner();
        let remote = localcas::Remote {
            url: request.url,
            instance_name: request.instance_name,
            server_cert: request.server_cert,
            client_key: request.client_key,
            client_cert: request.client_cert,
            ..Default::default()
        };
        let wanted = localcas::GetInstanceNameForRemotesRequest {
            content_addressable_storage: Some(remote),
            ..Default::default()
        };
        let instance_name = self.add_remotes(&*premises, &wanted)?;
        Ok(Response::new(localcas::GetInstanceNameForRemoteResponse {
            instance_name,
        }))
    }

    async fn get_instance_name_for_remotes(
        &self,
        request: Request<localcas::GetInstanceNameForRemotesRequest>,
    ) -> Result<Response<localcas::GetInstanceNameForRemotesResponse>, Status> {
        let premises = Arc::clone(self.premises(request.extensions())?);
        let instance_name = self.add_remotes(&*premises, &request.into_inner())?;
        Ok(Response::new(localcas::GetInstanceNameForRemotesResponse {
            instance_name,
        }))
    }

    async fn get_instance_name_for_namespace(
        &self,
        request: Request<localcas::GetInstanceNameForNamespaceRequest>,
    ) -> Result<Response<localcas::GetInstanceNameForNamespaceResponse>, Status> {
        self.premises(request.extensions())?;
        let request = request.into_inner();
        let tenant = self.instances.find(&request.instance_name)?;
        if tenant.root().is_some() {
            return Err(Status::permission_denied(
                "an instance that is bound to a folder can't be bound to another",
            ));
        }
        let root = PathBuf::from(&request.root);
        // It must be there now, and a folder.
        Place::host()
            .enter(&root)
            .map_err(|error| of_host(&error))?;
        let key = BlobDigest::of(format!("{}\0{}", request.instance_name, request.root).as_bytes());
        let instance_name = format!("namespace-{}", &key.hex()[..16]);
        let make = || Ok::<_, Status>(tenant.bound_to(root));
        self.instances.add(&instance_name, make)?;
        Ok(Response::new(
            localcas::GetInstanceNameForNamespaceResponse { instance_name },
        ))
    }

    async fn get_local_disk_usage(
        &self,
        request: Request<localcas::GetLocalDiskUsageRequest>,
    ) -> Result<Response<localcas::GetLocalDiskUsageResponse>, Status> {
        let usage = self.premises(request.extensions())?.usage();
        let bytes = |size: u64| i64::try_from(size).unwrap_or(i64::MAX);
        Ok(Response::new(localcas::GetLocalDiskUsageResponse {
            size_bytes: bytes(usage.used),
            quota_bytes: bytes(usage.quota.unwrap_or(0)),
        }))
    }
}

fn capture_tree(
    tenant: &Tenant,
    place: &Place,
    path: &str,
    request: &localcas::CaptureTreeRequest,
) -> localcas::capture_tree_response::Response {
    let directories = tenant.executor().directories();
    let capture = Capture {
        store: directories,
        wanted: wanted(&request.node_properties, request.unix_mode_mask),
    };
    let mut response = localcas::capture_tree_response::Response {
        path: path.to_owned(),
        ..Default::default()
    };
    let captured = capture
        .folder(place, Path::new(path))
        .map_err(|error| of_host(&error))
        .and_then(|root| {
            let format = request.output_directory_format();
            if format != Format::DirectoryOnly {
                let tree = write_tree(root, directories);
                let tree = tree.map_err(|error| status::of_tree(&error))?;
                response.tree_digest = Some(tree.into());
            }
            if format != Format::TreeOnly {
                response.root_directory_digest = Some(root.into());
            }
            Ok(())
        });
    response.status = Some(match captured {
        Ok(()) => rpc::Status::default(),
        Err(error) => status::message(&error),
    });
    response
}

fn capture_file(
    tenant: &Tenant,
    place: &Place,
    path: &str,
    wanted: Wanted,
) -> localcas::capture_files_response::Response {
    let capture = Capture {
        store: tenant.executor().directories(),
        wanted,
    };
    let captured = capture.file(place, Path::new(path));
    let mut response = localcas::capture_files_response::Response {
        path: path.to_owned(),
        ..Default::default()
    };
    let status = match captured {
        Ok(FileNode {
            digest,
            executable,
            properties,
        }) => {
            response.digest = Some(digest.into());
            response.is_executable = executable;
            response.node_properties = properties.to_message();
            rpc::Status::default()
        }
        Err(error) => status::message(&of_host(&error)),
    };
    response.status = Some(status);
    response
}
