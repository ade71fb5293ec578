//! How a server is reached: BuildStream's terms, `url`, `instance-name`, `auth`, `connection-config`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How a server is reached.
///
/// Two that are equal can share a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RemoteSettings {
    /// `http://`, `https://`, `grpc://` or `grpcs://` with a host and perhaps a port, or `unix:PATH`.
    pub url: String,
    /// The instance of the server; empty for the one without a name.
    pub instance: String,
    /// Certificates. Without any, servers are checked against those that the system trusts.
    pub tls: Tls,
    /// A token that is sent with each request.
    pub token: Option<TokenFile>,
    /// How often the connection is probed while calls are under way; `None` for never, because
    /// servers may end connections that are probed more often than they like.
    pub keepalive: Option<Duration>,
    /// How long an answer, or the next piece of one, may take. Executions may take any time.
    pub request_timeout: Duration,
    /// How often a call is tried again that failed for a reason that may pass.
    pub retries: u32,
    /// How long to wait before the first of these attempts; doubled before each further one.
    pub retry_delay: Duration,
}

/// Certificates and keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Tls {
    /// Certificates that the server's must be signed by, in place of those that the system trusts.
    pub server_cert: Option<Pem>,
    /// The client's own certificate. Goes with `client_key`.
    pub client_cert: Option<Pem>,
    /// The key to that.
    pub client_key: Option<Pem>,
}

/// Something in PEM format.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Pem {
    /// In this file.
    File(PathBuf),
    /// This text.
    Text(Vec<u8>),
}

impl fmt::Debug for Pem {
    /// Keys are nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "File({path:?})"),
            Self::Text(_) => f.write_str("Text(…)"),
        }
    }
}

/// A file with a bearer token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenFile {
    /// The file; space at its ends is no part of the token.
    pub path: PathBuf,
    /// How often it is read again; `None` for never.
    pub reload: Option<Duration>,
}

impl RemoteSettings {
    /// A server with all defaults.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            instance: String::new(),
            tls: Tls::default(),
            token: None,
            keepalive: None,
            request_timeout: Duration::from_secs(60),
            retries: 4,
            retry_delay: Duration::from_millis(250),
        }
    }

    /// Whether the address can be one.
    pub fn is_address(&self) -> bool {
        crate::channel::Address::parse(&self.url).is_ok()
    }
}
