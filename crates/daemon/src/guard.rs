//! Who may use a server on the network: what the server shows of itself, and what clients have to show.
//!
//! Certificates are read once. Tokens are read again when their file has changed, so that they can be
//! renewed and withdrawn while the server runs; while the file can't be read, no token is taken.

use std::collections::HashSet;
use std::error::Error;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headstart_merkle::BlobDigest;
use thiserror::Error;
use tonic::service::Interceptor;
use tonic::transport::{Certificate, Identity, Server as Transport, ServerTlsConfig};
use tonic::{Request, Status};

/// How long a client may take to agree on keys.
const HANDSHAKE: Duration = Duration::from_secs(20);

/// The files that say who may use a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The server's certificate, with those between it and its authority, and its key, in PEM format.
    /// With them connections are encrypted.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Certificates in PEM format, one of which must have signed a client's; goes with `identity`.
    pub client_ca: Option<PathBuf>,
    /// Bearer tokens, one a line, one of which each request must have.
    pub tokens: Option<PathBuf>,
}

/// A file of credentials that can't be used.
#[derive(Debug, Error)]
#[error("{path}: {reason}")]
pub struct InvalidCredentials {
    path: PathBuf,
    reason: String,
}

/// Lets those in who may use a server. The default lets everybody in, unencrypted.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    tls: Option<ServerTlsConfig>,
    tokens: Option<Arc<Tokens>>,
}

impl Guard {
    /// Reads the files.
    pub fn open(files: &Credentials) -> Result<Self, InvalidCredentials> {
        let tls = match &files.identity {
            None => None,
            Some(identity) => Some(tls(identity, files.client_ca.as_deref())?),
        };
        let tokens = files.tokens.as_ref().map(|path| Tokens::open(path));
        Ok(Self {
            tls,
            tokens: tokens.transpose()?.map(Arc::new),
        })
    }

    /// The server with encrypted connections, if they are.
    pub(crate) fn encrypt<L>(
        &self,
        server: Transport<L>,
    ) -> Result<Transport<L>, tonic::transport::Error> {
        match &self.tls {
            None => Ok(server),
            Some(tls) => server.tls_config(tls.clone()),
        }
    }
}

