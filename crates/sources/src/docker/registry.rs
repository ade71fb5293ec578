//! A registry of images, by its HTTP interface of version 2.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use tempfile::NamedTempFile;

use crate::curl::Curl;
use crate::download::{hash_of, temporary};
use crate::error::SourceError;

/// An image in a registry.
pub(super) struct Registry {
    endpoint: String,
    image: String,
    /// What is shown to the registry, once it has asked for it.
    token: RefCell<Option<String>>,
}

/// What a server has answered, but for its content.
struct Reply {
    status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// A token, under the names that servers have for it.
#[derive(Deserialize)]
struct Token {
    #[serde(alias = "access_token")]
    token: String,
}

impl Registry {
    pub(super) fn new(endpoint: &str, image: &str) -> Self {
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            image: image.to_owned(),
            token: RefCell::default(),
        }
    }

    /// A manifest by its tag or digest, in a file of `folder`, with its hash, which is what the registry says.
    pub(super) fn manifest(
        &self,
        reference: &str,
        types: &[&str],
        folder: &Path,
    ) -> Result<(NamedTempFile, String), SourceError> {
        let file = temporary(folder)?;
        let accept = format!("Accept: {}", types.join(","));
        let reply = self.get("manifests", reference, Some(&accept), file.path())?;
        let ours = hash_of(file.path())?;
        match reply.header("docker-content-digest") {
            None => Err(unusable(
                "the registry does not say which digest its manifest has".to_owned(),
            )),
            Some(theirs) if theirs.strip_prefix("sha256:") != Some(&ours) => Err(unusable(
                format!("the registry says that its manifest is {theirs}, but it is sha256:{ours}"),
            )),
            Some(_) => Ok((file, ours)),
        }
    }

    /// Puts the blob with a hash at `path`, which is in `folder`.
    pub(super) fn blob(&self, hash: &str, folder: &Path, path: &Path) -> Result<(), SourceError> {
        let file = temporary(folder)?;
        self.get("blobs", &format!("sha256:{hash}"), None, file.path())?;
        let found = hash_of(file.path())?;
        if found != hash {
            return Err(unusable(format!(
                "the SHA-256 of a layer is {found}, expected {hash}"
            )));
        }
        file.persist(path)
            .map_err(|error| SourceError::io(path, error.error))?;
        Ok(())
    }

    fn get(
        &self,
        what: &str,
        reference: &str,
        accept: Option<&str>,
        to: &Path,
    ) -> Result<Reply, SourceError> {
        let reference = reference.replace('%', "%25").replace(':', "%3A");
        let url = format!("{}/v2/{}/{what}/{reference}", self.endpoint, self.image);
        let headers = ["content-type: application/json"].into_iter().chain(accept);
        let headers: Vec<&str> = headers.collect();
        let mut reply = self.ask(&url, &headers, to)?;
        if reply.status == 401 {
            let challenge = reply.header("www-authenticate").unwrap_or_default();
            *self.token.borrow_mut() = Some(token(challenge, to)?);
            reply = self.ask(&url, &headers, to)?;
        }
        match reply.status {
            200..300 => Ok(reply),
            status => Err(unusable(format!("{url}: the answer is {status}"))),
        }
    }

    fn ask(&self, url: &str, headers: &[&str], to: &Path) -> Result<Reply, SourceError> {
        ask(url, headers, self.token.borrow().as_deref(), to)
    }
}

/// What a registry wants to be shown, by what it says of that: `Bearer realm="…",service="…",scope="…"`.
fn token(challenge: &str, to: &Path) -> Result<String, SourceError> {
    let parameters = challenge.strip_prefix("Bearer ").ok_or_else(|| {
        unusable(format!(
            "the registry wants what can't be given: {challenge:?}"
        ))
    })?;
    let value = |name: &str| {
        let begin = format!("{name}=\"");
        let (before, rest) = parameters.split_once(&begin)?;
        let whole = before.is_empty() || before.ends_with([',', ' ']);
        whole.then(|| rest.split('"').next().unwrap_or_default())
    };
    let realm = value("realm")
        .ok_or_else(|| unusable(format!("the registry names nobody to ask: {challenge:?}")))?;
    let query = ["service", "scope"]
        .into_iter()
        .filter_map(|name| Some(format!("{name}={}", value(name)?.replace(' ', "%20"))));
    let query = query.collect::<Vec<_>>().join("&");
    let url = format!("{realm}?{query}");
    let reply = ask(&url, &[], None, to)?;
    if !(200..300).contains(&reply.status) {
        return Err(unusable(format!("{url}: the answer is {}", reply.status)));
    }
    let text = fs::read(to).map_err(|error| SourceError::io(to, error))?;
    let token: Token = serde_json::from_slice(&text)
        .map_err(|error| unusable(format!("{url}: the answer is not understood: {error}")))?;
    Ok(token.token)
}

/// Asks a server, and puts the content of its answer into the file `to`.
fn ask(url: &str, headers: &[&str], token: Option<&str>, to: &Path) -> Result<Reply, SourceError> {
    if !["http://", "https://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
    {
        return Err(unusable(format!(
            "expected an http or https address, found {url:?}"
        )));
    }
    let mut curl = Curl::new(url)
        .with(["--retry", "2", "--dump-header", "-", "--output"])
        .with([to]);
    for header in headers {
        curl = curl.with(["--header", header]);
    }
    let output = match token {
        Some(token) => curl.showing(token),
        None => curl.with(["--netrc-optional"]),
    }
    .run()?;
    if !output.status.success() {
        return Err(unusable(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ));
    }
    reply(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| unusable(format!("{url}: the answer is no HTTP")))
}

/// The last of the heads that were printed: those before it have led there.
fn reply(heads: &str) -> Option<Reply> {
    let mut reply = None;
    for line in heads.lines().map(str::trim_end) {
        if line.starts_with("HTTP/") {
            let status = line.split(' ').nth(1)?.parse().ok()?;
            let headers = Vec::new();
            reply = Some(Reply { status, headers });
        } else if let (Some(reply), Some((name, value))) = (&mut reply, line.split_once(':')) {
            let name = name.trim().to_ascii_lowercase();
            reply.headers.push((name, value.trim().to_owned()));
        }
    }
    reply
}

/// The error for an image that can't be had here.
pub(super) fn unusable(said: String) -> SourceError {
    SourceError::not_there(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_head_counts() {
        let heads = "HTTP/1.1 307 Elsewhere\r\nLocation: x\r\n\r\nHTTP/2 200\r\nDocker-Content-Digest: sha256:a\r\n\r\n";
        let reply = reply(heads).unwrap();
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("docker-content-digest"), Some("sha256:a"));
        assert_eq!(reply.header("location"), None);
    }
}
