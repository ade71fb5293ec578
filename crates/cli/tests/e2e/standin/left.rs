//! What a farm has made stays there until somebody reads it.

use std::process::Command;

use headstart_merkle::{BlobDigest, Directory};
use headstart_reapi::localcas::FetchTreeRequest;
use headstart_reapi::localcas::local_content_addressable_storage_client::LocalContentAddressableStorageClient as LocalCas;
use headstart_reapi::{Message, reapi};
use tempfile::TempDir;
use tonic::transport::Channel;

use super::calls::{download, download_stream, execute, in_time, is_missing, upload};
use super::daemon::Daemon;
use super::shell::{self, ShellAction, went_well};
use crate::support::Server;

/// Our daemon in front of a server, which also executes if that is asked for.
fn in_front_of(server: &Server, executes: bool) -> Daemon {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headstart"));
    command.arg("casd");
    let mut options = vec![format!("--cas-remote={}", server.url())];
    if executes {
        options.push(format!("--exec-remote={}", server.url()));
    }
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    Daemon::start(command, TempDir::new().unwrap(), &options)
}

/// Has an action executed, and gives its result.
async fn run(channel: &Channel, action: &ShellAction) -> reapi::ActionResult {
    upload(channel, action.blobs()).await.unwrap();
    let response = in_time(execute(channel, action.digest())).await.unwrap();
    went_well(response.unwrap())
}

/// An output file of a result.
fn output(result: &reapi::ActionResult, path: &str) -> BlobDigest {
    let mut files = result.output_files.iter();
    let file = files.find(|file| file.path == path).unwrap();
    BlobDigest::required(file.digest.as_ref()).unwrap()
}

#[tokio::test]
async fn outputs_come_from_the_farm_when_they_are_read() {
    let farm = Server::ours();
    let daemon = in_front_of(&farm, true);
    let channel = daemon.connect().await;
    let root = shell::capture(&daemon).await;
    let script = "mkdir d; echo inner >d/inner; echo outer >out";
    let result = run(&channel, &ShellAction::new(root, script, "", &[], &[])).await;

    let out = output(&result, "out");
    let inner = BlobDigest::of(b"inner\n");
    for left in [out, inner] {
        assert!(!daemon.has(&left.hex()), "{left} was brought");
        assert!(!is_missing(&channel, left).await.unwrap());
    }
    assert_eq!(download(&channel, out).await.unwrap(), b"outer\n");
    assert!(daemon.has(&out.hex()));
    assert_eq!(download_stream(&channel, inner).await.unwrap(), b"inner\n");
    assert!(daemon.has(&inner.hex()));

    // A result whose outputs the farm has lost is none.
    let script = "mkdir d; echo lost >out";
    let action = ShellAction::new(root, script, "", &[], &[]);
    let lost = output(&run(&channel, &action).await, "out");
    std::fs::remove_file(farm.object(&lost.hex())).unwrap();
    let again = in_time(execute(&channel, action.digest())).await.unwrap();
    let again = again.unwrap();
    assert!(!again.cached_result);
    assert_eq!(download(&channel, lost).await.unwrap(), b"lost\n");
}

#[tokio::test]
async fn what_was_left_is_the_input_of_what_comes_next() {
    let farm = Server::ours();
    let daemon = in_front_of(&farm, true);
    let channel = daemon.connect().await;
    let root = shell::capture(&daemon).await;
    let script = "mkdir d; echo content >d/file; echo >out";
    let result = run(&channel, &ShellAction::new(root, script, "", &[], &[])).await;

    let tree = BlobDigest::required(result.output_directories[0].tree_digest.as_ref()).unwrap();
    let tree = reapi::Tree::decode(&*download(&channel, tree).await.unwrap()).unwrap();
    let made = Directory::decode(&tree.root.unwrap().encode_to_vec()).unwrap();
    let content = BlobDigest::of(b"content\n");
    let next = |name: &str| {
        let script = "cat file >out; mkdir d";
        let mut action = ShellAction::new(root, script, name, &[], &[]);
        action.action.input_root_digest = Some(made.digest().into());
        action
    };
    // On the farm, which has it.
    let out = output(&run(&channel, &next("there")).await, "out");
    assert_eq!(out, content);
    assert!(!daemon.has(&content.hex()));

    // Here, with nothing here but what the farm's storage has: the root, too.
    let fresh = in_front_of(&farm, false);
    let there = fresh.connect().await;
    let out = output(&run(&there, &next("here")).await, "out");
    assert_eq!(out, content);
    assert!(fresh.has(&content.hex()));

    // As a tree that somebody fetches.
    let fetched = in_front_of(&farm, true);
    let request = FetchTreeRequest {
        root_digest: Some(made.digest().into()),
        fetch_file_blobs: true,
        ..Default::default()
    };
    let mut local = LocalCas::new(fetched.connect().await);
    local.fetch_tree(request).await.unwrap();
    assert!(fetched.has(&content.hex()));
}
