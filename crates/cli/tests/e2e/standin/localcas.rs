//! LocalCAS: what the real daemon answers, ours answers too; and nobody is led where they shouldn't be.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use headstart_reapi::localcas::local_content_addressable_storage_client::LocalContentAddressableStorageClient as LocalCas;
use headstart_reapi::localcas::{self, StageTreeRequest};
use headstart_reapi::reapi;
use headstart_reapi::reapi::command::OutputDirectoryFormat as Format;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Streaming};

use super::daemon::{Daemon, resident};

/// A tree with one of everything.
fn make_tree(daemon: &Daemon) -> String {
    let script = daemon.write("tree/bin/script", "#!/bin/sh\n");
    fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
    daemon.write("tree/lib/deep/er/data", "data");
    daemon.write("tree/empty-file", "");
    let tree = daemon.folder.path().join("tree");
    fs::create_dir(tree.join("empty-folder")).unwrap();
    symlink("lib/deep", tree.join("link")).unwrap();
    symlink("/nowhere", tree.join("dangling")).unwrap();
    tree.to_str().unwrap().to_owned()
}

fn code(status: &Option<headstart_reapi::rpc::Status>) -> i32 {
    status.as_ref().map_or(0, |status| status.code)
}

#[tokio::test]
async fn captured_trees_are_those_of_the_real_daemon() {
    let mut answers = Vec::new();
    for daemon in [Daemon::real(), Daemon::ours()] {
        let mut local = LocalCas::new(daemon.connect().await);
        let tree = make_tree(&daemon);
        let request = localcas::CaptureTreeRequest {
            path: vec![tree.clone(), format!("{tree}/no-such")],
            output_directory_format: Format::TreeAndDirectory as i32,
            ..Default::default()
        };
        let captured = local.capture_tree(request).await.unwrap().into_inner();
        let [tree_response, missing] = &captured.responses[..] else {
            panic!("{captured:?}");
        };
        assert_eq!(code(&tree_response.status), 0, "{tree_response:?}");
        assert_ne!(code(&missing.status), 0);
        let root = tree_response.root_directory_digest.clone().unwrap();
        for digest in [&root, tree_response.tree_digest.as_ref().unwrap()] {
            assert!(daemon.has(&digest.hash));
        }
        let request = localcas::CaptureFilesRequest {
            path: ["bin/script", "lib/deep/er/data", "no-such"]
                .map(|path| format!("{tree}/{path}"))
                .to_vec(),
            ..Default::default()
        };
        let files = local.capture_files(request).await.unwrap().into_inner();
        let files = files.responses.into_iter().map(|file| {
            let failed = code(&file.status) != 0;
            (file.digest.unwrap_or_default(), file.is_executable, failed)
        });
        answers.push((root, files.collect::<Vec<_>>()));
    }
    let (real, ours) = (&answers[0], &answers[1]);
    assert_eq!(ours.0, real.0, "the root's digest");
    assert_eq!(ours.1[..2], real.1[..2]);
    assert!(
        ours.1[2].2 && real.1[2].2,
        "what is not there can't be captured"
    );
}

#[tokio::test]
async fn completeness_is_told_as_the_real_daemon_does() {
    for (daemon, is_ours) in [(Daemon::real(), false), (Daemon::ours(), true)] {
        let mut local = LocalCas::new(daemon.connect().await);
        let tree = make_tree(&daemon);
        let root = capture(&mut local, &tree).await;
        let fetch = |fetch_file_blobs| localcas::FetchTreeRequest {
            root_digest: Some(root.clone()),
            fetch_file_blobs,
            ..Default::default()
        };
        let data = headstart_merkle::BlobDigest::of(b"data");
        fs::remove_file(daemon.object(&data.hex())).unwrap();
        local.fetch_tree(fetch(false)).await.unwrap();
        let status = local.fetch_tree(fetch(true)).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
        // The real one offers this for what lies behind it only.
        if !is_ours {
            continue;
        }
        let request = localcas::FetchMissingBlobsRequest {
            blob_digests: vec![root.clone(), data.into()],
            ..Default::default()
        };
        let fetched = local
            .fetch_missing_blobs(request)
            .await
            .unwrap()
            .into_inner();
        let [failed] = &fetched.responses[..] else {
            panic!("{fetched:?}");
        };
        assert_eq!(failed.digest.clone().unwrap().hash, data.hex());
        assert_eq!(code(&failed.status), Code::NotFound as i32);
    }
}

