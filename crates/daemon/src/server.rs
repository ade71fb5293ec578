//! The services, put together for those that they are offered to.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use headstart_reapi::asset::fetch_server::FetchServer;
use headstart_reapi::asset::push_server::PushServer;
use headstart_reapi::localcas::local_content_addressable_storage_server::LocalContentAddressableStorageServer;
use headstart_reapi::longrunning::operations_server::OperationsServer;
use headstart_reapi::reapi::action_cache_server::ActionCacheServer;
use headstart_reapi::reapi::capabilities_server::CapabilitiesServer;
use headstart_reapi::reapi::content_addressable_storage_server::ContentAddressableStorageServer;
use headstart_reapi::reapi::execution_server::ExecutionServer;
use headstart_store::Assets;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::service::{InterceptorLayer, Routes};
use tonic::transport::server::{Connected, Server as Transport};
use tower::layer::util::{Identity, Stack};

use crate::authority::Mended;
use crate::guard::Guard;
use crate::instances::Instances;
use crate::patience::{Attention, Patience, watched};
use crate::premises::Premises;
use crate::services::{
    ActionCacheService, AssetService, ByteStreamService, CapabilitiesService, CasService, Clients,
    ExecutionService, LocalCasService, MAX_MESSAGE, Operations, OperationsService,
    RoutedByteStream,
};

/// What may be on its way on one connection and one stream; the defaults cost half the throughput.
const WINDOW: u32 = 16 * 1024 * 1024;
/// How long a frame may be, in bytes: what is read of it first is still in the processor's cache when the last is.
const FRAME: u32 = 256 * 1024;

/// How long calls that are under way may take when the server is told to end.
const GRACE: Duration = Duration::from_millis(300);

/// Who a server is for.
#[derive(Clone)]
pub enum Audience {
    /// Build tools on this machine, who may name its files.
    Machine(Arc<dyn Premises>),
    /// Whoever can connect, and is let in.
    Network(Guard, Patience),
}

/// A server for build tools.
#[derive(Clone)]
pub struct Server {
    /// What it serves.
    pub instances: Instances,
    /// Names of contents.
    pub assets: Arc<dyn Assets>,
}

impl Server {
    /// Serves connections until `stop` is cancelled; calls that are under way then get a moment.
    ///
    /// # Errors
    /// When connections can't be taken any more.
    pub async fn serve<S, C>(
        self,
        audience: Audience,
        connections: S,
        stop: CancellationToken,
    ) -> Result<(), tonic::transport::Error>
    where
        S: Stream<Item = io::Result<C>>,
        C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
        C::ConnectInfo: Clone + Send + Sync + 'static,
    {
        let told = stop.clone().cancelled_owned();
        match audience {
            Audience::Machine(premises) => {
                let patience = Patience::with_neighbours();
                let routes = self.routes(Clients::OnTheMachine(premises), patience).await;
                // Only names of unix sockets need it; what is encrypted could not be mended.
                let connections = watched(connections, patience);
                let connections = connections.map(|stream| stream.map(Mended::new));
                let router = transport::<C::ConnectInfo>(patience).add_routes(routes);
                until(stop, router.serve_with_incoming_shutdown(connections, told)).await
            }
            Audience::Network(guard, patience) => {
                let routes = self.routes(Clients::Anywhere, patience).await;
                let transport = transport::<C::ConnectInfo>(patience).tcp_nodelay(true);
                let mut server = guard
                    .encrypt(transport)?
                    .layer(InterceptorLayer::new(guard));
                let connections = watched(connections, patience);
                let router = server.add_routes(routes);
                until(stop, router.serve_with_incoming_shutdown(connections, told)).await
            }
        }
    }

    /// All services.
    async fn routes(self, clients: Clients, patience: Patience) -> Routes {
        let assets = AssetService::new(self.instances.clone(), self.assets);
        let mut routes = routes(&self.instances, clients, patience)
            .add_service(FetchServer::new(assets.clone()))
            .add_service(PushServer::new(assets));
        let (health, service) = tonic_health::server::health_reporter();
        // The empty name, which stands for the server as a whole, is serving from the start.
        health
            .set_serving::<ExecutionServer<ExecutionService>>()
            .await;
        routes = routes.add_service(service);
        // grpcurl and others still ask by the older name.
        let reflections = (reflection().build_v1(), reflection().build_v1alpha());
        match reflections {
            (Ok(new), Ok(old)) => routes = routes.add_service(new).add_service(old),
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(%error, "the server can't tell of itself");
            }
        }
        routes
    }
}

/// Serves until the end, and a moment longer for calls that are under way.
async fn until<E>(
    stop: CancellationToken,
    serving: impl Future<Output = Result<(), E>>,
) -> Result<(), E> {
    tokio::select! {
        served = serving => served,
        // Clients that have gone to sleep don't hang up.
        () = async {
            stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        } => Ok(()),
    }
}

fn reflection<'a>() -> tonic_reflection::server::Builder<'a> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(headstart_reapi::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// A server without services yet, for connections that tell `T` of clients.
pub(crate) fn transport<T>(patience: Patience) -> Transport<Stack<Attention<T>, Identity>> {
    Transport::builder()
        .http2_keepalive_interval(patience.silence)
        .initial_connection_window_size(WINDOW)
        .initial_stream_window_size(WINDOW)
        .max_frame_size(FRAME)
        .max_concurrent_streams(1024)
        .layer(Attention::new(patience))
}

/// The services that are offered to everybody, inside sandboxes too.
pub(crate) fn routes(instances: &Instances, clients: Clients, patience: Patience) -> Routes {
    let operations = Operations::default();
    let cas = ContentAddressableStorageServer::new(CasService::new(instances.clone(), patience))
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let bytes = ByteStreamService::new(instances.clone(), patience);
    let bytes = RoutedByteStream::new(bytes);
    let results = ActionCacheServer::new(ActionCacheService::new(instances.clone()))
        .max_decoding_message_size(MAX_MESSAGE);
    let local = LocalCasService::new(instances.clone(), clients);
    let local = LocalContentAddressableStorageServer::new(local)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    Routes::new(CapabilitiesServer::new(CapabilitiesService::new(
        instances.clone(),
    )))
    .add_service(cas)
    .add_service(bytes)
    .add_service(results)
    .add_service(ExecutionServer::new(ExecutionService::new(
        instances.clone(),
        operations.clone(),
    )))
    .add_service(OperationsServer::new(OperationsService::new(operations)))
    .add_service(local)
}
