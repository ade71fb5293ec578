//! One server: what it can do, and how it is called.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use headstart_reapi::asset::fetch_client::FetchClient;
use headstart_reapi::asset::push_client::PushClient;
use headstart_reapi::bytestream::byte_stream_client::ByteStreamClient;
use headstart_reapi::reapi;
use headstart_reapi::reapi::action_cache_client::ActionCacheClient;
use headstart_reapi::reapi::capabilities_client::CapabilitiesClient;
use headstart_reapi::reapi::content_addressable_storage_client::ContentAddressableStorageClient;
use headstart_reapi::reapi::execution_client::ExecutionClient;
use tokio::sync::{OnceCell, Semaphore};
use tonic::{Code, Response, Status};

use crate::channel::{Channel, open};
use crate::error::RemoteError;
use crate::retry::Attempts;
use crate::settings::RemoteSettings;
use crate::wire::Wire;

/// How many transfers are under way with one server at a time.
const TRANSFERS: usize = 16;
/// How long a server that can't be reached is left alone: so a build does not wait again and again.
const REST: Duration = Duration::from_secs(30);
/// How long one message may be, in bytes: a full batch with its digests.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;
/// What a message may hold if the server does not say, in bytes: gRPC's own limit.
///
/// `buildbox-casd` leaves that much of a message's 4 MiB to what is not contents.
const DEFAULT_BATCH: u64 = 4 * 1024 * 1024 - 64 * 1024;

/// A server. Clones share a connection.
#[derive(Clone)]
pub struct Remote(Arc<Inner>);

struct Inner {
    settings: RemoteSettings,
    wire: Wire,
    channel: Channel,
    abilities: OnceCell<Abilities>,
    resting: Mutex<Option<Rest>>,
    transfers: Semaphore,
}

/// A server that could not be reached.
struct Rest {
    until: Instant,
    code: Code,
    message: String,
}

/// What a server can do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Abilities {
    /// How much one batch may hold, contents and all, in bytes.
    pub batch: u64,
    /// Whether streams may be compressed by Zstandard.
    pub zstd: bool,
    /// Whether results of actions are taken.
    pub updates: bool,
    /// Whether actions are executed.
    pub executes: bool,
}

impl Abilities {
    fn of(capabilities: reapi::ServerCapabilities) -> Result<Self, String> {
        let sha256 = reapi::digest_function::Value::Sha256 as i32;
        let zstd = reapi::compressor::Value::Zstd as i32;
        let cache = capabilities.cache_capabilities.unwrap_or_default();
        let functions = &cache.digest_functions;
        if !functions.is_empty() && !functions.contains(&sha256) {
            return Err("it does not name blobs by SHA-256, and this program does".to_owned());
        }
        let batch = match u64::try_from(cache.max_batch_total_size_bytes) {
            Ok(0) | Err(_) => DEFAULT_BATCH,
            Ok(announced) => announced.min(DEFAULT_BATCH),
        };
        Ok(Self {
            batch,
            zstd: cache.supported_compressors.contains(&zstd),
            updates: cache
                .action_cache_update_capabilities
                .is_some_and(|update| update.update_enabled),
            executes: capabilities
                .execution_capabilities
                .is_some_and(|execution| execution.exec_enabled),
        })
    }
}

macro_rules! client {
    ($name:ident, $client:ident) => {
        pub(crate) fn $name(&self) -> $client<Channel> {
            $client::new(self.0.channel.clone())
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE)
        }
    };
}

impl Remote {
    /// A server, which is not called yet.
    ///
    /// # Errors
    /// When its address is none, or a certificate or token can't be read.
    pub fn new(settings: RemoteSettings, wire: &Wire) -> Result<Self, RemoteError> {
        let _inside = wire.handle()?.enter();
        let channel = open(&settings)?;
        Ok(Self(Arc::new(Inner {
            settings,
            wire: wire.clone(),
            channel,
            abilities: OnceCell::new(),
            resting: Mutex::default(),
            transfers: Semaphore::new(TRANSFERS),
        })))
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.0.settings.url
    }