impl Interceptor for Guard {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let Some(tokens) = &self.tokens else {
            return Ok(request);
        };
        let header = request.metadata().get("authorization");
        let header = header.and_then(|value| value.to_str().ok());
        let token = header.and_then(|header| {
            let (scheme, token) = header.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let refusal = match token {
            Some(token) if tokens.have(token) => return Ok(request),
            Some(_) => "the token is none of those that this server takes",
            None => "there is no token: expected the header `authorization: Bearer TOKEN`",
        };
        Err(Status::unauthenticated(refusal))
    }
}

fn tls(
    (certificate, key): &(PathBuf, PathBuf),
    client_ca: Option<&Path>,
) -> Result<ServerTlsConfig, InvalidCredentials> {
    let identity = Identity::from_pem(read(certificate)?, read(key)?);
    let mut config = ServerTlsConfig::new().identity(identity).timeout(HANDSHAKE);
    let mut used = format!("with the key in {}", key.display());
    if let Some(path) = client_ca {
        config = config.client_ca_root(Certificate::from_pem(read(path)?));
        used += &format!(" and the clients' authorities in {}", path.display());
    }
    match Transport::builder().tls_config(config.clone()) {
        Ok(_) => Ok(config),
        Err(error) => Err(InvalidCredentials {
            path: certificate.clone(),
            reason: format!(
                "it can't be used {used}: {}; expected a certificate and its key in PEM format",
                innermost(&error)
            ),
        }),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, InvalidCredentials> {
    fs::read(path).map_err(|error| InvalidCredentials {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// The words of the error that is behind all others: the transport's own say nothing.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| (*error).source());
    chain.last().map(ToString::to_string).unwrap_or_default()
}

/// The tokens in a file.
#[derive(Debug)]
struct Tokens {
    path: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    read: Option<Version>,
    /// Hashes, so that how long a look-up takes tells nothing of the tokens.
    tokens: HashSet<BlobDigest>,
}

/// What tells a file from what it was before: its number, its size, and its time of modification.
type Version = (u64, u64, i64, i64);

impl Tokens {
    fn open(path: &Path) -> Result<Self, InvalidCredentials> {
        let read = version(path);
        let tokens = tokens(path)?;
        let known = Mutex::new(Known { read, tokens });
        let path = path.to_owned();
        Ok(Self { path, known })
    }

    fn have(&self, token: &str) -> bool {
        let current = version(&self.path);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if current.is_none() || current != known.read {
            let tokens = tokens(&self.path);
            if let Err(error) = &tokens {
                tracing::error!(%error, "no token is taken until this is mended");
            }
            known.tokens = tokens.unwrap_or_default();
            known.read = current;
        }
        known.tokens.contains(&BlobDigest::of(token.as_bytes()))
    }
}

fn version(path: &Path) -> Option<Version> {
    let metadata = fs::metadata(path).ok()?;
    Some((
        metadata.ino(),
        metadata.size(),
        metadata.mtime(),
        metadata.mtime_nsec(),
    ))
}

fn tokens(path: &Path) -> Result<HashSet<BlobDigest>, InvalidCredentials> {
    let invalid = |reason: String| InvalidCredentials {
        path: path.to_owned(),
        reason,
    };
    let text = fs::read_to_string(path).map_err(|error: io::Error| invalid(error.to_string()))?;
    let mut tokens = HashSet::new();
    for (number, line) in text.lines().enumerate() {
        let token = line.trim();
        if token.is_empty() || token.starts_with('#') {
            continue;
        }
        // What RFC 6750 allows.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if !token.bytes().all(allowed) {
            return Err(invalid(format!(
                "line {} is no token: expected letters, digits and -._~+/= only",
                number + 1
            )));
        }
        tokens.insert(BlobDigest::of(token.as_bytes()));
    }
    match tokens.is_empty() {
        true => Err(invalid(
            "it has no token: expected at least one, each on a line of its own".to_owned(),
        )),
        false => Ok(tokens),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said to a client that sends this header.
    fn answer(guard: &mut Guard, header: Option<&str>) -> Result<(), String> {
        let mut request = Request::new(());
        if let Some(header) = header {
            let metadata = request.metadata_mut();
            metadata.insert("authorization", header.parse().unwrap());
        }
        let answered = guard.call(request);
        answered
            .map(|_| ())
            .map_err(|status| status.message().to_owned())
    }

    #[test]
    fn tokens_are_wanted_renewed_and_withdrawn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        fs::write(&path, "# two\nfirst\n\nsecond=\n").unwrap();
        let files = Credentials {
            tokens: Some(path.clone()),
            ..Credentials::default()
        };
        let mut guard = Guard::open(&files).unwrap();
        assert_eq!(answer(&mut guard, Some("Bearer first")), Ok(()));
        assert_eq!(answer(&mut guard, Some("bearer second=")), Ok(()));
        assert_eq!(answer(&mut Guard::default(), None), Ok(()));
        for refused in ["Bearer # two", "Bearer third", "Bearer "] {
            let message = answer(&mut guard, Some(refused)).unwrap_err();
            assert!(message.contains("none of those"), "{refused}: {message}");
        }
        for header in [None, Some("Basic first"), Some("first")] {
            let message = answer(&mut guard, header).unwrap_err();
            assert!(message.contains("Bearer TOKEN"), "{header:?}: {message}");
        }
        fs::write(&path, "third").unwrap();
        assert_eq!(answer(&mut guard, Some("Bearer third")), Ok(()));
        assert!(answer(&mut guard, Some("Bearer first")).is_err());
        fs::remove_file(&path).unwrap();
        assert!(answer(&mut guard, Some("Bearer third")).is_err());
        fs::write(&path, "third").unwrap();
        assert_eq!(answer(&mut guard, Some("Bearer third")), Ok(()));
    }

    #[test]
    fn what_can_not_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let refused = |files: Credentials| Guard::open(&files).unwrap_err().to_string();
        for (text, expected) in [("\n", "no token"), ("one\ntwo words\n", "line 2")] {
            let tokens = Some(write("tokens", text));
            let message = refused(Credentials {
                tokens,
                ..Credentials::default()
            });
            assert!(message.contains(expected), "{message}");
        }
        let identity = Some((write("certificate", "nothing"), write("key", "nothing")));
        let message = refused(Credentials {
            identity,
            ..Credentials::default()
        });
        assert!(
            message.contains("certificate: it can't be used"),
            "{message}"
        );
        let absent = folder.path().join("absent");
        let message = refused(Credentials {
            identity: Some((absent.clone(), absent)),
            ..Credentials::default()
        });
        assert!(message.contains("absent: No such file"), "{message}");
    }
}
