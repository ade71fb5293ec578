//! Trees that are staged for as long as a client keeps its stream open.

use std::path::PathBuf;
use std::sync::Arc;

use headstart_execution::SubactionRecorder;
use headstart_merkle::{ActionDigest, TreePath};
use headstart_reapi::localcas::{StageTreeRequest, StageTreeResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::check_tree;
use crate::endpoint::Endpoint;
use crate::instances::Instances;
use crate::parents::ParentRun;
use crate::premises::{Premises, StageWanted, StagedTree};
use crate::services::{blocking, digest};
use crate::tenant::{Tenant, nobody_to_tell};

type Responses = mpsc::Sender<Result<StageTreeResponse, Status>>;

/// A staged tree with what is open for those who work in it.
struct Session {
    tree: Box<dyn StagedTree>,
    endpoint: Option<(Endpoint, Tenant)>,
    /// The parent action that runs in it, if it is followed.
    parent: Option<Arc<dyn ParentRun>>,
}

/// Serves one stream: stages what its first message names, and cleans up after its second or its end.
pub(super) async fn serve(
    instances: Instances,
    premises: Arc<dyn Premises>,
    mut stream: Streaming<StageTreeRequest>,
) -> Result<ReceiverStream<Result<StageTreeResponse, Status>>, Status> {
    let (sender, receiver) = mpsc::channel(2);
    let first = stream.message().await?;
    let first = first.ok_or_else(|| Status::invalid_argument("the stream is empty"))?;
    let tenant = instances.find(&first.instance_name)?;
    if tenant.root().is_some() {
        return Err(Status::permission_denied(
            "trees are not staged for those who are bound to a folder",
        ));
    }
    tokio::spawn(async move {
        if let Err(error) = run(&tenant, premises, first, stream, &sender).await {
            let _ = sender.send(Err(error)).await;
        }
    });
    Ok(ReceiverStream::new(receiver))
}

async fn run(
    tenant: &Tenant,
    premises: Arc<dyn Premises>,
    request: StageTreeRequest,
    mut stream: Streaming<StageTreeRequest>,
    responses: &Responses,
) -> Result<(), Status> {
    let session = open(tenant, premises, &request).await?;
    let answer = StageTreeResponse {
        path: session.tree.path().to_string_lossy().into_owned(),
        socket: match &session.endpoint {
            Some((endpoint, _)) => endpoint.socket().to_string_lossy().into_owned(),
            None => String::new(),
        },
        ..Default::default()
    };
    let told = responses.send(Ok(answer)).await.is_ok();
    // A second message, the end of the stream and a broken connection all mean the same.
    let mut well = false;
    let mut wrong = Ok(());
    if told && let Ok(Some(second)) = stream.message().await {
        wrong = check_second(&second);
        well = true;
    }
    let subactions = close(session, well).await?;
    wrong?;
    let _ = responses
        .send(Ok(StageTreeResponse {
            subactions: subactions.into_iter().map(Into::into).collect(),
            ..Default::default()
        }))
        .await;
    Ok(())
}

#[allow(clippy::result_large_err)]
fn check_second(second: &StageTreeRequest) -> Result<(), Status> {
    if *second == StageTreeRequest::default() {
        return Ok(());
    }
    Err(Status::invalid_argument(
        "the second message of a StageTree stream must be empty: it says that the tree can go",
    ))
}

/// Brings the tree here, if the tenant's contents are elsewhere too.
async fn bring(tenant: &Tenant, request: &StageTreeRequest) -> Result<(), Status> {
    if !tenant.executor().store().is_backed() {
        return Ok(());
    }
    let root = digest(request.root_digest.as_ref(), "root_digest")?;
    check_tree(tenant, root, true).await
}

async fn open(
    tenant: &Tenant,
    premises: Arc<dyn Premises>,
    request: &StageTreeRequest,
) -> Result<Session, Status> {
    if !request.pre_unstage_commands.is_empty() {
        return Err(Status::permission_denied(
            "pre_unstage_commands: none are allowed here",
        ));
    }
    bring(tenant, request).await?;
    let id = |id: i64| {
        u32::try_from(id).map_err(|_| Status::invalid_argument("access_credentials: no such user"))
    };
    let owner = match &request.access_credentials {
        // The group may be left out.
        Some(user) => Some((id(user.uid)?, id(user.gid)?)),
        None => None,
    };
    let wanted = StageWanted {
        root: digest(request.root_digest.as_ref(), "root_digest")?,
        read_only: request.read_only,
        path: (!request.path.is_empty()).then(|| PathBuf::from(&request.path)),
        owner,
    };
    let socket = match request.remote_apis_socket_path.as_str() {
        "" => None,
        path => Some(TreePath::normalized(path).map_err(|error| {
            Status::invalid_argument(format!("remote_apis_socket_path: {error}"))
        })?),
    };
    let parent: Option<ActionDigest> = match &request.parent_action {
        Some(action) => Some(digest(Some(action), "parent_action")?),
        None => None,
    };
    let tree = blocking(move || premises.stage(&wanted)).await??;
    // Only those who find a socket ask for anything.
    let parent = parent.filter(|_| socket.is_some());
    let parent = parent.and_then(|parent| tenant.executor().follow(parent));
    let recorder = parent
        .clone()
        .map_or_else(nobody_to_tell, ParentRun::recorder);
    let endpoint = match socket {
        None => None,
        Some(inside) => Some(open_endpoint(tenant, request, &*tree, &inside, recorder)?),
    };
    Ok(Session {
        tree,
        endpoint,
        parent,
    })
}

#[allow(clippy::result_large_err)]
fn open_endpoint(
    tenant: &Tenant,
    request: &StageTreeRequest,
    tree: &dyn StagedTree,
    inside: &TreePath,
    recorder: Arc<dyn SubactionRecorder>,
) -> Result<(Endpoint, Tenant), Status> {
    let inner = Tenant::new(
        tenant.executor().clone(),
        recorder,
        request.nested_cache_update && tenant.may_update_cache(),
        CancellationToken::new(),
    );
    let opened = match request.read_only {
        true => Endpoint::open(inner.clone(), inside),
        false => Endpoint::open_in(inner.clone(), tree.path(), inside),
    };
    let endpoint = opened.map_err(|error| Status::internal(error.to_string()))?;
    Ok((endpoint, inner))
}

/// Ends what is open, and gives what was asked for inside.
async fn close(session: Session, well: bool) -> Result<Vec<ActionDigest>, Status> {
    let mut subactions = Vec::new();
    if let Some((endpoint, tenant)) = session.endpoint {
        endpoint.close().await;
        subactions = tenant.take_asked();
    }
    let failure = blocking(move || session.tree.failure()).await?;
    if let Some(parent) = session.parent {
        parent.ended(well && failure.is_none());
    }
    match failure {
        None => Ok(subactions),
        Some(failure) => Err(failure),
    }
}
