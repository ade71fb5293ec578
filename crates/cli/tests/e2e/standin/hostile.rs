//! Paths that lead where they should not, from those who may name paths and those who may not.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use headstart_merkle::{Directory, DirectoryDigest, Name, Node, SymlinkNode};
use headstart_reapi::localcas::local_content_addressable_storage_client::LocalContentAddressableStorageClient as LocalCas;
use headstart_reapi::localcas::{self, CaptureFilesRequest, CaptureTreeRequest, StageTreeRequest};
use headstart_reapi::rpc;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::calls::{in_time, upload};
use super::daemon::Daemon;
use crate::support::said;

/// What a client may send where a path is expected.
fn hostile() -> Vec<String> {
    let mut paths: Vec<String> = [
        "",
        ".",
        "..",
        "/",
        "//",
        "../..",
        "/..",
        "../secret",
        "a/../../secret",
        "relative",
        "\0",
        "a\0b",
        "/proc/self/environ",
        "/proc/self/root",
        "/dev/zero",
        "/dev/stdin",
        "\n",
        "-rf",
        "~",
        "link",
        "link/secret",
        "out",
        "loop",
        "loop/loop",
        "fifo",
        "socket",
        "\u{202e}",
        "$HOME",
    ]
    .map(str::to_owned)
    .to_vec();
    paths.push("x".repeat(300));
    paths.push("x/".repeat(3000));
    paths.push("../".repeat(3000));
    paths.push("x".repeat(1_000_000));
    paths
}

