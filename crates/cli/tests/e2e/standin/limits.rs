//! Requests that are larger, deeper or longer than any should be: each is refused in a sentence, costs
//! little, and the daemon goes on.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use headstart_merkle::{ActionDigest, BlobDigest, Directory, DirectoryDigest, Name, Node};
use headstart_reapi::bytestream::WriteRequest;
use headstart_reapi::bytestream::byte_stream_client::ByteStreamClient;
use headstart_reapi::localcas::local_content_addressable_storage_client::LocalContentAddressableStorageClient as LocalCas;
use headstart_reapi::localcas::{FetchTreeRequest, StageTreeRequest};
use headstart_reapi::reapi::content_addressable_storage_client::ContentAddressableStorageClient as Cas;
use headstart_reapi::{Message, reapi};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::calls::{download, execute, in_time, upload};
use super::daemon::{Daemon, resident};
use super::shell::{self, ShellAction};

/// Stores Directories in each other, each naming the next by all of the names; gives the outermost.
async fn nested(channel: &Channel, levels: usize, names: &[&str]) -> DirectoryDigest {
    let mut directory = Directory::default();
    let mut stored = vec![directory.encode().to_vec()];
    for _ in 0..levels {
        let names = names.iter().map(|name| Name::new(name).unwrap());
        let digest = directory.digest();
        directory = Directory {
            entries: names.map(|name| (name, Node::Directory(digest))).collect(),
            ..Directory::default()
        };
        stored.push(directory.encode().to_vec());
    }
    for batch in stored.chunks(10_000) {
        upload(channel, batch.to_vec()).await.unwrap();
    }
    directory.digest()
}

async fn stage(channel: &Channel, root: DirectoryDigest, read_only: bool) -> Result<(), Status> {
    let (requests, receiver) = tokio::sync::mpsc::channel(2);
    let request = StageTreeRequest {
        root_digest: Some(root.into()),
        read_only,
        ..Default::default()
    };
    requests.send(request).await.unwrap();
    let mut local = LocalCas::new(channel.clone());
    let staged = in_time(local.stage_tree(ReceiverStream::new(receiver))).await?;
    in_time(staged.into_inner().message()).await.map(|_| ())
}

#[tokio::test]
async fn trees_that_nobody_can_make_are_refused() {
    let daemon = Daemon::ours();
    let channel = daemon.connect().await;
    let small = shell::capture(&daemon).await;
    // A path of 40,000 names, and 4^60 folders.
    for (levels, names) in [(40_000, &["d"][..]), (60, &["a", "b", "c", "d"])] {
        let root = nested(&channel, levels, names).await;
        for read_only in [true, false] {
            let refused = stage(&channel, root, read_only).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
            assert!(refused.message().contains("expected"), "{refused:?}");
        }
        let mut action = ShellAction::new(small, "echo >out", "deep", &[], &[]);
        action.action.input_root_digest = Some(root.into());
        upload(&channel, action.blobs()).await.unwrap();
        let response = in_time(execute(&channel, action.digest())).await;
        let status = response.unwrap().unwrap().status.unwrap();
        assert_eq!(status.code, Code::InvalidArgument as i32, "{status:?}");
        assert!(status.message.contains("expected"), "{status:?}");
        // Whoever only asks for it gets it: each Directory once.
        let request = FetchTreeRequest {
            root_digest: Some(root.into()),
            fetch_file_blobs: true,
            ..Default::default()
        };
        in_time(LocalCas::new(channel.clone()).fetch_tree(request))
            .await
            .unwrap();
        let request = reapi::GetTreeRequest {
            root_digest: Some(root.into()),
            ..Default::default()
        };
        let mut cas = Cas::new(channel.clone());
        let mut pages = in_time(cas.get_tree(request)).await.unwrap().into_inner();
        let mut directories = 0;
        while let Some(page) = in_time(pages.message()).await.unwrap() {
            directories += page.directories.len();
        }
        assert_eq!(directories, levels + 1);
    }
}

