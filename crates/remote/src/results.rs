//! Results of actions.

use headstart_merkle::ActionDigest;
use headstart_reapi::reapi;
use headstart_store::{ActionCache, StoreError, StoredResult};
use tonic::Code;

use crate::error::RemoteError;
use crate::remote::Remote;

impl Remote {
    pub(crate) async fn find_result(
        &self,
        action: ActionDigest,
    ) -> Result<Option<StoredResult>, RemoteError> {
        let request = reapi::GetActionResultRequest {
            instance_name: self.instance(),
            action_digest: Some(action.into()),
            ..Default::default()
        };
        let answer = self.call("GetActionResult", || {
            let (mut client, request) = (self.results(), request.clone());
            async move { client.get_action_result(request).await }
        });
        match answer.await {
            // A failure that somebody cached is nobody's answer.
            Ok(result) if result.exit_code != 0 => Ok(None),
            Ok(result) => Ok(Some(result.into())),
            Err(error) if error.code() == Some(Code::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn put_result(
        &self,
        action: ActionDigest,
        result: reapi::ActionResult,
    ) -> Result<(), RemoteError> {
        let request = reapi::UpdateActionResultRequest {
            instance_name: self.instance(),
            action_digest: Some(action.into()),
            action_result: Some(result),
            ..Default::default()
        };
        let answer = self.call("UpdateActionResult", || {
            let (mut client, request) = (self.results(), request.clone());
            async move { client.update_action_result(request).await }
        });
        answer.await.map(|_| ())
    }
}

/// A server's action cache. Results of failed commands are neither taken nor given, which is why
/// only results of success are kept for others.
pub struct RemoteActionCache(Remote);

impl RemoteActionCache {
    /// The action cache of a server.
    pub fn new(remote: Remote) -> Self {
        Self(remote)
    }
}

impl ActionCache for RemoteActionCache {
    fn get(&self, action: ActionDigest) -> Result<Option<StoredResult>, StoreError> {
        let remote = self.0.clone();
        let found = self.0.run(async move { remote.find_result(action).await });
        Ok(found?)
    }

    fn put(&self, action: ActionDigest, result: &StoredResult) -> Result<(), StoreError> {
        if result.message().exit_code != 0 {
            return Ok(());
        }
        let (remote, result) = (self.0.clone(), result.message().clone());
        let put = self
            .0
            .run(async move { remote.put_result(action, result).await });
        Ok(put?)
    }
}