#[tokio::test]
async fn a_tree_is_whole_for_as_long_as_nobody_removes_something_of_it() {
    let daemon = Daemon::ours();
    let mut local = LocalCas::new(daemon.connect().await);
    let tree = make_tree(&daemon);
    let request = localcas::FetchTreeRequest {
        root_digest: Some(capture(&mut local, &tree).await),
        fetch_file_blobs: true,
        ..Default::default()
    };
    let object = daemon.object(&headstart_merkle::BlobDigest::of(b"data").hex());
    let aside = daemon.folder.path().join("aside");
    for _ in 0..3 {
        local.fetch_tree(request.clone()).await.unwrap();
        fs::rename(&object, &aside).unwrap();
        let status = local.fetch_tree(request.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound, "{status}");
        fs::rename(&aside, &object).unwrap();
    }
}

async fn capture(local: &mut LocalCas<Channel>, tree: &str) -> reapi::Digest {
    let request = localcas::CaptureTreeRequest {
        path: vec![tree.to_owned()],
        output_directory_format: Format::DirectoryOnly as i32,
        ..Default::default()
    };
    let captured = local.capture_tree(request).await.unwrap().into_inner();
    captured.responses[0].root_directory_digest.clone().unwrap()
}

#[tokio::test]
async fn a_tree_is_staged_for_as_long_as_the_stream_is_open() {
    for daemon in [Daemon::real(), Daemon::ours()] {
        let mut local = LocalCas::new(daemon.connect().await);
        let tree = make_tree(&daemon);
        let root = capture(&mut local, &tree).await;
        for path in [
            String::new(),
            format!("{}/cache/cas/chosen", daemon.folder.path().display()),
        ] {
            let (requests, receiver) = mpsc::channel(2);
            let first = StageTreeRequest {
                root_digest: Some(root.clone()),
                path: path.clone(),
                ..Default::default()
            };
            requests.send(first).await.unwrap();
            let stream = local.stage_tree(ReceiverStream::new(receiver)).await;
            let mut stream = stream.unwrap().into_inner();
            let staged = stream.message().await.unwrap().unwrap().path;
            assert!(path.is_empty() || path == staged);
            let data = Path::new(&staged).join("link/er/data");
            assert_eq!(fs::read_to_string(&data).unwrap(), "data");
            let mode = fs::metadata(Path::new(&staged).join("bin/script"))
                .unwrap()
                .permissions();
            assert_eq!(mode.mode() & 0o777, 0o755);
            // Whatever is done to it, the store does not change.
            fs::write(&data, "changed").unwrap();
            requests.send(StageTreeRequest::default()).await.unwrap();
            assert!(stream.message().await.unwrap().is_some());
            assert!(!data.exists());
            let object = headstart_merkle::BlobDigest::of(b"data").hex();
            assert_eq!(fs::read_to_string(daemon.object(&object)).unwrap(), "data");
        }
    }
}

/// A folder of so many files that they are not all made for whoever reads some, of the same content.
fn make_large_tree(daemon: &Daemon, content: &str) -> String {
    let tree = daemon.folder.path().join("large");
    for folder in 0..101 {
        let folder = tree.join(folder.to_string());
        fs::create_dir_all(&folder).unwrap();
        for file in 0..100 {
            fs::write(folder.join(file.to_string()), content).unwrap();
        }
    }
    tree.to_str().unwrap().to_owned()
}