#[tokio::test]
async fn outputs_that_are_too_deep_are_refused_and_removed() {
    let daemon = Daemon::ours();
    let channel = daemon.connect().await;
    let root = shell::capture(&daemon).await;
    let script = "mkdir d; cd d; i=0; while [ $i -lt 600 ]; do mkdir d; cd -P d; i=$((i+1)); done";
    let action = ShellAction::new(root, script, "", &[], &[]);
    upload(&channel, action.blobs()).await.unwrap();
    let response = in_time(execute(&channel, action.digest())).await;
    let status = response.unwrap().unwrap().status.unwrap();
    assert_ne!(status.code, 0);
    assert!(status.message.contains("512 deep"), "{status:?}");
    // The folders it ran in are kept for others, and are empty but for those that all need.
    let written = runs(&daemon.cache().join("headstart/sandboxes"));
    assert!(!written.is_empty());
    for folder in written.iter().flat_map(|run| below(&run.join("upper"))) {
        let name = folder.file_name().unwrap().to_str().unwrap();
        assert!(["dev", "proc", "tmp"].contains(&name), "{folder:?}");
        assert_eq!(below(&folder), [] as [PathBuf; 0]);
    }
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// The folders of runs, three levels below one.
fn runs(sandboxes: &Path) -> Vec<PathBuf> {
    let makers = below(sandboxes)
        .into_iter()
        .flat_map(|process| below(&process));
    let mut runs: Vec<_> = makers.flat_map(|maker| below(&maker)).collect();
    runs.retain(|run| {
        run.file_name()
            .is_some_and(|it| it.as_bytes().starts_with(b"run-"))
    });
    runs
}

#[tokio::test]
async fn what_expands_beyond_measure_is_refused() {
    let daemon = Daemon::ours();
    let channel = daemon.connect().await;
    let before = resident(daemon.process_id());
    // 200 MB in some kilobytes, said to be larger still, as large, and small.
    let bomb = packed(200 << 20);
    for size in [1_i64 << 40, 200 << 20, 1000, 0, -1, i64::MAX, i64::MIN] {
        let digest = reapi::Digest {
            hash: BlobDigest::of(b"").hex(),
            size_bytes: size,
        };
        let one = reapi::batch_update_blobs_request::Request {
            digest: Some(digest),
            data: bomb.clone().into(),
            compressor: reapi::compressor::Value::Zstd as i32,
        };
        let request = reapi::BatchUpdateBlobsRequest {
            requests: vec![one; 20],
            ..Default::default()
        };
        let mut cas = Cas::new(channel.clone());
        match in_time(cas.batch_update_blobs(request)).await {
            Ok(updated) => {
                for one in updated.into_inner().responses {
                    let status = one.status.unwrap();
                    assert_eq!(
                        status.code,
                        Code::InvalidArgument as i32,
                        "{size}: {status:?}"
                    );
                }
            }
            Err(status) => assert_eq!(status.code(), Code::InvalidArgument, "{status:?}"),
        }
        let hash = BlobDigest::of(b"x").hex();
        let piece = WriteRequest {
            resource_name: format!("uploads/1/compressed-blobs/zstd/{hash}/{size}"),
            data: bomb.clone().into(),
            finish_write: true,
            ..Default::default()
        };
        let mut bytes = ByteStreamClient::new(channel.clone());
        let written = in_time(bytes.write(tokio_stream::iter([piece]))).await;
        assert_eq!(written.unwrap_err().code(), Code::InvalidArgument, "{size}");
    }
    let grown = resident(daemon.process_id()).saturating_sub(before);
    assert!(grown < 100 * 1024, "{grown} KiB more are resident");
}

/// So many zeroes, compressed.
fn packed(length: usize) -> Vec<u8> {
    zstd::encode_all(std::io::Read::take(std::io::repeat(0), length as u64), 3).unwrap()
}

#[tokio::test]
async fn messages_and_batches_have_their_limits() {
    let daemon = Daemon::ours();
    let channel = daemon.connect().await;
    let refused = upload(&channel, vec![vec![1; 5 << 20]]).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    assert!(refused.message().contains("ByteStream"), "{refused:?}");
    let refused = upload(&channel, vec![vec![1; 20 << 20]]).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
    let many = reapi::BatchReadBlobsRequest {
        digests: vec![
            BlobDigest::from_hex(BlobDigest::of(b"x").hex(), 1 << 20)
                .unwrap()
                .into();
            5
        ],
        ..Default::default()
    };
    let refused = Cas::new(channel.clone())
        .batch_read_blobs(many)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    // Streams that nobody ends are kept from nobody else.
    let open: Vec<_> = (0..500_u64)
        .map(|number| {
            let mut bytes = ByteStreamClient::new(channel.clone());
            tokio::spawn(async move {
                let hash = ActionDigest::of(&number.to_le_bytes()).hex();
                let first = WriteRequest {
                    resource_name: format!("uploads/{number}/blobs/{hash}/1000000"),
                    data: vec![0; 1000].into(),
                    ..Default::default()
                };
                let (sender, receiver) = tokio::sync::mpsc::channel(1);
                sender.send(first).await.unwrap();
                let written = bytes.write(ReceiverStream::new(receiver)).await;
                drop(sender);
                written
            })
        })
        .collect();
    let said = upload(&channel, vec![b"after all".to_vec()]).await.unwrap();
    assert_eq!(download(&channel, said[0].0).await.unwrap(), b"after all");
    open.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_command_takes_no_longer_than_it_may() {
    let daemon = Daemon::ours();
    let channel = daemon.connect().await;
    let root = shell::capture(&daemon).await;
    let mut action = ShellAction::new(root, "sleep 1000 & exec sleep 1000", "", &[], &[]);
    action.action.timeout = Some(prost_types::Duration {
        seconds: 0,
        nanos: 300_000_000,
    });
    upload(&channel, action.blobs()).await.unwrap();
    let response = in_time(execute(&channel, action.digest()))
        .await
        .unwrap()
        .unwrap();
    let status = response.status.unwrap();
    assert_eq!(status.code, Code::DeadlineExceeded as i32, "{status:?}");
    // What is no action is told of too.
    let nonsense = upload(&channel, vec![b"\xff\xff\xff".to_vec()])
        .await
        .unwrap()[0]
        .0;
    let response = in_time(execute(&channel, nonsense.cast()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(response.status.unwrap().code, Code::InvalidArgument as i32);
    let empty = reapi::Action::default().encode_to_vec();
    let empty = upload(&channel, vec![empty]).await.unwrap()[0].0;
    let response = in_time(execute(&channel, empty.cast()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(response.status.unwrap().code, Code::InvalidArgument as i32);
}
