//! The daemon: a cache directory, served.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use headstart_daemon::{
    Audience, Credentials, Guard, Instances, InvalidCredentials, LocalExecutor, Parents, Patience,
    Premises, Resources, Server, Tenant,
};
use headstart_execution::CancellationToken;
use headstart_sandbox::NativeSandbox;
use headstart_speculation::Account;
use headstart_store::{BlobStore, StoreError};
use headstart_store_disk::{DiskActionCache, DiskAssets, DiskBlobs, Layout, Limits};
use thiserror::Error;
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};

use crate::address::Address;
use crate::foresight::Foresight;
use crate::listen;
use crate::premises::{Home, sweep};
use crate::proxies::{Behind, InvalidServers, Proxies};

/// How long the end waits for what is still being recorded.
const RECORDING: Duration = Duration::from_secs(10);

/// How often is looked whether others have stored too much.
const TIDY: Duration = Duration::from_secs(30);

/// How a daemon is started.
#[derive(Debug, Clone)]
pub struct CasdOptions {
    /// The cache directory.
    pub directory: PathBuf,
    /// Where to listen.
    pub addresses: Vec<Address>,
    /// Who may use what is not a unix socket.
    pub credentials: Credentials,
    /// The mode of unix sockets.
    pub socket_mode: Option<u32>,
    /// How many actions run at a time.
    pub jobs: usize,
    /// What may be stored.
    pub limits: Limits,
    /// Whether actions are executed ahead of need.
    pub speculation: bool,
    /// Servers behind the instance without a name.
    pub behind: Behind,
}

/// Why a daemon could not go on.
#[derive(Debug, Error)]
pub enum CasdError {
    /// The cache directory can't be used.
    #[error("the cache directory can't be used: {0}")]
    Store(#[from] StoreError),
    /// What is to stand behind it can't.
    #[error(transparent)]
    Servers(#[from] InvalidServers),
    /// Nobody can be let in.
    #[error(transparent)]
    Credentials(#[from] InvalidCredentials),
    /// An address can't be listened at.
    #[error("{address} can't be listened at: {source}")]
    Listen {
        /// Which.
        address: Address,
        /// Why.
        source: io::Error,
    },
    /// A server broke down.
    #[error("the server at {address} broke down: {source}")]
    Served {
        /// Which.
        address: Address,
        /// Why.
        source: tonic::transport::Error,
    },
}

/// Serves a cache directory until `stop` is cancelled.
pub async fn serve(options: CasdOptions, stop: CancellationToken) -> Result<(), CasdError> {
    let guard = Guard::open(&options.credentials)?;
    let layout = Layout::new(&options.directory);
    let store = DiskBlobs::open_limited(&layout, options.limits)?;
    tokio::spawn(tidy(store.clone(), stop.clone()));
    sweep(&layout);
    let sandbox = Arc::new(NativeSandbox::new(&layout, Arc::new(store.clone())));
    let resources = Resources {
        store: Arc::new(store.clone()) as Arc<dyn BlobStore>,
        cache: Arc::new(DiskActionCache::open(&layout)),
        sandbox: Arc::clone(&sandbox) as _,
        slots: options.jobs,
    };
    let executor = LocalExecutor::new(resources.clone());
    let foresight = options
        .speculation
        .then(|| Foresight::new(&layout, executor.clone(), options.jobs));
    let parents = foresight
        .clone()
        .map(|foresight| Arc::new(foresight) as Arc<dyn Parents>);
    if let Some(parents) = &parents {
        executor.followed_by(parents);
    }
    let followed = foresight.clone();
    let proxies = Proxies::new(resources, executor.clone(), followed, stop.clone());
    let proxies = Arc::new(proxies);
    let home = Home::new(&layout, &store, sandbox, Arc::clone(&proxies));
    let premises: Arc<dyn Premises> = Arc::new(home);
    let server = Server {
        instances: Instances::one(match options.behind.is_nothing() {
            true => Tenant::outside(executor, true, stop.clone()),
            false => proxies.open(&options.behind)?,
        }),
        assets: Arc::new(DiskAssets::open(&layout)),
    };
    let mut servers = tokio::task::JoinSet::new();
    for address in options.addresses {
        let (server, stop) = (server.clone(), stop.clone());
        let failed = |source| CasdError::Listen {
            address: address.clone(),
            source,
        };
        match &address {
            Address::Unix(path) => {
                let socket = listen::unix(path, options.socket_mode).map_err(failed)?;
                let audience = Audience::Machine(Arc::clone(&premises));
                servers.spawn(async move {
                    let (listener, _removed) = socket.into_parts();
                    let connections = UnixListenerStream::new(listener);
                    let served = server.serve(audience, connections, stop).await;
                    served.map_err(|source| CasdError::Served { address, source })
                });
            }
            Address::Tcp(host) => {
                let listener = listen::tcp(host).await.map_err(failed)?;
                let audience = Audience::Network(guard.clone(), Patience::with_strangers());
                servers.spawn(async move {
                    let connections = TcpListenerStream::new(listener);
                    let served = server.serve(audience, connections, stop).await;
                    served.map_err(|source| CasdError::Served { address, source })
                });
            }
        }
    }
    while let Some(ended) = servers.join_next().await {
        match ended {
            Ok(served) => served?,
            Err(error) => tracing::error!(%error, "a server broke down"),
        }
    }
    if let Some(foresight) = foresight {
        // What the last actions asked for is recorded before the end.
        let _ = tokio::time::timeout(RECORDING, foresight.settled()).await;
        report(&foresight.total());
    }
    Ok(())
}

/// Makes room for what other processes store, now and then.
async fn tidy(store: DiskBlobs, stop: CancellationToken) {
    while tokio::time::timeout(TIDY, stop.cancelled()).await.is_err() {
        let store = store.clone();
        let tidied = tokio::task::spawn_blocking(move || store.tidy()).await;
        if let Err(error) = tidied {
            tracing::error!(%error, "no room can be made in the store");
        }
    }
}

/// Says what speculation was worth in all.
fn report(total: &Account) {
    if total.stored > 0 {
        tracing::info!(
            target: "headstart::account",
            "in all: of {} actions asked for {} were hits ({} of them executed ahead), {} joined, \
             {} promoted, {} missed; {} wasted, {:.1} s saved",
            total.asked,
            total.hit,
            total.hit_primed,
            total.joined,
            total.promoted,
            total.missed,
            total.wasted,
            total.saved.as_secs_f64(),
        );
    }
}
