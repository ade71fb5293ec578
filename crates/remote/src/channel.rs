//! Connections: made when they are needed, and again when they break.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel as Transport, ClientTlsConfig, Endpoint, Identity};

use crate::error::RemoteError;
use crate::settings::{Pem, RemoteSettings, Tls};
use crate::token::Authorize;

/// A connection that sends the token with each request.
pub(crate) type Channel = InterceptedService<Transport, Authorize>;

/// How long making a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// What may be on its way on one connection and one stream, in bytes.
const WINDOW: u32 = 16 * 1024 * 1024;
/// How long one frame that comes may be, in bytes.
const FRAME: u32 = 256 * 1024;
/// After how much silence the kernel asks a peer whether it is there. Unlike probes of the protocol
/// itself, no server minds.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// A connection to a server, which is not made yet. To be called in the runtime it will live in.
pub(crate) fn open(settings: &RemoteSettings) -> Result<Channel, RemoteError> {
    let address = Address::parse(&settings.url)?;
    let wrong = |_| RemoteError::Address(settings.url.clone());
    let mut endpoint = Endpoint::from_shared(address.uri).map_err(wrong)?;
    endpoint = endpoint
        .connect_timeout(CONNECT)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_frame_size(FRAME)
        .tcp_nodelay(true)
        .tcp_keepalive(Some(TCP_KEEPALIVE))
        .tcp_keepalive_interval(Some(TCP_KEEPALIVE / 4))
        .tcp_keepalive_retries(Some(4));
    if let Some(every) = settings.keepalive {
        endpoint = endpoint.http2_keep_alive_interval(every);
    }
    if address.tls {
        let unusable = |error: tonic::transport::Error| RemoteError::Unusable {
            url: settings.url.clone(),
            reason: format!("the certificates can't be used: {}", chain(&error)),
        };
        endpoint = endpoint.tls_config(tls(settings)?).map_err(unusable)?;
    }
    let authorize = match Authorize::new(settings.token.as_ref()) {
        Ok(authorize) => authorize,
        Err(source) => {
            let path = settings.token.as_ref().map(|token| token.path.clone());
            return Err(RemoteError::Credentials {
                url: settings.url.clone(),
                path: path.unwrap_or_default(),
                source,
            });
        }
    };
    Ok(InterceptedService::new(endpoint.connect_lazy(), authorize))
}

/// Where a server is.
pub(crate) struct Address {
    uri: String,
    tls: bool,
}

impl Address {
    pub(crate) fn parse(url: &str) -> Result<Self, RemoteError> {
        let wrong = || RemoteError::Address(url.to_owned());
        if let Some(path) = url.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() {
                return Err(wrong());
            }
            let path = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
            return Ok(Self {
                uri: format!("unix://{}", path.display()),
                tls: false,
            });
        }
        let (scheme, host) = url.split_once("://").ok_or_else(wrong)?;
        let tls = match scheme {
            "http" | "grpc" => false,
            "https" | "grpcs" => true,
            _ => return Err(wrong()),
        };
        let host = host.trim_end_matches('/');
        if host.is_empty() || host.contains('/') {
            return Err(wrong());
        }
        let scheme = if tls { "https" } else { "http" };
        Ok(Self {
            uri: format!("{scheme}://{host}"),
            tls,
        })
    }
}

fn tls(settings: &RemoteSettings) -> Result<ClientTlsConfig, RemoteError> {
    let Tls {
        server_cert,
        client_cert,
        client_key,
    } = &settings.tls;
    let read = |pem: &Pem| match pem {
        Pem::Text(text) => Ok(text.clone()),
        Pem::File(path) => fs::read(path).map_err(|source| RemoteError::Credentials {
            url: settings.url.clone(),
            path: path.clone(),
            source,
        }),
    };
    let mut config = ClientTlsConfig::new();
    config = match server_cert {
        Some(pem) => config.ca_certificate(Certificate::from_pem(read(pem)?)),
        None => config.with_native_roots(),
    };
    match (client_cert, client_key) {
        (Some(cert), Some(key)) => {
            config = config.identity(Identity::from_pem(read(cert)?, read(key)?));
        }
        (None, None) => {}
        _ => {
            return Err(RemoteError::Unusable {
                url: settings.url.clone(),
                reason: "a client's certificate and its key go together: give both or none"
                    .to_owned(),
            });
        }
    }
    Ok(config)
}

/// An error with what is behind it: the transport's own words alone say nothing.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        let parsed = |url: &str| Address::parse(url).map(|address| (address.uri, address.tls));
        for (url, uri, tls) in [
            ("http://host:80", "http://host:80", false),
            ("grpc://host:5", "http://host:5", false),
            ("https://host/", "https://host", true),
            ("grpcs://[::1]:443", "https://[::1]:443", true),
            ("unix:/run/s", "unix:///run/s", false),
            ("unix:///run/s", "unix:///run/s", false),
        ] {
            assert_eq!(parsed(url).unwrap(), (uri.to_owned(), tls), "{url}");
        }
        for url in [
            "",
            "host:80",
            "ftp://host",
            "http://",
            "https:///",
            "http://h/p",
            "unix:",
        ] {
            assert!(parsed(url).is_err(), "{url}");
        }
    }
}
