//! A client that does everything at the same time, and remembers what was acknowledged.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use headstart_merkle::{
    ActionDigest, BlobDigest, Directory, DirectoryDigest, FileNode, Name, Node,
};
use headstart_reapi::localcas::local_content_addressable_storage_client::LocalContentAddressableStorageClient as LocalCas;
use headstart_reapi::localcas::{CaptureTreeRequest, StageTreeRequest};
use headstart_reapi::reapi::action_cache_client::ActionCacheClient;
use headstart_reapi::reapi::command::OutputDirectoryFormat as Format;
use headstart_reapi::{Message, reapi};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::super::calls::{execute, upload, upload_stream};
use super::super::daemon::Daemon;
use super::super::seeded::Seeded;
use super::super::shell::{ShellAction, went_well};
use super::MARK;
use super::acknowledged::Acknowledged;

/// How long the first execution may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is done to a daemon until it is killed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    /// The root with a shell that actions are executed in, if they are.
    pub(crate) root: Option<DirectoryDigest>,
    /// Whether objects go meanwhile.
    pub(crate) evicts: bool,
}

/// Work that goes on until there is nobody to do it.
pub(crate) struct UnderWay {
    acknowledged: Arc<Mutex<Acknowledged>>,
    tasks: JoinSet<Status>,
}

/// Where the client has its own files.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    folder: PathBuf,
}

/// One of the things that are done, with a connection of its own.
#[derive(Clone)]
struct Task {
    channel: Channel,
    folder: PathBuf,
    random: Seeded,
    acknowledged: Arc<Mutex<Acknowledged>>,
}

impl Work {
    /// Begins with everything at the same time.
    pub(crate) fn begin(&self, client: &Client, daemon: &Daemon, seed: u64) -> UnderWay {
        let acknowledged = Arc::<Mutex<Acknowledged>>::default();
        let mut tasks = JoinSet::new();
        let address = daemon.address();
        let endpoint = tonic::transport::Endpoint::from_shared(address).unwrap();
        let mut random = Seeded(seed);
        let mut task = || Task {
            channel: endpoint.connect_lazy(),
            folder: client.folder.clone(),
            random: Seeded(random.next()),
            acknowledged: Arc::clone(&acknowledged),
        };
        tasks.spawn(task().uploads_batches());
        tasks.spawn(task().uploads_streams());
        tasks.spawn(task().captures());
        tasks.spawn(task().updates_results());
        tasks.spawn(task().stages(true));
        tasks.spawn(task().stages(false));
        if let Some(root) = self.root {
            tasks.spawn(task().executes(root, "echo $0 >out; mkdir -p d/e; echo $0 >d/e/f"));
            tasks.spawn(task().executes(root, "echo $0 >out; mkdir d; exec sleep 1000"));
        }
        UnderWay {
            acknowledged,
            tasks,
        }
    }
}

impl UnderWay {
    /// Waits until an action has been executed.
    pub(crate) async fn executed(&self) {
        let begun = Instant::now();
        while self.acknowledged.lock().unwrap().executed == 0 {
            assert!(begun.elapsed() < PATIENCE, "nothing is executed");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Ends it all, as there is no daemon any more. Gives what was acknowledged before.
    pub(crate) async fn end(mut self) -> Acknowledged {
        // Nobody is waited for: hyper may lose a request that is made while its connection breaks, and
        // neither sends nor fails it before the next one on that channel.
        self.tasks.abort_all();
        while let Some(ended) = self.tasks.join_next().await {
            let status = match ended {
                Ok(status) => status,
                Err(aborted) if aborted.is_cancelled() => continue,
                Err(error) => panic!("a task of the client failed: {error}"),
            };
            // All that may happen to a client whose server is killed, or has no room.
            let expected = [
                Code::Unavailable,
                Code::Unknown,
                Code::Internal,
                Code::Cancelled,
            ];
            assert!(expected.contains(&status.code()), "{status:?}");
        }
        std::mem::take(&mut self.acknowledged.lock().unwrap())
    }
}

impl Client {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// A file with an action that does not end; what it needs is put where the daemon has it.
    pub(crate) fn endless_action(
        &self,
        root: DirectoryDigest,
        number: usize,
        cache: &Path,
    ) -> PathBuf {
        let action = marked(
            root,
            "exec sleep 1000",
            &format!("runner {number}"),
            &self.folder,
        );
        for blob in &action.parts {
            let digest = BlobDigest::of(blob);
            let (folder, name) = (digest.hex()[..2].to_owned(), digest.hex()[2..].to_owned());
            let path = cache.join("cas/objects").join(folder).join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, blob).unwrap();
        }
        let path = self.folder.join("action");
        fs::write(&path, action.action.encode_to_vec()).unwrap();
        path
    }
}

/// An action whose processes can be told from all others.
fn marked(root: DirectoryDigest, script: &str, name: &str, mark: &Path) -> ShellAction {
    let variables = [(MARK, mark.to_str().unwrap())];
    ShellAction::new(root, script, name, &variables, &[])
}

impl Task {
    fn note(&self, note: impl FnOnce(&mut Acknowledged)) {
        note(&mut self.acknowledged.lock().unwrap());
    }

