//! grpcurl, which knows nothing of the protocol but what the server says of itself.

use std::process::Command;

use headstart_merkle::BlobDigest;
use serde_json::{Value, json};

use crate::standin::daemon::Daemon;
use crate::support::{Server, said};

/// What grpcurl prints, which must succeed.
fn grpcurl(address: &[&str], arguments: &[&str], data: Option<&Value>) -> String {
    let program = std::env::var_os("HEADSTART_GRPCURL").expect(
        "HEADSTART_GRPCURL must be the program grpcurl, which `cargo xtask peers` installs",
    );
    let mut command = Command::new(program);
    command.arg("-plaintext");
    if let Some(data) = data {
        command.arg("-d").arg(data.to_string());
    }
    let output = command.args(address).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The messages that a call is answered with.
fn call(address: &[&str], method: &str, request: &Value) -> Value {
    serde_json::from_str(&grpcurl(address, &[method], Some(request))).unwrap()
}

/// Asks for all that is worth knowing of a server, at a port or a socket.
fn look_at(address: &[&str]) {
    let services = grpcurl(address, &["list"], None);
    let services: Vec<_> = services.lines().collect();
    for service in [
        "build.bazel.remote.asset.v1.Fetch",
        "build.bazel.remote.asset.v1.Push",
        "build.bazel.remote.execution.v2.ActionCache",
        "build.bazel.remote.execution.v2.Capabilities",
        "build.bazel.remote.execution.v2.ContentAddressableStorage",
        "build.bazel.remote.execution.v2.Execution",
        "build.buildgrid.LocalContentAddressableStorage",
        "google.bytestream.ByteStream",
        "google.longrunning.Operations",
        "grpc.health.v1.Health",
    ] {
        assert!(services.contains(&service), "{service} in {services:?}");
    }
    for service in services {
        let described = grpcurl(address, &["describe", service], None);
        assert!(described.contains("rpc "), "{service}: {described}");
    }
    let health = "grpc.health.v1.Health/Check";
    let serving = json!({"status": "SERVING"});
    assert_eq!(call(address, health, &json!({})), serving);
    let execution = json!({"service": "build.bazel.remote.execution.v2.Execution"});
    assert_eq!(call(address, health, &execution), serving);

    let cas = "build.bazel.remote.execution.v2.ContentAddressableStorage";
    let digest = json!({
        "hash": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        "sizeBytes": "5",
    });
    let blob = json!({"digest": digest, "data": "aGVsbG8="});
    let update = format!("{cas}/BatchUpdateBlobs");
    call(address, &update, &json!({"requests": [blob]}));
    let read = format!("{cas}/BatchReadBlobs");
    let read = call(address, &read, &json!({"digests": [digest]}));
    assert_eq!(read["responses"][0]["data"], "aGVsbG8=");

    let split = call(
        address,
        &format!("{cas}/SplitBlob"),
        &json!({"blobDigest": digest}),
    );
    assert_eq!(split["chunkDigests"], json!([digest]));
    let twice = BlobDigest::of(b"hellohello");
    let twice = json!({"hash": twice.hex(), "sizeBytes": twice.size().to_string()});
    let splice = json!({"blobDigest": twice, "chunkDigests": [digest, digest]});
    let spliced = call(address, &format!("{cas}/SpliceBlob"), &splice);
    assert_eq!(spliced["blobDigest"], twice);
}

#[test]
fn grpcurl_finds_its_way_at_a_port() {
    let server = Server::ours();
    look_at(&[server.url().trim_start_matches("http://")]);
}

/// It names the socket's path as the authority, in Huffman's code.
#[test]
fn grpcurl_finds_its_way_at_a_socket() {
    let daemon = Daemon::ours();
    let socket = daemon.address();
    look_at(&["-unix", socket.trim_start_matches("unix:")]);
}