/// A tree that will only be read, with the two sides of the stream that keeps it staged.
async fn stage_read_only(
    local: &mut LocalCas<Channel>,
    root: reapi::Digest,
) -> (
    PathBuf,
    mpsc::Sender<StageTreeRequest>,
    Streaming<localcas::StageTreeResponse>,
) {
    let (requests, receiver) = mpsc::channel(2);
    let first = StageTreeRequest {
        root_digest: Some(root),
        read_only: true,
        ..Default::default()
    };
    requests.send(first).await.unwrap();
    let stream = local.stage_tree(ReceiverStream::new(receiver)).await;
    let mut stream = stream.unwrap().into_inner();
    let staged = stream.message().await.unwrap().unwrap().path;
    (staged.into(), requests, stream)
}

#[tokio::test]
async fn a_large_tree_is_only_shown_and_what_could_not_be_read_of_it_is_told() {
    let mut daemon = Daemon::ours();
    let mut local = LocalCas::new(daemon.connect().await);
    let mounts = || fs::read_to_string("/proc/self/mountinfo").unwrap();
    let cache = daemon.cache().display().to_string();
    let tree = make_large_tree(&daemon, "the content");
    let root = capture(&mut local, &tree).await;
    let (staged, requests, mut stream) = stage_read_only(&mut local, root).await;
    let can_show = fs::File::options().read(true).write(true).open("/dev/fuse");
    let can_show = can_show.is_ok();
    assert_eq!(mounts().contains(&cache), can_show);
    let read = fs::read_to_string(staged.join("77/42")).unwrap();
    assert_eq!(read, "the content");
    requests.send(StageTreeRequest::default()).await.unwrap();
    assert!(stream.message().await.unwrap().is_some());
    if !can_show {
        // Then each file is looked at before it is staged.
        return;
    }

    make_large_tree(&daemon, "other content");
    let root = capture(&mut local, &tree).await;
    let content = headstart_merkle::BlobDigest::of(b"other content").hex();
    fs::remove_file(daemon.object(&content)).unwrap();
    fs::write(daemon.object(&content), "OTHER CONTENT").unwrap();
    let (staged, requests, mut stream) = stage_read_only(&mut local, root).await;
    fs::read_to_string(staged.join("5/5")).unwrap_err();
    requests.send(StageTreeRequest::default()).await.unwrap();
    let told = stream.message().await.unwrap_err();
    assert_eq!(told.code(), Code::Internal);
    assert!(told.message().contains(&content), "{told}");
    daemon.end();
    assert!(!mounts().contains(&cache), "it is still mounted");
}

