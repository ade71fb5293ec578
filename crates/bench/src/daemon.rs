//! The daemon beside the real buildbox-casd: the same calls, one after the other, in one run.
//!
//! Each has a cache directory of its own with the same content, and a unix socket. What is printed is
//! what each did, and how many times better ours is.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use headstart_casd::{Address, CasdOptions, Limits, serve};
use headstart_execution::CancellationToken;
use headstart_merkle::{BlobDigest, Directory, FileNode, Name, Node};
use headstart_reapi::localcas::local_content_addressable_storage_client::LocalContentAddressableStorageClient;
use headstart_reapi::localcas::{CaptureTreeRequest, FetchTreeRequest, StageTreeRequest};
use headstart_reapi::reapi;
use headstart_reapi::reapi::content_addressable_storage_client::ContentAddressableStorageClient;
use headstart_reapi::reapi::execution_client::ExecutionClient;
use headstart_reapi::resource::{read_name, write_name};
use headstart_store::BlobStore;
use headstart_store_disk::{DiskBlobs, Layout};
use tonic::transport::{Channel, Endpoint};

use crate::Failure;
use crate::figures::{median, processor_time};
use crate::nested::{ROOT_FILES, Work, execute, folder};
use crate::streams::Connection;

/// The first argument by which this program is a daemon.
pub(crate) const SERVE: &str = "serve";
const MIB: usize = 1024 * 1024;
const STREAMED: usize = 256 * MIB;
/// How many blobs of that length are written and read.
const STREAMS: u8 = 5;
const ACTIONS: usize = 100;
const IN_FLIGHT: usize = 8;
/// How many trees are fetched.
const FETCHED: usize = 5;
/// Files of a large tree that is staged, and how long each is.
const STAGED: usize = 100_000;
const STAGED_SIZE: usize = 2000;

/// How much is written before all else, in bytes: about as much as a contender writes.
const TOUCHED: usize = 2048 * MIB;
/// How long file systems remember what was removed: ext4 without a journal gives no inode to a new file for so long,
/// and looks at each of them meanwhile.
const SETTLING: Duration = Duration::from_secs(6);

/// A daemon with a cache directory of its own.
struct Contender {
    child: Child,
    channel: Channel,
    work: Work,
    store: DiskBlobs,
    folder: PathBuf,
}

impl Drop for Contender {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is measured.
struct Figure {
    name: &'static str,
    unit: &'static str,
    less_is_better: bool,
    values: Vec<f64>,
}

/// Serves `folder` at the socket in it, for the other process of this program.
pub(crate) fn serve_folder(folder: &Path) -> Result<(), Failure> {
    let options = CasdOptions {
        directory: folder.join("cache"),
        addresses: vec![Address::Unix(folder.join("socket"))],
        credentials: headstart_casd::Credentials::default(),
        socket_mode: None,
        jobs: available_parallelism().map_or(1, usize::from),
        limits: Limits::default(),
        behind: headstart_casd::Behind::default(),
        speculation: true,
    };
    headstart_allocator::for_a_server();
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(serve(options, CancellationToken::new()))?;
    Ok(())
}

/// Measures both and prints the figures.
pub(crate) fn run(peer: &Path, wanted: &[&str]) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let folder = std::env::temp_dir().join(format!("headstart-bench-{}", std::process::id()));
        let measured = compare(peer, &folder, wanted).await;
        fs::remove_dir_all(&folder)?;
        measured
    })
}

async fn compare(peer: &Path, folder: &Path, wanted: &[&str]) -> Result<(), Failure> {
    let mut figures = Vec::new();
    touch_memory(folder)?;
    for name in ["real", "ours"] {
        let folder = folder.join(name);
        let contender = Contender::start(name, peer, &folder).await?;
        measure(&contender, wanted, &mut figures).await?;
        drop(contender);
        // Who comes next is to find what this one found.
        fs::remove_dir_all(folder)?;
        tokio::time::sleep(SETTLING).await;
    }
    println!(
        "{:34} {:>12} {:>12} {:>8}",
        "", "buildbox", "headstart", "ratio"
    );
    for figure in figures {
        let [theirs, ours] = figure.values[..] else {
            continue;
        };
        let ratio = match figure.less_is_better {
            true => theirs / ours,
            false => ours / theirs,
        };
        let name = format!("{}, {}", figure.name, figure.unit);
        println!("{name:34} {theirs:>12.1} {ours:>12.1} {ratio:>7.1}x");
    }
    Ok(())
}