    /// What it can do. It is asked once.
    pub fn abilities(&self) -> Result<Abilities, RemoteError> {
        let remote = self.clone();
        self.run(async move { remote.find_abilities().await.cloned() })
    }

    pub(crate) fn settings(&self) -> &RemoteSettings {
        &self.0.settings
    }

    pub(crate) fn instance(&self) -> String {
        self.0.settings.instance.clone()
    }

    pub(crate) fn transfers(&self) -> &Semaphore {
        &self.0.transfers
    }

    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, RemoteError>> + Send + 'static,
    ) -> Result<T, RemoteError> {
        self.0.wire.run(work)
    }

    pub(crate) fn channel(&self) -> Channel {
        self.0.channel.clone()
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.0.wire
    }

    pub(crate) async fn find_abilities(&self) -> Result<&Abilities, RemoteError> {
        let ask = || async {
            let asked = self.call("GetCapabilities", || {
                let mut client = self.capabilities();
                let instance_name = self.instance();
                async move {
                    let request = reapi::GetCapabilitiesRequest { instance_name };
                    client.get_capabilities(request).await
                }
            });
            let capabilities = match asked.await {
                Ok(capabilities) => capabilities,
                // Older servers of contents and names tell nothing of themselves.
                Err(error) if error.code() == Some(Code::Unimplemented) => Default::default(),
                Err(error) => return Err(error),
            };
            Abilities::of(capabilities).map_err(|reason| RemoteError::Unfit {
                url: self.url().to_owned(),
                reason,
            })
        };
        self.0.abilities.get_or_try_init(ask).await
    }

    /// Makes a call, again if it fails for a reason that may pass. Each attempt has to be answered
    /// in time.
    pub(crate) async fn call<T, F>(
        &self,
        name: &'static str,
        attempt: impl Fn() -> F,
    ) -> Result<T, RemoteError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        self.refuse_while_resting(name)?;
        let mut attempts = Attempts::new(self.settings(), name);
        loop {
            let status = match self.in_time(attempt()).await {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) => status,
            };
            self.noted(attempts.failed(&status).await)?;
        }
    }

    /// Waits for an answer as long as it may take.
    pub(crate) async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let limit = self.settings().request_timeout;
        match tokio::time::timeout(limit, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(Status::deadline_exceeded(format!(
                "there was no answer for {limit:?}; `request-timeout` says how long that may take"
            ))),
        }
    }

    /// Remembers if an error means that the server can't be reached.
    pub(crate) fn noted<T>(&self, result: Result<T, RemoteError>) -> Result<T, RemoteError> {
        if let Err(error) = &result
            && error.is_unreachable()
            && let RemoteError::Call { code, message, .. } = error
        {
            *self.resting() = Some(Rest {
                until: Instant::now() + REST,
                code: *code,
                message: message.clone(),
            });
        }
        result
    }

    pub(crate) fn refuse_while_resting(&self, call: &'static str) -> Result<(), RemoteError> {
        match &*self.resting() {
            Some(rest) if Instant::now() < rest.until => Err(RemoteError::Call {
                url: self.url().to_owned(),
                call,
                code: rest.code,
                message: format!("not tried, as it failed a moment ago: {}", rest.message),
                attempts: 0,
            }),
            _ => Ok(()),
        }
    }

    fn resting(&self) -> std::sync::MutexGuard<'_, Option<Rest>> {
        self.0
            .resting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn answer(&self, call: &'static str, reason: impl ToString) -> RemoteError {
        RemoteError::Answer {
            url: self.url().to_owned(),
            call,
            reason: reason.to_string(),
        }
    }

    client!(capabilities, CapabilitiesClient);
    client!(cas, ContentAddressableStorageClient);
    client!(bytes, ByteStreamClient);
    client!(results, ActionCacheClient);
    client!(execution, ExecutionClient);
    client!(fetch, FetchClient);
    client!(push, PushClient);
}

/// Runs what reads or writes many files where it holds up no call.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RemoteError> + Send + 'static,
) -> Result<T, RemoteError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| RemoteError::Broken(error.to_string()))?
}
