//! Connections to a server, by the address that a setting gives.

use std::error::Error;
use std::path::PathBuf;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

use crate::failure::Failure;

/// Connects to `address`: `unix:PATH` or `http://HOST:PORT`.
pub(super) async fn connect(address: &str) -> Result<Channel, Failure> {
    let failed = |error: &dyn Error| Failure::Connection {
        address: address.to_owned(),
        reason: with_causes(error),
    };
    if let Some(path) = address.strip_prefix("unix:") {
        let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
        // The name is never looked up: the connector below knows where to go.
        let endpoint = Endpoint::from_static("http://localhost");
        let connector = tower::service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        let connected = endpoint.connect_with_connector(connector).await;
        return connected.map_err(|error| failed(&error));
    }
    if address.starts_with("https:") {
        return Err(Failure::Usage(format!(
            "{address}: encrypted connections are not supported"
        )));
    }
    let url = match address.split_once("://") {
        Some(("http" | "grpc", rest)) => format!("http://{rest}"),
        Some(_) => {
            return Err(Failure::Usage(format!(
                "{address}: expected unix:PATH or http://HOST:PORT"
            )));
        }
        None => format!("http://{address}"),
    };
    let endpoint = Endpoint::from_shared(url)
        .map_err(|error| Failure::Usage(format!("{address}: {error}")))?;
    endpoint.connect().await.map_err(|error| failed(&error))
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