/// Has the system use as much memory for files as contenders will: a virtual machine gets it from its host when it is
/// first used, which takes longer than to copy something there.
fn touch_memory(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder)?;
    let path = folder.join("touched");
    let mut file = fs::File::create(&path)?;
    for _ in 0..TOUCHED / MIB {
        file.write_all(&[1; MIB])?;
    }
    fs::remove_file(path)?;
    Ok(())
}

impl Contender {
    async fn start(name: &str, peer: &Path, folder: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(folder)?;
        let store = DiskBlobs::open(&Layout::new(folder.join("cache")))?;
        let work = Work::new(&store)?;
        let socket = folder.join("socket");
        let mut command = match name {
            "ours" => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg(SERVE).arg(folder);
                command
            }
            _ => {
                let jobs = available_parallelism().map_or(1, usize::from);
                let mut command = Command::new(peer.join("buildbox-casd"));
                let path = std::env::var("PATH").unwrap_or_default();
                command
                    .env("PATH", format!("{}:{path}", peer.display()))
                    .arg(format!("--bind=unix:{}", socket.display()))
                    .arg(format!(
                        "--buildbox-run={}",
                        peer.join("buildbox-run").display()
                    ))
                    .arg(format!("--jobs={jobs}"))
                    .arg(folder.join("cache"));
                command
            }
        };
        let child = command.spawn()?;
        while !socket.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let channel = Endpoint::from_shared(format!("unix:{}", socket.display()))?
            .initial_stream_window_size(16 * MIB as u32)
            .initial_connection_window_size(16 * MIB as u32)
            .max_frame_size(MIB as u32 / 4)
            .connect()
            .await?;
        Ok(Self {
            child,
            channel,
            work,
            store,
            folder: folder.to_owned(),
        })
    }
}

/// Measures those figures whose names begin with one of `wanted`, or all if nothing is.
async fn measure(
    contender: &Contender,
    wanted: &[&str],
    figures: &mut Vec<Figure>,
) -> Result<(), Failure> {
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|it| name.starts_with(it));
    let mut note = |name, unit, less_is_better, value: f64| match figures
        .iter_mut()
        .find(|figure: &&mut Figure| figure.name == name)
    {
        Some(figure) => figure.values.push(value),
        None => figures.push(Figure {
            name,
            unit,
            less_is_better,
            values: vec![value],
        }),
    };
    note("idle memory", "MB", true, memory(contender.child.id())?);
    if wants("FindMissingBlobs") {
        let rate = find_missing(contender).await?;
        note("FindMissingBlobs", "digests/s", false, rate);
    }
    if wants("BatchUpdateBlobs") {
        let rate = batch_update(contender).await?;
        note("BatchUpdateBlobs of 512 B", "blobs/s", false, rate);
    }
    if wants("ByteStream") {
        let streamed = byte_stream(contender).await?;
        note("ByteStream write", "MiB/s", false, streamed.written);
        note("ByteStream write, CPU", "ms/GiB", true, streamed.writing);
        note("ByteStream read", "MiB/s", false, streamed.read);
        note("ByteStream read, CPU", "ms/GiB", true, streamed.reading);
    }
    if wants("CaptureTree") {
        let (first, again) = capture_tree(contender).await?;
        note("CaptureTree of 20,000 new files", "ms", true, first);
        note("CaptureTree of known ones", "ms", true, again);
    }
    if wants("FetchTree") {
        let (first, again) = fetch_tree(contender).await?;
        note("FetchTree of 20,000 files", "ms", true, first);
        note("FetchTree of the same again", "ms", true, again);
    }
    if wants("StageTree") {
        let (first, again, similar) = stage_tree(contender).await?;
        note("StageTree of 100,000 files", "ms", true, first);
        note("StageTree of the same again", "ms", true, again);
        note("StageTree of a similar one", "ms", true, similar);
    }
    if wants("trivial") {
        let (median, rate) = actions(contender).await?;
        note("trivial action, median", "ms", true, median);
        note("trivial actions, 8 in flight", "1/s", false, rate);
    }
    note(
        "memory after all that",
        "MB",
        true,
        memory(contender.child.id())?,
    );
    Ok(())
}

/// How much memory a process has resident, in MB.
fn memory(process: u32) -> Result<f64, Failure> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line
        .and_then(|line| line.split_whitespace().next())
        .ok_or("a process tells nothing of its memory")?
        .parse()?;
    Ok(kib * 1.024 / 1000.0)
}

