//! A server that shows a certificate, and wants one and a token.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{BuildStream, Place, Server, output, said};

use super::exchange::PROJECT;

/// Makes a certificate that nobody else has signed, with its key.
fn certificate(folder: &Path, name: &str) {
    let line = format!(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={name} \
         -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:localhost \
         -keyout {name}.key -out {name}.crt"
    );
    let mut command = Command::new("openssl");
    let output = command.args(line.split(' ')).current_dir(folder).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

/// A server with its certificates and tokens.
struct Secured {
    files: TempDir,
    server: Server,
}

impl Secured {
    fn start() -> Self {
        let files = TempDir::new().unwrap();
        for name in ["server", "client", "stranger"] {
            certificate(files.path(), name);
        }
        fs::write(files.path().join("tokens"), "first\nsecond\n").unwrap();
        fs::write(files.path().join("token"), "second\n").unwrap();
        fs::write(files.path().join("wrong"), "third\n").unwrap();
        let option =
            |name: &str, file: &str| format!("--bind-{name}={}", files.path().join(file).display());
        let server = Server::ours_with(&[
            option("tls-cert", "server.crt"),
            option("tls-key", "server.key"),
            option("tls-client-ca", "client.crt"),
            option("tokens", "tokens"),
        ]);
        Self { files, server }
    }

    /// A configuration that uses it with these of the files.
    fn as_cache(&self, server: &str, client: Option<&str>, token: Option<&str>) -> String {
        let file = |name: String| self.files.path().join(name).display().to_string();
        let mut auth = format!("server-cert: {}", file(format!("{server}.crt")));
        if let Some(client) = client {
            auth += &format!(", client-cert: {}", file(format!("{client}.crt")));
            auth += &format!(", client-key: {}", file(format!("{client}.key")));
        }
        if let Some(token) = token {
            auth += &format!(", access-token: {}", file(token.to_owned()));
        }
        let url = self.server.url();
        let url = url.replace("http://127.0.0.1", "https://localhost");
        format!(
            "artifacts: {{servers: [{{url: '{url}', push: true, auth: {{{auth}}}, connection-config: \
             {{retry-limit: 0}}}}]}}\n"
        )
    }
}

fn pull(place: &Place, cache: &str, config: &str) -> String {
    run(place, cache, config, &["artifact", "pull", "base.bst"])
}

fn run(place: &Place, cache: &str, config: &str, arguments: &[&str]) -> String {
    let path = place.home().join("secured.conf");
    fs::write(&path, config).unwrap();
    let cache = place.cache().with_file_name(cache);
    let mut command = crate::support::headstart(&place.project(), &cache, &place.home());
    command.arg("--config").arg(path).args(arguments);
    said(&command.output().unwrap())
}

#[test]
fn who_has_certificate_and_token_is_served() {
    let (place, secured) = (Place::bare(PROJECT), Secured::start());
    let config = secured.as_cache("server", Some("client"), Some("token"));
    let said = run(&place, "one", &config, &["build", "base.bst"]);
    assert!(said.contains("pushed   base.bst"), "{said}");
    let said = pull(&place, "two", &config);
    assert!(said.contains("1 pulled"), "{said}");
}

#[test]
fn buildstream_is_served_too() {
    let (place, secured) = (Place::bare(PROJECT), Secured::start());
    let config = secured.as_cache("server", Some("client"), Some("token"));
    let said = run(&place, "one", &config, &["build", "base.bst"]);
    assert!(said.contains("pushed   base.bst"), "{said}");
    let cache = place.cache().with_file_name("theirs");
    let stream = BuildStream::new(&place.project(), &cache, &place.home());
    stream.configure(&config);
    let mut command = stream.command();
    let output = output(command.args(["artifact", "pull", "base.bst"]));
    let said = crate::support::said(&output);
    assert!(said.contains("Pulled artifact"), "{said}");
}

#[test]
fn who_lacks_one_is_refused_and_told_why() {
    let (place, secured) = (Place::bare(PROJECT), Secured::start());
    let config = |server, client, token| secured.as_cache(server, client, token);
    let said = pull(
        &place,
        "one",
        &config("server", Some("client"), Some("wrong")),
    );
    assert!(said.contains("UNAUTHENTICATED"), "{said}");
    assert!(
        said.contains("none of those that this server takes"),
        "{said}"
    );
    let said = pull(&place, "one", &config("server", Some("client"), None));
    assert!(said.contains("there is no token"), "{said}");
    let said = pull(
        &place,
        "one",
        &config("stranger", Some("client"), Some("token")),
    );
    assert!(said.contains("invalid peer certificate"), "{said}");
    for client in [None, Some("stranger")] {
        let said = pull(&place, "one", &config("server", client, Some("token")));
        assert!(said.contains("UNAVAILABLE"), "{client:?}: {said}");
        assert!(!said.contains("1 pulled"), "{client:?}: {said}");
    }
    // Tokens are withdrawn and given out while the server runs.
    fs::write(secured.files.path().join("tokens"), "third").unwrap();
    let said = run(
        &place,
        "one",
        &config("server", Some("client"), Some("wrong")),
        &["build", "base.bst"],
    );
    assert!(said.contains("pushed   base.bst"), "{said}");
    let said = pull(
        &place,
        "two",
        &config("server", Some("client"), Some("token")),
    );
    assert!(said.contains("none of those"), "{said}");
}