    /// Uploads some blobs in one call; gives those that were taken.
    async fn upload(&self, blobs: Vec<Vec<u8>>) -> Result<Vec<BlobDigest>, Status> {
        let said = upload(&self.channel, blobs).await?.into_iter();
        let taken = said.filter(|(_, code)| *code == Code::Ok);
        let taken: Vec<_> = taken.map(|(digest, _)| digest).collect();
        self.note(|acknowledged| acknowledged.blobs.extend(&taken));
        Ok(taken)
    }

    async fn uploads_batches(mut self) -> Status {
        loop {
            let count = 1 + self.random.below(20);
            let blobs = (0..count).map(|_| {
                let length = 1 + self.random.below(10_000);
                self.random.bytes(length)
            });
            let blobs = blobs.collect();
            if let Err(status) = self.upload(blobs).await {
                return status;
            }
        }
    }

    async fn uploads_streams(mut self) -> Status {
        loop {
            let length = 100_000 + self.random.below(1_500_000);
            let content = self.random.bytes(length);
            match upload_stream(&self.channel, &content, self.random.next()).await {
                Ok(digest) => self.note(|acknowledged| acknowledged.blobs.push(digest)),
                Err(status) => return status,
            }
        }
    }

    /// Makes a folder and has it captured.
    async fn captures(mut self) -> Status {
        let folder = self.folder.join("captured");
        loop {
            let _ = fs::remove_dir_all(&folder);
            for file in 0..self.random.below(8) {
                let path = folder.join(format!("{}/{file}", file % 3));
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                let length = self.random.below(50_000);
                fs::write(path, self.random.bytes(length)).unwrap();
            }
            fs::create_dir_all(&folder).unwrap();
            let request = CaptureTreeRequest {
                path: vec![folder.to_str().unwrap().to_owned()],
                output_directory_format: Format::TreeAndDirectory as i32,
                ..Default::default()
            };
            let captured = match LocalCas::new(self.channel.clone())
                .capture_tree(request)
                .await
            {
                Ok(captured) => captured.into_inner(),
                Err(status) => return status,
            };
            let one = &captured.responses[0];
            if one.status.as_ref().is_none_or(|status| status.code == 0) {
                let root = DirectoryDigest::required(one.root_directory_digest.as_ref()).unwrap();
                let tree = BlobDigest::required(one.tree_digest.as_ref()).unwrap();
                self.note(|acknowledged| {
                    acknowledged.trees.push(root);
                    acknowledged.blobs.push(tree);
                });
            }
        }
    }

