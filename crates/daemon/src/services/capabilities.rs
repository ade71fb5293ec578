//! What an endpoint can do.

use headstart_reapi::reapi::capabilities_server::Capabilities;
use headstart_reapi::{reapi, semver};
use tonic::{Request, Response, Status};

use super::{MAX_BATCH, MAX_BLOB, blocking, cas, chunks, compression};
use crate::instances::Instances;
use crate::status;

pub(crate) struct CapabilitiesService(Instances);

impl CapabilitiesService {
    pub(crate) fn new(instances: Instances) -> Self {
        Self(instances)
    }
}

fn version(minor: i32) -> Option<semver::SemVer> {
    Some(semver::SemVer {
        major: 2,
        minor,
        ..Default::default()
    })
}

#[tonic::async_trait]
impl Capabilities for CapabilitiesService {
    async fn get_capabilities(
        &self,
        request: Request<reapi::GetCapabilitiesRequest>,
    ) -> Result<Response<reapi::ServerCapabilities>, Status> {
        let tenant = self.0.find(&request.get_ref().instance_name)?;
        if let Some(server) = tenant.contents().cloned() {
            // Who asks wants to know whether it is there.
            let abilities = blocking(move || server.abilities()).await?;
            abilities.map_err(|error| status::of_remote(&error))?;
        }
        let in_chunks = cas::knows_chunks(&tenant);
        let sha256 = reapi::digest_function::Value::Sha256 as i32;
        let update = reapi::ActionCacheUpdateCapabilities {
            update_enabled: tenant.may_update_cache(),
        };
        let priorities = reapi::PriorityCapabilities {
            priorities: vec![reapi::priority_capabilities::PriorityRange {
                min_priority: if tenant.is_inside() { 0 } else { i32::MIN },
                max_priority: i32::MAX,
            }],
        };
        let strategy = reapi::symlink_absolute_path_strategy::Value::Allowed;
        Ok(Response::new(reapi::ServerCapabilities {
            cache_capabilities: Some(reapi::CacheCapabilities {
                digest_functions: vec![sha256],
                action_cache_update_capabilities: Some(update),
                max_batch_total_size_bytes: MAX_BATCH.cast_signed(),
                max_cas_blob_size_bytes: MAX_BLOB.cast_signed(),
                symlink_absolute_path_strategy: strategy as i32,
                supported_compressors: compression::SUPPORTED.to_vec(),
                supported_batch_update_compressors: compression::SUPPORTED.to_vec(),
                split_blob_support: in_chunks,
                splice_blob_support: in_chunks,
                fast_cdc_2020_params: in_chunks.then(chunks::parameters),
                ..Default::default()
            }),
            execution_capabilities: Some(reapi::ExecutionCapabilities {
                digest_function: sha256,
                digest_functions: vec![sha256],
                exec_enabled: true,
                execution_priority_capabilities: Some(priorities),
                supported_node_properties: vec!["mtime".to_owned(), "unix_mode".to_owned()],
            }),
            low_api_version: version(0),
            high_api_version: version(12),
            ..Default::default()
        }))
    }
}