async fn find_missing(contender: &Contender) -> Result<f64, Failure> {
    const CALLS: usize = 100;
    const DIGESTS: usize = 4000;
    let mut client = ContentAddressableStorageClient::new(contender.channel.clone())
        .max_decoding_message_size(64 * MIB);
    let digests = (0..DIGESTS).map(|number| {
        // One half of them is there.
        BlobDigest::of(format!("library {}", number * 10).as_bytes()).into()
    });
    let request = reapi::FindMissingBlobsRequest {
        blob_digests: digests.collect(),
        ..Default::default()
    };
    client.find_missing_blobs(request.clone()).await?;
    let start = Instant::now();
    for _ in 0..CALLS {
        client.find_missing_blobs(request.clone()).await?;
    }
    Ok((CALLS * DIGESTS) as f64 / start.elapsed().as_secs_f64())
}

async fn batch_update(contender: &Contender) -> Result<f64, Failure> {
    const CALLS: usize = 40;
    const BLOBS: usize = 200;
    let mut client = ContentAddressableStorageClient::new(contender.channel.clone());
    let request = |call: usize| {
        let blobs = (0..BLOBS).map(|number| {
            let data = format!("{:0512}", call * BLOBS + number).into_bytes();
            reapi::batch_update_blobs_request::Request {
                digest: Some(BlobDigest::of(&data).into()),
                data: data.into(),
                ..Default::default()
            }
        });
        reapi::BatchUpdateBlobsRequest {
            requests: blobs.collect(),
            ..Default::default()
        }
    };
    let requests: Vec<_> = (0..CALLS).map(request).collect();
    let start = Instant::now();
    for request in requests {
        client.batch_update_blobs(request).await?;
    }
    Ok((CALLS * BLOBS) as f64 / start.elapsed().as_secs_f64())
}

/// What it took to write and read long blobs.
struct Streamed {
    /// The median of all, in MiB/s.
    written: f64,
    read: f64,
    /// What the daemon had processors do, in milliseconds for each GiB.
    writing: f64,
    reading: f64,
}

async fn byte_stream(contender: &Contender) -> Result<Streamed, Failure> {
    let connection = Connection::open(&contender.folder.join("socket")).await?;
    let daemon = contender.child.id();
    let size = i64::try_from(STREAMED)?;
    let mut content = vec![7_u8; STREAMED];
    let (mut written, mut read) = (Vec::new(), Vec::new());
    let (mut writing, mut reading) = (Duration::ZERO, Duration::ZERO);
    for round in 0..STREAMS {
        content[0] = round;
        let blob = bytes::Bytes::from(content);
        let digest = BlobDigest::of(&blob);
        let name = write_name("", "bench", &digest.hex(), size);
        // The disk is not to be busy with what was written before.
        Command::new("sync").status()?;
        let (start, worked) = (Instant::now(), processor_time(daemon)?);
        connection.write(&name, &blob).await?;
        written.push(mib_per_second(start.elapsed()));
        let between = processor_time(daemon)?;
        writing += between - worked;
        let start = Instant::now();
        let came = connection.read(&read_name("", &digest.hex(), size)).await?;
        read.push(mib_per_second(start.elapsed()));
        reading += processor_time(daemon)? - between;
        // Each message has a few bytes of its own.
        if !(STREAMED..STREAMED + STREAMED / 100).contains(&came) {
            return Err(format!("{came} bytes were read of {STREAMED}").into());
        }
        content = blob.into();
    }
    let gib = (usize::from(STREAMS) * STREAMED / MIB) as f64 / 1024.0;
    Ok(Streamed {
        written: median(&mut written),
        read: median(&mut read),
        writing: millis(writing) / gib,
        reading: millis(reading) / gib,
    })
}

fn mib_per_second(took: Duration) -> f64 {
    (STREAMED / MIB) as f64 / took.as_secs_f64()
}

async fn capture_tree(contender: &Contender) -> Result<(f64, f64), Failure> {
    let tree = contender.folder.join("tree");
    for folder in 0..ROOT_FILES / 100 {
        let folder = tree.join(folder.to_string());
        fs::create_dir_all(&folder)?;
        for file in 0..100 {
            let content = format!("{} {file}\n", folder.display()).repeat(40);
            fs::write(folder.join(file.to_string()), content)?;
        }
    }
    let mut client = LocalContentAddressableStorageClient::new(contender.channel.clone());
    let request = CaptureTreeRequest {
        path: vec![tree.to_string_lossy().into_owned()],
        ..Default::default()
    };
    let mut times = Vec::new();
    for _ in 0..2 {
        let start = Instant::now();
        client.capture_tree(request.clone()).await?;
        times.push(millis(start.elapsed()));
    }
    Ok((times[0], times[1]))
}