    async fn updates_results(mut self) -> Status {
        loop {
            let length = 1 + self.random.below(30_000);
            let output = self.random.bytes(length);
            let taken = match self.upload(vec![output]).await {
                Ok(taken) => taken,
                Err(status) => return status,
            };
            let Some(output) = taken.first() else {
                continue;
            };
            let action = ActionDigest::of(&self.random.bytes(16));
            let result = reapi::ActionResult {
                output_files: vec![reapi::OutputFile {
                    path: "out".into(),
                    digest: Some((*output).into()),
                    ..Default::default()
                }],
                ..Default::default()
            };
            let request = reapi::UpdateActionResultRequest {
                action_digest: Some(action.into()),
                action_result: Some(result.clone()),
                ..Default::default()
            };
            let mut cache = ActionCacheClient::new(self.channel.clone());
            match cache.update_action_result(request).await {
                Ok(_) => self.note(|acknowledged| {
                    acknowledged.results.insert(action, result);
                }),
                // What it names may have gone already.
                Err(status)
                    if matches!(status.code(), Code::NotFound | Code::FailedPrecondition) => {}
                Err(status) => return status,
            }
        }
    }

    /// Executes commands one after another.
    async fn executes(mut self, root: DirectoryDigest, script: &str) -> Status {
        loop {
            let name = self.random.next().to_string();
            if let Err(status) = self.execute(root, script, &name).await {
                return status;
            }
        }
    }

    async fn execute(&self, root: DirectoryDigest, script: &str, name: &str) -> Result<(), Status> {
        let action = marked(root, script, name, &self.folder);
        self.upload(action.blobs()).await?;
        if let Some(response) = execute(&self.channel, action.digest()).await? {
            let result = went_well(response);
            let outputs = (result.output_files.len(), result.output_directories.len());
            assert_eq!(outputs, (1, 1), "{result:?}");
            self.note(|acknowledged| {
                acknowledged.results.insert(action.digest(), result);
                acknowledged.executed += 1;
            });
        }
        Ok(())
    }

    /// Stages a tree for a moment, and again.
    async fn stages(mut self, read_only: bool) -> Status {
        loop {
            if let Err(status) = self.stage(read_only).await {
                return status;
            }
        }
    }

    async fn stage(&mut self, read_only: bool) -> Result<(), Status> {
        let content = self.random.bytes(1000);
        let script = BlobDigest::of(&content);
        let mut blobs = vec![content];
        // What is only read may be so large that it is shown and not made.
        let root = match read_only && self.random.below(2) == 0 {
            true => {
                let folder = tree_of(script, 100);
                blobs.push(folder.encode().to_vec());
                let mut root = tree_of(script, 1);
                for number in 0..101 {
                    let name = Name::new(&format!("folder-{number}")).unwrap();
                    root.entries.insert(name, Node::Directory(folder.digest()));
                }
                root
            }
            false => tree_of(script, 1),
        };
        blobs.push(root.encode().to_vec());
        let all = blobs.len();
        if self.upload(blobs).await?.len() < all {
            return Ok(());
        }
        let (requests, receiver) = tokio::sync::mpsc::channel(2);
        let request = StageTreeRequest {
            root_digest: Some(root.digest().into()),
            read_only,
            remote_apis_socket_path: "socket".into(),
            ..Default::default()
        };
        let _ = requests.send(request).await;
        let mut local = LocalCas::new(self.channel.clone());
        let staged = local.stage_tree(ReceiverStream::new(receiver)).await?;
        let mut staged = staged.into_inner();
        // With an eviction in between there may be nothing to stage.
        let first = match staged.message().await {
            Err(status) if status.code() == Code::NotFound => return Ok(()),
            first => first?.unwrap_or_default(),
        };
        if let Ok(content) = fs::read(Path::new(&first.path).join("file")) {
            assert_eq!(BlobDigest::of(&content), script);
        }
        let _ = requests.send(StageTreeRequest::default()).await;
        staged.message().await?;
        Ok(())
    }
}

/// A tree with so many files, all the same.
fn tree_of(file: BlobDigest, files: usize) -> Directory {
    let names = (0..files).map(|number| match number {
        0 => Name::new("file"),
        _ => Name::new(&format!("file-{number}")),
    });
    let file = Node::File(FileNode::new(file, false));
    Directory {
        entries: names.map(|name| (name.unwrap(), file.clone())).collect(),
        ..Directory::default()
    }
}