#[tokio::test]
async fn a_client_that_disappears_leaves_nothing_staged() {
    let daemon = Daemon::ours();
    let mut local = LocalCas::new(daemon.connect().await);
    let tree = make_tree(&daemon);
    let root = capture(&mut local, &tree).await;
    let (requests, receiver) = mpsc::channel(2);
    let first = StageTreeRequest {
        root_digest: Some(root),
        remote_apis_socket_path: "run/server.sock".into(),
        ..Default::default()
    };
    requests.send(first).await.unwrap();
    let stream = local
        .stage_tree(ReceiverStream::new(receiver))
        .await
        .unwrap();
    let mut stream = stream.into_inner();
    let staged = stream.message().await.unwrap().unwrap().path;
    let socket = Path::new(&staged).join("run/server.sock");
    std::os::unix::net::UnixStream::connect(&socket).unwrap();
    drop((requests, stream, local));
    for _ in 0..500 {
        if !Path::new(&staged).exists() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{staged} is still there");
}

#[tokio::test]
async fn paths_lead_nowhere_they_should_not() {
    let daemon = Daemon::ours();
    let mut local = LocalCas::new(daemon.connect().await);
    make_tree(&daemon);
    daemon.write("secret", "secret");
    let tree = daemon.folder.path().join("tree");
    symlink("../secret", tree.join("out")).unwrap();
    symlink(daemon.folder.path(), tree.join("above")).unwrap();
    let root = tree.to_str().unwrap().to_owned();
    // An instance that is bound to the folder, and a request that says so itself, are the same.
    let request = localcas::GetInstanceNameForNamespaceRequest {
        root: root.clone(),
        ..Default::default()
    };
    let bound = local
        .get_instance_name_for_namespace(request)
        .await
        .unwrap();
    let bound = bound.into_inner().instance_name;
    for (instance_name, root) in [
        (bound.clone(), String::new()),
        (String::new(), root.clone()),
    ] {
        let request = localcas::CaptureFilesRequest {
            instance_name,
            root,
            path: [
                "/bin/script",
                "out",
                "above/secret",
                "../secret",
                "/../../etc/passwd",
                "/proc/self/environ",
                "",
                "\u{0}",
            ]
            .map(str::to_owned)
            .to_vec(),
            ..Default::default()
        };
        let files = local
            .capture_files(request)
            .await
            .unwrap()
            .into_inner()
            .responses;
        assert_eq!(code(&files[0].status), 0, "{:?}", files[0]);
        for file in &files[1..] {
            assert_ne!(code(&file.status), 0, "{file:?}");
        }
    }
    let details = localcas::GetInstanceNameForNamespaceRequest {
        instance_name: bound.clone(),
        root: "/".into(),
    };
    let refused = local.get_instance_name_for_namespace(details).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    let (requests, receiver) = mpsc::channel(2);
    let staging = StageTreeRequest {
        instance_name: bound,
        ..Default::default()
    };
    requests.send(staging).await.unwrap();
    let refused = local.stage_tree(ReceiverStream::new(receiver)).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    let unknown = localcas::FetchTreeRequest {
        instance_name: "nobody".into(),
        ..Default::default()
    };
    let refused = local.fetch_tree(unknown).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn an_idle_daemon_is_small_and_ends_when_it_is_told() {
    let mut daemon = Daemon::ours();
    let mut local = LocalCas::new(daemon.connect().await);
    let details = localcas::GetLocalServerDetailsRequest::default();
    let details = local
        .get_local_server_details(details)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(Path::new(&details.storage_root), daemon.cache().join("cas"));
    let usage = localcas::GetLocalDiskUsageRequest {};
    let usage = local
        .get_local_disk_usage(usage)
        .await
        .unwrap()
        .into_inner();
    assert_eq!((usage.size_bytes, usage.quota_bytes), (0, 0));
    // The empty object takes nothing.
    let resident = resident(daemon.process_id());
    assert!(resident < 30 * 1024, "{resident} KiB are resident");
    assert_eq!(daemon.end(), Some(0));
    assert!(!daemon.folder.path().join("socket").exists());
}

#[tokio::test]
async fn the_quota_is_kept_and_told() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_headstart"));
    command.arg("casd");
    let folder = tempfile::TempDir::new().unwrap();
    let limits = ["--quota-high=100K", "--quota-low=50%", "--reserved=0"];
    let daemon = Daemon::start(command, folder, &limits);
    let mut local = LocalCas::new(daemon.connect().await);
    let files: Vec<_> = (0..20)
        .map(|number| daemon.write(&format!("files/{number}"), &format!("{number:010000}")))
        .collect();
    for file in files {
        let request = localcas::CaptureFilesRequest {
            path: vec![file.to_str().unwrap().to_owned()],
            ..Default::default()
        };
        let captured = local.capture_files(request).await.unwrap().into_inner();
        assert_eq!(code(&captured.responses[0].status), 0, "{captured:?}");
    }
    let usage = localcas::GetLocalDiskUsageRequest {};
    let usage = local
        .get_local_disk_usage(usage)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(usage.quota_bytes, 100_000);
    assert!(
        usage.size_bytes <= 100_000 && usage.size_bytes >= 50_000,
        "{usage:?}"
    );
}