/// What fetching a tree takes that the daemon has not met but has all of, and the same again, in milliseconds.
async fn fetch_tree(contender: &Contender) -> Result<(f64, f64), Failure> {
    let mut client = LocalContentAddressableStorageClient::new(contender.channel.clone());
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for number in 0..FETCHED {
        let root = folder(&contender.store, &format!("{number} "), ROOT_FILES)?;
        let root = contender.store.write(root.encode())?;
        let request = FetchTreeRequest {
            root_digest: Some(root.into()),
            fetch_file_blobs: true,
            ..Default::default()
        };
        for times in [&mut first, &mut again] {
            let start = Instant::now();
            client.fetch_tree(request.clone()).await?;
            times.push(millis(start.elapsed()));
        }
    }
    Ok((median(&mut first), median(&mut again)))
}

/// What staging a large tree takes, the same again, and one that differs in a file, in milliseconds.
async fn stage_tree(contender: &Contender) -> Result<(f64, f64, f64), Failure> {
    let mut root = Directory::default();
    let mut one = Directory::default();
    for folder in 0..STAGED / 100 {
        one = Directory::default();
        let mut blobs = Vec::new();
        for file in 0..100 {
            let content = bytes::Bytes::from(format!("{:0STAGED_SIZE$}", folder * 100 + file));
            let digest = BlobDigest::of(&content);
            let node = Node::File(FileNode::new(digest, false));
            one.entries.insert(Name::new(&file.to_string())?, node);
            blobs.push((digest, content));
        }
        contender.store.write_all(blobs)?;
        let digest = contender.store.write(one.encode())?.cast();
        let name = Name::new(&folder.to_string())?;
        root.entries.insert(name, Node::Directory(digest));
    }
    let first = contender.store.write(root.encode())?;
    one.entries.remove("99");
    let changed = contender.store.write(one.encode())?.cast();
    root.entries
        .insert(Name::new("999")?, Node::Directory(changed));
    let similar = contender.store.write(root.encode())?;
    let mut times = Vec::new();
    for root in [first, first, similar] {
        times.push(stage(contender, root).await?);
    }
    Ok((times[0], times[1], times[2]))
}

/// What it takes until a tree is staged, in milliseconds.
async fn stage(contender: &Contender, root: BlobDigest) -> Result<f64, Failure> {
    let mut client = LocalContentAddressableStorageClient::new(contender.channel.clone());
    let request = StageTreeRequest {
        root_digest: Some(root.into()),
        read_only: true,
        ..Default::default()
    };
    let (requests, stream) = tokio::sync::mpsc::channel(2);
    let start = Instant::now();
    requests.send(request).await?;
    let stream = tokio_stream::wrappers::ReceiverStream::new(stream);
    let mut answers = client.stage_tree(stream).await?.into_inner();
    let staged = answers.message().await?.ok_or("no tree was staged")?;
    let took = millis(start.elapsed());
    let some = Path::new(&staged.path).join("123/45");
    if fs::metadata(&some)?.len() != STAGED_SIZE as u64 {
        return Err(format!("{} is not what it should be", some.display()).into());
    }
    requests.send(StageTreeRequest::default()).await?;
    while answers.message().await?.is_some() {}
    Ok(took)
}

/// The median of actions one after another in milliseconds, and how many a second with several in flight.
async fn actions(contender: &Contender) -> Result<(f64, f64), Failure> {
    let client = ExecutionClient::new(contender.channel.clone());
    let Contender { work, store, .. } = contender;
    execute(client.clone(), work.plain_action(store)?).await?;
    let mut times = Vec::new();
    for _ in 0..ACTIONS {
        let action = work.plain_action(store)?;
        let start = Instant::now();
        execute(client.clone(), action).await?;
        times.push(millis(start.elapsed()));
    }
    let actions = (0..ACTIONS).map(|_| work.plain_action(store));
    let actions: Vec<_> = actions.collect::<Result<_, _>>()?;
    let start = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for share in actions.chunks(ACTIONS.div_ceil(IN_FLIGHT)) {
        let (share, client) = (share.to_vec(), client.clone());
        clients.spawn(async move {
            for action in share {
                execute(client.clone(), action).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    Ok((
        median(&mut times),
        ACTIONS as f64 / start.elapsed().as_secs_f64(),
    ))
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
