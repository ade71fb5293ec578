//! Results of actions. What is found counts as a subaction, like what is executed.

use headstart_execution::{Answered, Outcome, Priority, Subaction, duration_of};
use headstart_merkle::{ActionDigest, BlobDigest};
use headstart_reapi::reapi;
use headstart_reapi::reapi::action_cache_server::ActionCache;
use headstart_store::{BlobStore, StoredResult};
use tonic::{Request, Response, Status};

use super::{MAX_BATCH, digest};
use crate::instances::Instances;
use crate::status;
use crate::tenant::Tenant;

pub(crate) struct ActionCacheService(Instances);

impl ActionCacheService {
    pub(crate) fn new(instances: Instances) -> Self {
        Self(instances)
    }
}

fn tell(tenant: &Tenant, action: ActionDigest, result: StoredResult, answered: Answered) {
    let duration = duration_of(result.message());
    tenant.answered(Subaction {
        action,
        result,
        answered,
        duration,
    });
}

#[tonic::async_trait]
impl ActionCache for ActionCacheService {
    async fn get_action_result(
        &self,
        request: Request<reapi::GetActionResultRequest>,
    ) -> Result<Response<reapi::ActionResult>, Status> {
        let request = request.into_inner();
        let tenant = self.0.find(&request.instance_name)?;
        let action: ActionDigest = digest(request.action_digest.as_ref(), "action_digest")?;
        let executor = tenant.executor();
        let found = executor.find_result(action, Priority::REAL).await;
        let found = found.map_err(|error| status::of_execution(&error))?;
        let Some(Outcome { result, .. }) = found else {
            tenant.missed(action);
            return Err(Status::not_found(format!(
                "there is no result of the action {action}"
            )));
        };
        let mut message = result.message().clone();
        tell(&tenant, action, result, Answered::Cached);
        let wanted = Inline {
            stdout: request.inline_stdout,
            stderr: request.inline_stderr,
            files: request.inline_output_files,
        };
        wanted.apply(&mut message, executor.store().as_ref());
        Ok(Response::new(message))
    }

    async fn update_action_result(
        &self,
        request: Request<reapi::UpdateActionResultRequest>,
    ) -> Result<Response<reapi::ActionResult>, Status> {
        let request = request.into_inner();
        let tenant = self.0.find(&request.instance_name)?;
        if !tenant.may_update_cache() {
            return Err(Status::permission_denied(if tenant.is_inside() {
                "this sandbox may not write to the action cache: its element would have to set \
                 `action-cache-enable-update` for its remote-apis-socket"
            } else {
                "this server takes no results of actions from its clients"
            }));
        }
        let action: ActionDigest = digest(request.action_digest.as_ref(), "action_digest")?;
        let message = request
            .action_result
            .ok_or_else(|| Status::invalid_argument("action_result: it is missing"))?;
        let result = StoredResult::from(message.clone());
        // The result of a failed command would be taken for everybody's.
        if message.exit_code == 0 {
            let kept = tenant.executor().keep_result(action, &result).await;
            kept.map_err(|error| status::of_execution(&error))?;
        }
        tell(&tenant, action, result, Answered::Uploaded);
        Ok(Response::new(message))
    }
}

/// What a client wants to have in the result's message itself.
pub(crate) struct Inline {
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    pub(crate) files: Vec<String>,
}

impl Inline {
    /// Puts it there, as far as it fits and can be read: clients can do without.
    pub(crate) fn apply(&self, result: &mut reapi::ActionResult, store: &dyn BlobStore) {
        let mut left = MAX_BATCH;
        let mut read = |digest: &Option<reapi::Digest>| {
            let digest = BlobDigest::required(digest.as_ref()).ok()?;
            left = left.checked_sub(digest.size())?;
            store.read(digest).ok()
        };
        if self.stdout
            && let Some(content) = read(&result.stdout_digest)
        {
            result.stdout_raw = content;
        }
        if self.stderr
            && let Some(content) = read(&result.stderr_digest)
        {
            result.stderr_raw = content;
        }
        for file in &mut result.output_files {
            if self.files.contains(&file.path)
                && let Some(content) = read(&file.digest)
            {
                file.contents = content;
            }
        }
    }
}
