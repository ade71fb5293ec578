//! A client in a sandbox, which is nobody's friend: it reaches what its sandbox has, and no more.

use std::fs;
use std::process::Command;

use headstart_reapi::{DESCRIPTORS, Message, reapi};
use serde_json::{Value, json};

use super::calls::{download, execute, in_time, upload};
use super::daemon::Daemon;
use super::shell::{self, ShellAction, went_well};
use crate::support::said;

/// Calls that are made inside, in order: a name for what comes of it, the method and the request.
struct Calls(Vec<(&'static str, &'static str, Value)>);

const LOCAL_CAS: &str = "build.buildgrid.LocalContentAddressableStorage";
const CACHE: &str = "build.bazel.remote.execution.v2.ActionCache";
const CAS: &str = "build.bazel.remote.execution.v2.ContentAddressableStorage";

impl Calls {
    fn new() -> Self {
        let action = json!({"hash": "aa".repeat(32), "sizeBytes": "5"});
        let empty = json!({
            "hash": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "sizeBytes": "0",
        });
        let files = |path: &str| json!({"path": [path]});
        Self(vec![
            ("own", "CaptureFiles", files("/own")),
            ("secret", "CaptureFiles", files("/etc/hostname")),
            (
                "up",
                "CaptureFiles",
                files("/../../../../../../etc/hostname"),
            ),
            ("link", "CaptureFiles", files("/link")),
            ("proc", "CaptureFiles", files("/proc/1/root/own")),
            ("host", "CaptureTree", files("/work")),
            ("stage", "StageTree", json!({"root_digest": empty})),
            ("bound", "GetInstanceNameForNamespace", json!({"root": "/"})),
            (
                "remote",
                "GetInstanceNameForRemotes",
                json!({"content_addressable_storage": {"url": "http://127.0.0.1:1"}}),
            ),
            ("details", "GetLocalServerDetails", json!({})),
            ("usage", "GetLocalDiskUsage", json!({})),
            (
                "other",
                "FindMissingBlobs",
                json!({"instance_name": "other"}),
            ),
            (
                "update",
                "UpdateActionResult",
                json!({"action_digest": action, "action_result": {"stdout_raw": "eA=="}}),
            ),
            ("get", "GetActionResult", json!({"action_digest": action})),
        ])
    }

    /// A script that makes them, and keeps what comes of each in `d`.
    fn script(&self) -> String {
        let mut script = String::from("mkdir d; echo own >/own; ln -s /etc/hostname /link\n");
        for (name, method, request) in &self.0 {
            let service = match *method {
                "UpdateActionResult" | "GetActionResult" => CACHE,
                "FindMissingBlobs" => CAS,
                _ => LOCAL_CAS,
            };
            script += &format!(
                "/bin/grpcurl -plaintext -unix -protoset /protoset -d '{request}' /run/socket \
                 {service}/{method} >d/{name} 2>&1\n"
            );
        }
        script + "echo done >out"
    }
}

/// What came of the calls inside: a function of their names.
async fn answers(daemon: &Daemon, result: &reapi::ActionResult) -> impl Fn(&str) -> String {
    let channel = daemon.connect().await;
    let folder = result
        .output_directories
        .iter()
        .find(|folder| folder.path == "d")
        .unwrap();
    let digest = headstart_merkle::BlobDigest::required(folder.tree_digest.as_ref()).unwrap();
    let tree = reapi::Tree::decode(&*download(&channel, digest).await.unwrap()).unwrap();
    let mut answers = std::collections::BTreeMap::new();
    for file in tree.root.unwrap().files {
        let digest = headstart_merkle::BlobDigest::required(file.digest.as_ref()).unwrap();
        let content = match digest.size() {
            0 => Vec::new(),
            _ => download(&channel, digest).await.unwrap(),
        };
        answers.insert(file.name, String::from_utf8(content).unwrap());
    }
    move |name: &str| answers[name].clone()
}

/// A root with a shell, grpcurl, and what that has to know.
async fn root(daemon: &Daemon) -> headstart_merkle::DirectoryDigest {
    let bin = daemon.folder.path().join("shell/bin");
    fs::create_dir_all(&bin).unwrap();
    fs::copy(
        std::env::var_os("HEADSTART_GRPCURL").unwrap(),
        bin.join("grpcurl"),
    )
    .unwrap();
    fs::write(daemon.folder.path().join("shell/protoset"), DESCRIPTORS).unwrap();
    shell::capture(daemon).await
}

fn check(answer: impl Fn(&str) -> String, may_update: bool) {
    for (name, expected) in [
        ("own", "\"isExecutable\": false"),
        ("secret", "\"code\": 5"),
        ("up", "\"code\": 5"),
        ("host", "\"code\": 5"),
        ("stage", "PermissionDenied"),
        ("bound", "PermissionDenied"),
        ("remote", "PermissionDenied"),
        ("details", "PermissionDenied"),
        ("usage", "PermissionDenied"),
        ("other", "InvalidArgument"),
    ] {
        let said = answer(name);
        let own =
            name == "own" && !said.contains("\"code\"") && said.contains("\"sizeBytes\": \"4\"");
        assert!(own || said.contains(expected), "{name}: {said}");
    }
    for name in ["link", "proc"] {
        let said = answer(name);
        // Neither is followed: the one is a link, and the other leads through one.
        assert!(said.contains("\"code\""), "{name}: {said}");
    }
    let (update, get) = (answer("update"), answer("get"));
    assert_eq!(!update.contains("PermissionDenied"), may_update, "{update}");
    assert_eq!(!get.contains("NotFound"), may_update, "{get}");
}

#[tokio::test]
async fn a_nested_client_reaches_its_own_sandbox_only() {
    let daemon = Daemon::ours();
    let channel = daemon.connect().await;
    let socket = [("remoteApisSocketPath", "run/socket")];
    let action = ShellAction::new(
        root(&daemon).await,
        &Calls::new().script(),
        "",
        &[],
        &socket,
    );
    upload(&channel, action.blobs()).await.unwrap();
    let response = in_time(execute(&channel, action.digest()))
        .await
        .unwrap()
        .unwrap();
    let result = went_well(response);
    check(answers(&daemon, &result).await, false);
}

#[tokio::test]
async fn a_nested_client_updates_results_only_if_it_may() {
    for may_update in [false, true] {
        let daemon = Daemon::ours();
        let channel = daemon.connect().await;
        let socket = [("remoteApisSocketPath", "run/socket")];
        let root = root(&daemon).await;
        let action = ShellAction::new(root, &Calls::new().script(), "", &[], &socket);
        upload(&channel, action.blobs()).await.unwrap();
        let folder = daemon.folder.path();
        fs::write(folder.join("action"), action.action.encode_to_vec()).unwrap();
        let mut runner = Command::new(env!("CARGO_BIN_EXE_headstart"));
        runner
            .arg("runner")
            .arg(format!("--remote={}", daemon.address()))
            .arg(format!("--action={}", folder.join("action").display()))
            .arg(format!(
                "--action-result={}",
                folder.join("result").display()
            ));
        if may_update {
            runner.arg("--nested-ac-enable-update");
        }
        let output = runner.output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let result = fs::read(folder.join("result")).unwrap();
        let result = reapi::ActionResult::decode(&*result).unwrap();
        check(answers(&daemon, &result).await, may_update);
    }
}
