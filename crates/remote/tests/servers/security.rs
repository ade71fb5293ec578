//! Certificates on both sides, and tokens.

use std::path::Path;
use std::process::Command;

use headstart_merkle::BlobDigest;
use headstart_remote::{Code, Pem, Remote, RemoteError, Tls, TokenFile};
use tonic::service::Routes;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::support::{Fake, Script};

fn openssl(folder: &Path, line: &str) {
    let mut command = Command::new("openssl");
    let command = command.args(line.split(' ')).current_dir(folder);
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Authorities of their own for server and client, and what they have signed.
fn certificates(folder: &Path) {
    let extensions = "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n";
    std::fs::write(folder.join("extensions"), extensions).unwrap();
    for name in ["server", "client"] {
        openssl(
            folder,
            &format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
                 -keyout {name}-ca.key -out {name}-ca.crt -subj /CN={name}-ca"
            ),
        );
        openssl(
            folder,
            &format!(
                "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {name}.key \
                 -out {name}.csr -subj /CN={name}"
            ),
        );
        openssl(
            folder,
            &format!(
                "x509 -req -in {name}.csr -CA {name}-ca.crt -CAkey {name}-ca.key -CAcreateserial \
                 -days 2 -extfile extensions -out {name}.crt"
            ),
        );
    }
}

#[test]
fn each_side_is_who_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    certificates(folder);
    let file = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(file("server.crt"), file("server.key")))
        .client_ca_root(Certificate::from_pem(file("client-ca.crt")));
    let fake = Fake::start_with(Script::wanting("secret"), Some(tls), Routes::default());
    std::fs::write(folder.join("token"), "secret\n").unwrap();
    let mut settings = fake.settings();
    settings.retries = 0;
    let pem = |name: &str| Some(Pem::File(folder.join(name)));
    settings.tls = Tls {
        server_cert: pem("server-ca.crt"),
        client_cert: pem("client.crt"),
        client_key: Some(Pem::Text(file("client.key"))),
    };
    settings.token = Some(TokenFile {
        path: folder.join("token"),
        reload: None,
    });
    let ask = |settings| Remote::new(settings, &fake.wire)?.missing(vec![BlobDigest::of(b"x")]);
    assert_eq!(ask(settings.clone()).unwrap(), [BlobDigest::of(b"x")]);

    let mut without = settings.clone();
    without.token = None;
    assert_eq!(
        ask(without).unwrap_err().code(),
        Some(Code::Unauthenticated)
    );

    let mut without = settings.clone();
    (without.tls.client_cert, without.tls.client_key) = (None, None);
    let error = ask(without).unwrap_err();
    assert_eq!(error.code(), Some(Code::Unavailable), "{error}");

    let mut distrusting = settings.clone();
    distrusting.tls.server_cert = pem("client-ca.crt");
    let error = ask(distrusting).unwrap_err();
    assert_eq!(error.code(), Some(Code::Unavailable));
    assert!(error.to_string().contains("certificate"), "{error}");

    let mut half = settings.clone();
    half.tls.client_key = None;
    assert!(matches!(
        ask(half).unwrap_err(),
        RemoteError::Unusable { .. }
    ));
    let mut absent = settings;
    absent.tls.server_cert = pem("nothing");
    let error = ask(absent).unwrap_err().to_string();
    assert!(
        error.contains("nothing, which https://localhost:"),
        "{error}"
    );
}
