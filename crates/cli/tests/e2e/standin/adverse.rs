//! Disks that are full, read-only, or have changed what was written: each is told of, nothing hangs, and
//! it goes on when the disk is well again.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use headstart_merkle::{ActionDigest, BlobDigest};
use headstart_reapi::localcas::CaptureFilesRequest;
use headstart_reapi::localcas::local_content_addressable_storage_client::LocalContentAddressableStorageClient as LocalCas;
use headstart_reapi::reapi;
use headstart_reapi::reapi::action_cache_client::ActionCacheClient;
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::calls::{
    download, download_stream, execute, in_time, is_missing, upload, upload_stream,
};
use super::daemon::Daemon;
use super::shell::{self, ShellAction};

/// A daemon whose cache is a disk of its own, in memory, which only it and whoever looks at it through
/// its process can see.
struct OnDisk {
    daemon: Daemon,
}

impl OnDisk {
    fn start(arguments: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let cache = folder.path().join("cache");
        fs::create_dir(&cache).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c"]);
        command.arg(r#"mount -t tmpfs -o size=48m tmpfs "$0" && exec "$@""#);
        command.arg(cache).arg(env!("CARGO_BIN_EXE_headstart"));
        command.arg("casd");
        let daemon = Daemon::start(command, folder, arguments);
        Self { daemon }
    }

    /// The cache as the daemon sees it.
    fn cache(&self) -> PathBuf {
        let root = Path::new("/proc").join(self.daemon.process_id().to_string());
        let cache = self.daemon.cache();
        root.join("root").join(cache.strip_prefix("/").unwrap())
    }

    /// Takes all room that is left.
    fn fill(&self) -> PathBuf {
        let path = self.cache().join("filler");
        let mut file = fs::File::create(&path).unwrap();
        for size in [1 << 20, 1 << 12] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        path
    }

    /// Mounts the disk again, with other options.
    fn remount(&self, options: &str) {
        let process = self.daemon.process_id().to_string();
        let mut command = Command::new("nsenter");
        command.args(["--target", &process, "--user", "--mount"]);
        command.args(["--preserve-credentials", "mount", "-o"]);
        command
            .arg(format!("remount,{options}"))
            .arg(self.daemon.cache());
        let begun = Instant::now();
        // The kernel may still be taking down what a sandbox had mounted.
        while !command.status().unwrap().success() {
            assert!(begun.elapsed() < Duration::from_secs(10), "{command:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Everything that stores something: what came of it.
async fn store_everything(disk: &OnDisk, action: &ShellAction, number: u8) -> Vec<(Code, String)> {
    let channel = disk.daemon.connect().await;
    let mut said = Vec::new();
    let mut note = |answer: Result<Code, Status>| {
        said.push(match answer {
            Ok(code) => (code, String::new()),
            Err(status) => (status.code(), status.message().to_owned()),
        });
    };
    let batch = upload(&channel, vec![vec![number; 300_000]]).await;
    note(batch.map(|said| said[0].1));
    let stream = upload_stream(&channel, &vec![number; 3_000_000], number.into()).await;
    note(stream.map(|_| Code::Ok));
    let file = disk
        .daemon
        .write("to-capture", &"x".repeat(400_000 + usize::from(number)));
    let request = CaptureFilesRequest {
        path: vec![file.to_str().unwrap().to_owned()],
        ..Default::default()
    };
    let captured = in_time(LocalCas::new(channel.clone()).capture_files(request)).await;
    note(captured.map_or_else(Err, |captured| {
        status_of(&captured.get_ref().responses[0].status)
    }));
    let request = reapi::UpdateActionResultRequest {
        action_digest: Some(ActionDigest::of(&[number]).into()),
        action_result: Some(reapi::ActionResult {
            stdout_raw: vec![number; 100_000].into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut cache = ActionCacheClient::new(channel.clone());
    let updated = in_time(cache.update_action_result(request)).await;
    note(updated.map(|_| Code::Ok));
    let executed = in_time(execute(&channel, action.digest())).await;
    note(executed.map_or_else(Err, |response| {
        let response = response.unwrap();
        match response
            .result
            .filter(|_| response.status.as_ref().is_none_or(|s| s.code == 0))
        {
            // The command itself finds no room.
            Some(result) if result.exit_code != 0 => Ok(Code::ResourceExhausted),
            Some(_) => Ok(Code::Ok),
            None => status_of(&response.status),
        }
    }));
    said
}

fn status_of(status: &Option<headstart_reapi::rpc::Status>) -> Result<Code, Status> {
    match status.as_ref().filter(|status| status.code != 0) {
        None => Ok(Code::Ok),
        Some(status) => Err(Status::new(
            Code::from_i32(status.code),
            status.message.clone(),
        )),
    }
}

/// An action that writes half a megabyte, and is not in the action cache yet.
async fn action(disk: &OnDisk, channel: &Channel, name: &str) -> ShellAction {
    let root = shell::capture(&disk.daemon).await;
    let script = "i=0; while [ $i -lt 5000 ]; do echo $0 $i \
                  .................................................................................. \
                  || exit 9; i=$((i+1)); done >out && cat out out >d";
    let action = ShellAction::new(root, script, name, &[], &[]);
    let said = upload(channel, action.blobs()).await.unwrap();
    assert!(said.iter().all(|(_, code)| *code == Code::Ok), "{said:?}");
    action
}

fn files_in(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[tokio::test]
async fn a_full_disk_is_told_of_until_there_is_room() {
    let disk = OnDisk::start(&["--reserved=0", "--protect-session-blobs"]);
    let channel = disk.daemon.connect().await;
    let kept = upload(&channel, vec![b"kept".repeat(1000)]).await.unwrap()[0].0;
    let action = action(&disk, &channel, "full").await;
    let filler = disk.fill();
    for (code, message) in store_everything(&disk, &action, 1).await {
        assert_eq!(code, Code::ResourceExhausted, "{message}");
        assert!(
            message.is_empty() || message.contains("no space is left"),
            "{message}"
        );
    }
    assert_eq!(
        download(&channel, kept).await.unwrap(),
        b"kept".repeat(1000)
    );
    assert_eq!(files_in(&disk.cache().join("cas/tmp")), 0);
    fs::remove_file(filler).unwrap();
    for (code, message) in store_everything(&disk, &action, 1).await {
        assert_eq!(code, Code::Ok, "{message}");
    }
}

#[tokio::test]
async fn what_was_not_used_makes_room_on_a_full_disk() {
    let disk = OnDisk::start(&["--reserved=0", "--quota-low=50%"]);
    let channel = disk.daemon.connect().await;
    // Three times what the disk holds.
    for number in 0..48_u8 {
        let stored = upload_stream(&channel, &vec![number; 3_000_000], number.into()).await;
        let digest = stored.unwrap();
        let content = download_stream(&channel, digest).await.unwrap();
        assert_eq!(BlobDigest::of(&content), digest);
    }
}

#[tokio::test]
async fn a_read_only_disk_is_read() {
    let disk = OnDisk::start(&["--reserved=0"]);
    let channel = disk.daemon.connect().await;
    let kept = upload(&channel, vec![b"kept".to_vec()]).await.unwrap()[0].0;
    let action = action(&disk, &channel, "read-only").await;
    let done = ShellAction::new(
        shell::capture(&disk.daemon).await,
        "echo >out",
        "",
        &[],
        &[],
    );
    upload(&channel, done.blobs()).await.unwrap();
    let before = in_time(execute(&channel, done.digest()))
        .await
        .unwrap()
        .unwrap();
    disk.remount("ro");
    for (code, message) in store_everything(&disk, &action, 1).await {
        assert_ne!(code, Code::Ok);
        assert!(
            message.is_empty() || message.contains("Read-only file system"),
            "{message}"
        );
    }
    assert_eq!(download(&channel, kept).await.unwrap(), b"kept");
    let again = in_time(execute(&channel, done.digest()))
        .await
        .unwrap()
        .unwrap();
    assert!(again.cached_result, "{again:?}");
    assert_eq!(
        again.result.unwrap().output_files,
        before.result.unwrap().output_files
    );
    disk.remount("rw");
    for (code, message) in store_everything(&disk, &action, 1).await {
        assert_eq!(code, Code::Ok, "{message}");
    }
}

/// Changes a byte in an object of a daemon's store.
fn damage(daemon: &Daemon, digest: BlobDigest) {
    let path = daemon.object(&digest.hex());
    let mut content = fs::read(&path).unwrap();
    content[100] ^= 1;
    fs::write(path, content).unwrap();
}

#[tokio::test]
async fn a_damaged_object_is_not_served_and_can_be_stored_again() {
    let mut daemon = Daemon::ours();
    let channel = daemon.connect().await;
    let contents: Vec<Vec<u8>> = (1..=3_u8).map(|number| vec![number; 2_500_000]).collect();
    let mut digests = Vec::new();
    for (unique, content) in contents.iter().enumerate() {
        digests.push(
            upload_stream(&channel, content, unique as u64)
                .await
                .unwrap(),
        );
    }
    // One is the output of an action.
    let result = reapi::ActionResult {
        output_files: vec![reapi::OutputFile {
            path: "out".into(),
            digest: Some(digests[2].into()),
            ..Default::default()
        }],
        ..Default::default()
    };
    let action = ActionDigest::of(b"action");
    let request = reapi::UpdateActionResultRequest {
        action_digest: Some(action.into()),
        action_result: Some(result),
        ..Default::default()
    };
    let updated = ActionCacheClient::new(channel)
        .update_action_result(request)
        .await;
    updated.unwrap();
    daemon.kill();
    digests.iter().for_each(|digest| damage(&daemon, *digest));
    daemon.start_again();
    let channel = daemon.connect().await;
    let batch = download(&channel, digests[0]).await.unwrap_err();
    let stream = download_stream(&channel, digests[1]).await.unwrap_err();
    let stream_again = download_stream(&channel, digests[1]).await.unwrap_err();
    let result = download_stream(&channel, digests[2]).await.unwrap_err();
    for (status, code) in [
        (batch, Code::NotFound),
        (stream, Code::DataLoss),
        (stream_again, Code::NotFound),
        (result, Code::DataLoss),
    ] {
        assert_eq!(status.code(), code, "{status:?}");
        assert!(status.message().contains("is damaged"), "{status:?}");
    }
    for digest in &digests {
        assert!(is_missing(&channel, *digest).await.unwrap());
    }
    let request = reapi::GetActionResultRequest {
        action_digest: Some(action.into()),
        ..Default::default()
    };
    let mut cache = ActionCacheClient::new(channel.clone());
    let gone = cache.get_action_result(request.clone()).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    for (unique, content) in contents.iter().enumerate() {
        let digest = upload_stream(&channel, content, unique as u64)
            .await
            .unwrap();
        assert_eq!(&download_stream(&channel, digest).await.unwrap(), content);
    }
    cache.get_action_result(request).await.unwrap();
}
