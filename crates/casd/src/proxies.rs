//! Instances that stand between build tools and other servers: what is fetched is kept here, what is
//! made is handed on.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use headstart_daemon::{LocalExecutor, Resources, Tenant};
use headstart_execution::CancellationToken;
use headstart_reapi::localcas;
use headstart_remote::{
    BackedBlobs, Farm, Pem, Remote, RemoteError, RemoteExecutor, RemoteSettings, Tls, TokenFile,
    Wire,
};
use thiserror::Error;

use crate::foresight::Foresight;

/// The servers behind an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Behind {
    /// Where contents are.
    pub storage: Option<RemoteSettings>,
    /// What knows names.
    pub names: Option<RemoteSettings>,
    /// What knows results of actions.
    pub results: Option<RemoteSettings>,
    /// What executes.
    pub execution: Option<RemoteSettings>,
    /// Whether contents are only read there.
    pub storage_read_only: bool,
    /// Whether results are only read there.
    pub results_read_only: bool,
}

/// Servers that can't stand behind an instance.
#[derive(Debug, Error)]
pub enum InvalidServers {
    /// One can't be opened.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// Execution and results need contents.
    #[error(
        "there is no content_addressable_storage: expected one with execution or an action cache, as \
         inputs and outputs go there"
    )]
    NoStorage,
}

/// Makes the instances of a daemon that have servers behind them.
pub(crate) struct Proxies {
    /// What executes here.
    local: Resources,
    executor: LocalExecutor,
    /// Who follows what is executed here, if anybody does.
    foresight: Option<Foresight>,
    stop: CancellationToken,
    wire: OnceLock<Wire>,
}

impl Proxies {
    pub(crate) fn new(
        local: Resources,
        executor: LocalExecutor,
        foresight: Option<Foresight>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            local,
            executor,
            foresight,
            stop,
            wire: OnceLock::new(),
        }
    }

    /// A tenant with servers behind it.
    pub(crate) fn open(&self, behind: &Behind) -> Result<Tenant, InvalidServers> {
        let wire = match self.wire.get() {
            Some(wire) => wire.clone(),
            None => {
                let wire = Wire::new()?;
                self.wire.get_or_init(|| wire).clone()
            }
        };
        let mut opened: HashMap<&RemoteSettings, Remote> = HashMap::new();
        let mut open = |settings| -> Result<Option<Remote>, RemoteError> {
            let Some(settings) = settings else {
                return Ok(None);
            };
            if let Some(remote) = opened.get(settings) {
                return Ok(Some(remote.clone()));
            }
            let remote = Remote::new(RemoteSettings::clone(settings), &wire)?;
            opened.insert(settings, remote.clone());
            Ok(Some(remote))
        };
        let storage = open(behind.storage.as_ref())?;
        let names = open(behind.names.as_ref())?;
        let results = open(behind.results.as_ref())?;
        let execution = open(behind.execution.as_ref())?;
        let executor = match &storage {
            None => self.executor.clone(),
            Some(storage) => {
                let here = Arc::clone(&self.local.store);
                let store = BackedBlobs::new(here, storage.clone(), behind.storage_read_only);
                LocalExecutor::new(Resources {
                    store: Arc::new(store),
                    ..self.local.clone()
                })
            }
        };
        if let Some(results) = results.or(execution.clone()) {
            let storage = storage.clone().ok_or(InvalidServers::NoStorage)?;
            let farm = Farm {
                storage,
                execution,
                results,
                keeps_results: behind.results.is_some() && !behind.results_read_only,
            };
            let here = Arc::clone(&self.local.store);
            let backed = Arc::clone(executor.store());
            let farm = RemoteExecutor::new(farm, here).leaving_outputs(backed);
            executor.executes_on(Arc::new(farm), self.local.slots);
        }
        let mut tenant = Tenant::outside(executor.clone(), true, self.stop.clone());
        // What is executed ahead of need is executed where the rest is; what has an executor of its own.
        if let Some(foresight) = self.foresight.as_ref().filter(|_| storage.is_some()) {
            tenant = tenant.followed_by(Arc::new(foresight.of(executor)));
        }
        if let Some(storage) = storage {
            tenant = tenant.with_contents_of(storage);
        }
        if let Some(names) = names {
            tenant = tenant.with_names_of(names);
        }
        Ok(tenant)
    }
}

impl Behind {
    /// Whether there is nothing behind.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn of(request: &localcas::GetInstanceNameForRemotesRequest) -> Self {
        let read_only = |remote: &Option<localcas::Remote>| {
            remote.as_ref().is_some_and(|remote| remote.read_only)
        };
        let settings = |remote: &Option<localcas::Remote>| remote.as_ref().map(settings);
        Self {
            storage: settings(&request.content_addressable_storage),
            names: settings(&request.remote_asset),
            results: settings(&request.action_cache),
            execution: settings(&request.execution),
            storage_read_only: read_only(&request.content_addressable_storage),
            results_read_only: read_only(&request.action_cache),
        }
    }
}

fn settings(remote: &localcas::Remote) -> RemoteSettings {
    let pem = |text: &[u8]| (!text.is_empty()).then(|| Pem::Text(text.to_vec()));
    let default = RemoteSettings::new(remote.url.clone());
    let time = |time: &Option<prost_types::Duration>| {
        let time = time
            .as_ref()
            .and_then(|time| Duration::try_from(*time).ok());
        time.filter(|time| !time.is_zero())
    };
    RemoteSettings {
        instance: remote.instance_name.clone(),
        tls: Tls {
            server_cert: pem(&remote.server_cert),
            client_cert: pem(&remote.client_cert),
            client_key: pem(&remote.client_key),
        },
        token: (!remote.access_token_path.is_empty()).then(|| TokenFile {
            path: remote.access_token_path.clone().into(),
            reload: time(&remote.access_token_reload_interval),
        }),
        keepalive: time(&remote.keepalive_time),
        request_timeout: time(&remote.request_timeout).unwrap_or(default.request_timeout),
        retries: match remote.retry_limit {
            0 => default.retries,
            limit => u32::try_from(limit).unwrap_or(0),
        },
        retry_delay: time(&remote.retry_delay).unwrap_or(default.retry_delay),
        ..default
    }
}