/// A folder with a secret beside it, and ways to it that must not be gone.
fn trap(daemon: &Daemon) -> String {
    daemon.write("secret", "the secret");
    daemon.write("trap/inside", "inside");
    let trap = daemon.folder.path().join("trap");
    symlink("..", trap.join("link")).unwrap();
    symlink("../secret", trap.join("out")).unwrap();
    symlink("loop", trap.join("loop")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        trap.join("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    drop(std::os::unix::net::UnixListener::bind(trap.join("socket")).unwrap());
    trap.to_str().unwrap().to_owned()
}

fn code(status: Option<&rpc::Status>) -> Code {
    Code::from_i32(status.map_or(0, |status| status.code))
}

#[tokio::test]
async fn what_is_captured_below_a_root_is_in_it() {
    let daemon = Daemon::ours();
    let mut local = LocalCas::new(daemon.connect().await);
    let root = trap(&daemon);
    let secret = headstart_merkle::BlobDigest::of(b"the secret");
    for path in hostile() {
        let request = CaptureFilesRequest {
            root: root.clone(),
            path: vec![path.clone(), "inside".into()],
            ..Default::default()
        };
        let files = in_time(local.capture_files(request))
            .await
            .unwrap()
            .into_inner();
        assert_ne!(
            code(files.responses[0].status.as_ref()),
            Code::Ok,
            "{path:?}"
        );
        assert_eq!(code(files.responses[1].status.as_ref()), Code::Ok);
        let request = CaptureTreeRequest {
            root: root.clone(),
            path: vec![path.clone()],
            ..Default::default()
        };
        // The root itself, by whatever name, and what links in it lead to there.
        let trees = in_time(local.capture_tree(request))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(trees.responses.len(), 1);
        assert!(!daemon.has(&secret.hex()), "{path:?} led out");
    }
    // A root that is none.
    for path in [
        "relative",
        "",
        "\0",
        "/no/such",
        &format!("{root}/inside"),
        &"x/".repeat(3000),
    ] {
        let request = CaptureFilesRequest {
            root: path.to_owned(),
            path: vec!["inside".into()],
            ..Default::default()
        };
        match in_time(local.capture_files(request)).await {
            Ok(files) => assert_ne!(code(files.get_ref().responses[0].status.as_ref()), Code::Ok),
            Err(status) => assert!(!status.message().is_empty(), "{status:?}"),
        }
    }
}

/// Stages as it is asked to; gives the path, with the stream that keeps it there.
async fn stage(
    channel: &Channel,
    request: StageTreeRequest,
) -> Result<
    (
        String,
        tokio::sync::mpsc::Sender<StageTreeRequest>,
        tonic::Streaming<localcas::StageTreeResponse>,
    ),
    Status,
> {
    let (requests, receiver) = tokio::sync::mpsc::channel(2);
    requests.send(request).await.unwrap();
    let mut local = LocalCas::new(channel.clone());
    let mut stream = in_time(local.stage_tree(ReceiverStream::new(receiver)))
        .await?
        .into_inner();
    let first = in_time(stream.message()).await?.unwrap_or_default();
    Ok((first.path, requests, stream))
}

/// A stored tree in which `run` and `etc` lead out, the one absolute and the other relative.
async fn leading_out(channel: &Channel, target: &Path) -> DirectoryDigest {
    let link = |target: &str| {
        Node::Symlink(SymlinkNode {
            target: target.into(),
            properties: Default::default(),
        })
    };
    let directory = Directory {
        entries: [
            (Name::new("run").unwrap(), link(target.to_str().unwrap())),
            (Name::new("up").unwrap(), link("../../../../../../../..")),
        ]
        .into(),
        ..Directory::default()
    };
    upload(channel, vec![directory.encode().to_vec()])
        .await
        .unwrap();
    directory.digest()
}

#[tokio::test]
async fn trees_are_staged_where_they_may_be() {
    let daemon = Daemon::ours();
    let channel = daemon.connect().await;
    let trap = trap(&daemon);
    let folder = daemon.folder.path();
    let root = leading_out(&channel, &folder.join("outside")).await;
    fs::create_dir(folder.join("outside")).unwrap();
    let request = |path: &str, socket: &str| StageTreeRequest {
        root_digest: Some(root.into()),
        path: path.to_owned(),
        remote_apis_socket_path: socket.to_owned(),
        ..Default::default()
    };
    // Where something is, and where nothing can be.
    let full = "x/".repeat(3000);
    for path in [
        &trap,
        "\0",
        "relative/path",
        "/proc/self/here",
        &full,
        &format!("{trap}/inside"),
    ] {
        let refused = stage(&channel, request(path, "")).await;
        let refused = refused.map(|staged| staged.0).expect_err(path);
        assert!(!refused.message().is_empty(), "{refused:?}");
    }
    assert_eq!(
        fs::read_to_string(folder.join("trap/inside")).unwrap(),
        "inside"
    );
    for socket in [
        "../socket",
        "a/../../socket",
        "\0",
        "/",
        "..",
        &full,
        &"y".repeat(1000),
    ] {
        let refused = stage(&channel, request("", socket)).await;
        assert!(refused.is_err(), "{socket:?}");
    }
    // Links of the tree lead to where they would inside, which is nowhere for one of them.
    for socket in ["run/a/socket", "run/socket"] {
        let refused = stage(&channel, request("", socket)).await;
        assert!(refused.is_err(), "{socket}");
        assert_eq!(
            fs::read_dir(folder.join("outside")).unwrap().count(),
            0,
            "{socket}"
        );
    }
    for socket in ["up/socket", "up/up/a/socket"] {
        let (path, requests, mut stream) = stage(&channel, request("", socket)).await.unwrap();
        assert_eq!(
            fs::read_dir(folder.join("outside")).unwrap().count(),
            0,
            "{socket}"
        );
        assert!(find_socket(Path::new(&path)), "{socket} is not in {path}");
        requests.send(StageTreeRequest::default()).await.unwrap();
        in_time(stream.message()).await.unwrap();
        assert!(!Path::new(&path).exists());
    }
    let staging = daemon.cache().join("cas/staging");
    assert_eq!(fs::read_dir(staging).map_or(0, Iterator::count), 0);
}

/// Whether a socket is somewhere below a folder.
fn find_socket(folder: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    fs::read_dir(folder).unwrap().flatten().any(|entry| {
        let kind = entry.file_type().unwrap();
        kind.is_socket() || (kind.is_dir() && find_socket(&entry.path()))
    })
}

/// All calls of LocalCAS that take a path or tell one, with a request that would be served.
fn calls(path: &str) -> Vec<(&'static str, Value)> {
    let empty = json!({
        "hash": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sizeBytes": "0",
    });
    vec![
        ("CaptureTree", json!({"path": [path]})),
        ("CaptureFiles", json!({"path": [path]})),
        ("CaptureFiles", json!({"root": path, "path": ["inside"]})),
        ("StageTree", json!({"root_digest": empty})),
        (
            "StageTree",
            json!({"root_digest": empty, "path": format!("{path}/new")}),
        ),
        ("GetInstanceNameForNamespace", json!({"root": path})),
        (
            "GetInstanceNameForRemote",
            json!({"url": "http://127.0.0.1:1"}),
        ),
        (
            "GetInstanceNameForRemotes",
            json!({"content_addressable_storage": {"url": "http://127.0.0.1:1"}}),
        ),
        ("GetLocalServerDetails", json!({})),
        ("GetLocalDiskUsage", json!({})),
    ]
}

/// A daemon on a port and on a socket that everybody may connect to.
fn open_daemon() -> (Daemon, String) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let mut command = Command::new(env!("CARGO_BIN_EXE_headstart"));
    command.arg("casd");
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let bind = format!("--bind={address}");
    let daemon = Daemon::start(command, folder, &[&bind, "--unix-socket-mode=777"]);
    (daemon, address)
}

/// Whether a call that grpcurl makes is refused for want of permission.
fn is_refused(mut command: Command, method: &str, request: &Value) -> bool {
    let service = "build.buildgrid.LocalContentAddressableStorage";
    command.arg(format!("{service}/{method}"));
    let output = command.output().unwrap();
    let refused = said(&output).contains("PermissionDenied");
    assert!(
        refused || output.status.success(),
        "{request}: {}",
        said(&output)
    );
    refused
}

#[tokio::test]
async fn clients_elsewhere_and_other_users_name_no_paths() {
    let (daemon, address) = open_daemon();
    let trap = trap(&daemon);
    let program = daemon.folder.path().join("grpcurl");
    fs::copy(std::env::var_os("HEADSTART_GRPCURL").unwrap(), &program).unwrap();
    let socket = daemon.folder.path().join("socket");
    let is_root = rustix::process::geteuid().is_root();
    for (method, request) in calls(&trap) {
        let grpcurl = |target: &[&str]| {
            let mut command = Command::new(&program);
            command
                .args(["-plaintext", "-d", &request.to_string()])
                .args(target);
            command
        };
        assert!(
            is_refused(grpcurl(&[&address]), method, &request),
            "{method} {request}"
        );
        let at_socket = ["-unix", socket.to_str().unwrap()];
        assert!(
            !is_refused(grpcurl(&at_socket), method, &request),
            "{method} {request}"
        );
        // Only who may do anything can become another.
        if is_root {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
            command.arg(&program);
            command
                .args(["-plaintext", "-d", &request.to_string()])
                .args(at_socket);
            assert!(is_refused(command, method, &request), "{method} {request}");
        }
        let _ = fs::remove_dir_all(daemon.folder.path().join("trap/new"));
    }
}
