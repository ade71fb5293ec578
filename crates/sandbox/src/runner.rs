//! A sandbox from beginning to end: stage, run, capture, clean up.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use headstart_execution::{
    BoxFuture, CancellationToken, Sandbox, SandboxError, SandboxOutcome, SandboxRequest, Streams,
    WritablePaths,
};
use headstart_merkle::{DirectoryDigest, DirectoryReader, Node, TreeError, TreePath};
use headstart_store::{Directories, LocalBlobs, StoreError};
use headstart_store_disk::Layout;

use crate::available::reason;
use crate::capture::Layers;
use crate::folders;
use crate::init::ARGUMENT;
use crate::protocol::{Orders, Report, receive, send};
use crate::stage::Stager;

/// The program that is started as the init process of sandboxes; it calls
/// [`crate::init_if_requested`] first thing.
#[derive(Debug, Clone)]
pub struct InitProgram(PathBuf);

impl Default for InitProgram {
    /// This program itself.
    fn default() -> Self {
        Self("/proc/self/exe".into())
    }
}

impl InitProgram {
    /// Another program.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    fn command(&self, socket: UnixStream) -> Command {
        let mut command = Command::new(&self.0);
        command
            .arg0("headstart-sandbox")
            .arg(ARGUMENT)
            .stdin(OwnedFd::from(socket));
        command
    }

    /// Makes the namespaces of a sandbox and nothing else; gives what the system refused.
    pub(crate) fn probe(&self) -> Result<(), String> {
        let nowhere = PathBuf::from("/nonexistent");
        let orders = Orders {
            lower: Vec::new(),
            upper: nowhere.clone(),
            work: nowhere.clone(),
            root: nowhere.clone(),
            arguments: Vec::new(),
            environment: Vec::new(),
            working_directory: nowhere,
            writable: None,
            uid: 0,
            gid: 0,
            network: false,
            socket: None,
            nice: 0,
        };
        let probe = || -> io::Result<Report> {
            let (mut ours, theirs) = UnixStream::pair()?;
            let mut child = self.command(theirs).spawn()?;
            send(&mut ours, &orders)?;
            let report = receive(&mut ours);
            child.wait()?;
            report
        };
        match probe() {
            // Without folders the overlay can't be mounted; getting there is what was asked for.
            Ok(Report::Failed { step, .. }) if step == "mount the overlay" => Ok(()),
            Ok(Report::Unavailable(refused)) => Err(refused),
            Ok(Report::Failed { step, reason }) => Err(format!("{step}: {reason}")),
            Ok(Report::Exited(_) | Report::NoProgram) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Sandboxes made of Linux namespaces.
pub struct NativeSandbox(Arc<Inner>);

struct Inner {
    init: InitProgram,
    /// This sandbox maker's own folder, below one of the process; removed at the end.
    folder: PathBuf,
    store: Arc<Directories<dyn LocalBlobs>>,
    stager: Stager,
    number: AtomicU64,
}

impl Drop for Inner {
    fn drop(&mut self) {
        folders::remove(&self.folder);
        // The process's folder, unless others of this process still have theirs in it.
        if let Some(parent) = self.folder.parent() {
            let _ = fs::remove_dir(parent);
        }
    }
}

impl NativeSandbox {
    /// Sandboxes over `store`, whose folders lie in the same cache directory; what processes that
    /// were killed left there is removed.
    pub fn new(layout: &Layout, store: Arc<dyn LocalBlobs>, init: InitProgram) -> Self {
        static INSTANCE: AtomicU64 = AtomicU64::new(0);
        let parent = layout.own().join("sandboxes");
        folders::sweep(&parent);
        let instance = INSTANCE.fetch_add(1, Ordering::Relaxed);
        let folder = parent
            .join(folders::process_name())
            .join(instance.to_string());
        let store = Arc::new(Directories::new(store));
        let stager = Stager::new(folder.join("trees"), Arc::clone(&store));
        let number = AtomicU64::new(0);
        Self(Arc::new(Inner {
            init,
            folder,
            store,
            stager,
            number,
        }))
    }
}

impl Sandbox for NativeSandbox {
    fn run(
        &self,
        request: SandboxRequest,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<SandboxOutcome, SandboxError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let ending = Arc::new(Ending::default());
            let timeout = request.timeout;
            let running = {
                let (inner, ending) = (Arc::clone(&inner), Arc::clone(&ending));
                tokio::task::spawn_blocking(move || inner.run(&request, &ending))
            };
            tokio::pin!(running);
            let joined = tokio::select! {
                joined = &mut running => joined,
                () = cancel.cancelled() => {
                    ending.end();
                    let _ = running.await;
                    return Err(SandboxError::Cancelled);
                }
                () = after(timeout) => {
                    ending.end();
                    let _ = running.await;
                    return Err(SandboxError::TimedOut(timeout.unwrap_or_default()));
                }
            };
            joined.unwrap_or_else(|error| {
                Err(SandboxError::Step {
                    step: "run the sandbox".into(),
                    reason: error.to_string(),
                })
            })
        })
    }
}

async fn after(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep(timeout).await,
        None => std::future::pending().await,
    }
}

/// Ends a sandbox from outside: closing the socket makes its init kill everything.
#[derive(Default)]
struct Ending {
    ended: AtomicBool,
    socket: Mutex<Option<UnixStream>>,
}

impl Ending {
    fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        if let Some(socket) = &*self.socket.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Hands over the socket; says whether the end has come before it.
    fn watch(&self, socket: UnixStream) -> bool {
        *self.socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket);
        self.ended.load(Ordering::SeqCst)
    }
}

/// A sandbox's own folder, removed at the end.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        folders::remove(&self.0);
    }
}

impl Inner {
    fn run(
        &self,
        request: &SandboxRequest,
        ending: &Arc<Ending>,
    ) -> Result<SandboxOutcome, SandboxError> {
        let begun = Instant::now();
        let input = self.stager.stage(request.input_root)?;
        let base = request
            .base_root
            .map(|root| self.stager.stage_base(root))
            .transpose()?;
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let scratch = Scratch(self.folder.join(format!("run-{number}")));
        let prepared = Prepared::new(request, &scratch.0, &self.store)?;
        let lower = [Some(&input), base.as_ref()].into_iter().flatten();
        let orders = Orders {
            lower: lower.map(|tree| tree.path().to_owned()).collect(),
            upper: prepared.upper.clone(),
            work: scratch.0.join("work"),
            root: scratch.0.join("root"),
            arguments: request.arguments.clone(),
            environment: request.environment.clone(),
            working_directory: Path::new("/").join(request.working_directory.as_str()),
            writable: prepared.writable.clone(),
            uid: request.uid,
            gid: request.gid,
            network: request.network,
            socket: request
                .socket
                .as_ref()
                .map(|socket| (socket.host.clone(), PathBuf::from(prepared.socket.as_str()))),
            nice: request.nice,
        };
        let staging = begun.elapsed();
        let started = Instant::now();
        let ended = self.execute(request, &orders, ending)?;
        let running = started.elapsed();

        let capturing = Instant::now();
        let lower: Vec<DirectoryDigest> = [Some(request.input_root), request.base_root]
            .into_iter()
            .flatten()
            .collect();
        let own = [prepared.socket.clone()];
        let layers = Layers {
            upper: &prepared.upper,
            lower: &lower,
            own: &own,
            store: &self.store,
        };
        let mut outputs = Vec::new();
        for (path, resolved) in request.outputs.iter().zip(&prepared.outputs) {
            if let Some(node) = layers.capture(resolved)? {
                outputs.push((path.clone(), node));
            }
        }
        let capturing = capturing.elapsed();
        let Ended {
            exit_code,
            stdout,
            stderr,
        } = ended;
        Ok(SandboxOutcome {
            exit_code,
            stdout,
            stderr,
            outputs,
            staging,
            running,
            capturing,
        })
    }

    fn execute(
        &self,
        request: &SandboxRequest,
        orders: &Orders,
        ending: &Arc<Ending>,
    ) -> Result<Ended, SandboxError> {
        let failed = |step: &str, error: io::Error| SandboxError::Step {
            step: step.to_owned(),
            reason: error.to_string(),
        };
        let (mut ours, theirs) =
            UnixStream::pair().map_err(|error| failed("make a socket", error))?;
        let mut command = self.init.command(theirs);
        let log = match &request.streams {
            Streams::Captured { .. } => {
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
                None
            }
            Streams::Log(path) => {
                let log = OpenOptions::new().append(true).create(true).open(path);
                let log =
                    log.map_err(|error| failed(&format!("open {}", path.display()), error))?;
                let copy = log
                    .try_clone()
                    .map_err(|error| failed("open the log", error))?;
                command.stdout(log).stderr(copy);
                Some(())
            }
        };
        let mut child = command
            .spawn()
            .map_err(|error| failed("start the sandbox's init", error))?;
        // The command holds the other end of the socket until it is dropped.
        drop(command);
        let socket = ours
            .try_clone()
            .map_err(|error| failed("watch the sandbox", error))?;
        if ending.watch(socket) {
            ending.end();
        }
        let readers = match (&request.streams, log) {
            (Streams::Captured { limit }, None) => Some(Readers::start(&mut child, *limit, ending)),
            _ => None,
        };
        let report = send(&mut ours, orders).and_then(|()| receive::<Report>(&mut ours));
        let _ = child.wait();
        let (stdout, stderr) = match readers {
            Some(readers) => readers.finish()?,
            None => (Bytes::new(), Bytes::new()),
        };
        match report {
            Ok(Report::Exited(exit_code)) => Ok(Ended {
                exit_code,
                stdout,
                stderr,
            }),
            Ok(Report::NoProgram) => Err(no_program(request)),
            Ok(Report::Unavailable(refused)) => Err(SandboxError::Unavailable(reason(&refused))),
            Ok(Report::Failed { step, reason }) => Err(SandboxError::Step { step, reason }),
            Err(_) if ending.ended.load(Ordering::SeqCst) => Err(SandboxError::Cancelled),
            Err(error) => Err(failed("hear from the sandbox's init", error)),
        }
    }
}

fn no_program(request: &SandboxRequest) -> SandboxError {
    let program = request.arguments.first().cloned().unwrap_or_default();
    let path = request.environment.iter().find(|(name, _)| name == "PATH");
    let expected = match path {
        _ if program.contains('/') => "there, with its interpreter and libraries".to_owned(),
        Some((_, path)) => format!("in one of {path}"),
        None => "in the system's default folders, as PATH is not set".to_owned(),
    };
    SandboxError::NoProgram { program, expected }
}

struct Ended {
    exit_code: i32,
    stdout: Bytes,
    stderr: Bytes,
}

/// Threads that read what a command writes, so that it never waits for them.
struct Readers {
    stdout: JoinHandle<io::Result<Vec<u8>>>,
    stderr: JoinHandle<io::Result<Vec<u8>>>,
    limit: usize,
}

impl Readers {
    fn start(child: &mut Child, limit: usize, ending: &Arc<Ending>) -> Self {
        let read = |stream: Option<Box<dyn Read + Send>>| {
            let ending = Arc::clone(ending);
            std::thread::spawn(move || {
                let mut content = Vec::new();
                let Some(mut stream) = stream else {
                    return Ok(content);
                };
                stream
                    .by_ref()
                    .take(limit as u64 + 1)
                    .read_to_end(&mut content)?;
                if content.len() > limit {
                    ending.end();
                }
                Ok(content)
            })
        };
        let stdout = child
            .stdout
            .take()
            .map(|stream| Box::new(stream) as Box<dyn Read + Send>);
        let stderr = child
            .stderr
            .take()
            .map(|stream| Box::new(stream) as Box<dyn Read + Send>);
        Self {
            stdout: read(stdout),
            stderr: read(stderr),
            limit,
        }
    }

    fn finish(self) -> Result<(Bytes, Bytes), SandboxError> {
        let limit = self.limit;
        let content = |thread: JoinHandle<io::Result<Vec<u8>>>| match thread.join() {
            Ok(Ok(content)) if content.len() > limit => Err(SandboxError::TooMuchOutput { limit }),
            Ok(Ok(content)) => Ok(Bytes::from(content)),
            Ok(Err(error)) => Err(SandboxError::Step {
                step: "read what the command said".into(),
                reason: error.to_string(),
            }),
            Err(_) => Err(SandboxError::Step {
                step: "read what the command said".into(),
                reason: "the reader panicked".into(),
            }),
        };
        let (stdout, stderr) = (content(self.stdout), content(self.stderr));
        Ok((stdout?, stderr?))
    }
}

/// The upper layer before the command starts: the directories that must be there.
struct Prepared {
    upper: PathBuf,
    /// Where the outputs really are, symbolic links of the trees followed.
    outputs: Vec<TreePath>,
    writable: Option<Vec<PathBuf>>,
    socket: TreePath,
}

impl Prepared {
    fn new(
        request: &SandboxRequest,
        scratch: &Path,
        store: &Directories<dyn LocalBlobs>,
    ) -> Result<Self, SandboxError> {
        let failed = |path: &Path, error: io::Error| match error.kind() {
            io::ErrorKind::StorageFull => SandboxError::Store(StoreError::Full(path.to_owned())),
            _ => SandboxError::Step {
                step: format!("make {}", path.display()),
                reason: error.to_string(),
            },
        };
        let upper = scratch.join("upper");
        for folder in [&upper, &scratch.join("work"), &scratch.join("root")] {
            fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        }
        let roots: Vec<_> = [Some(request.input_root), request.base_root]
            .into_iter()
            .flatten()
            .collect();
        let resolve = |path: &TreePath| resolve(path, &roots, store);
        let make = |path: &TreePath| -> Result<TreePath, SandboxError> {
            let path = resolve(path)?;
            let folder = upper.join(path.as_str());
            fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
            Ok(path)
        };
        for place in ["dev", "proc"] {
            make(&TreePath::new(place).unwrap_or_default())?;
        }
        let tmp = make(&TreePath::new("tmp").unwrap_or_default())?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
        let folder = upper.join(tmp.as_str());
        fs::set_permissions(&folder, mode).map_err(|error| failed(&folder, error))?;
        make(&request.working_directory)?;
        let mut outputs = Vec::new();
        for output in &request.outputs {
            outputs.push(match output.split() {
                Some((parent, name)) => make(&parent)?.child(&name),
                None => TreePath::root(),
            });
        }
        let writable = match &request.writable {
            WritablePaths::All => None,
            WritablePaths::Only(paths) => {
                let mut writable = vec![PathBuf::from(tmp.as_str())];
                for path in paths
                    .iter()
                    .filter(|path| !matches!(path.as_str(), "dev" | "proc" | "tmp"))
                {
                    writable.push(make(path)?.as_str().into());
                }
                Some(writable)
            }
        };
        let mut socket = TreePath::default();
        if let Some(mount) = &request.socket
            && let Some((parent, name)) = mount.inside.split()
        {
            socket = make(&parent)?.child(&name);
            let path = upper.join(socket.as_str());
            File::create(&path).map_err(|error| failed(&path, error))?;
        }
        Ok(Self {
            upper,
            outputs,
            writable,
            socket,
        })
    }
}

/// Follows the symbolic links of the trees on the way to `path`, so that a directory made there in
/// the upper layer hides none of them. What is not there stays as it is.
fn resolve(
    path: &TreePath,
    roots: &[DirectoryDigest],
    store: &Directories<dyn LocalBlobs>,
) -> Result<TreePath, SandboxError> {
    let mut pending: Vec<String> = path.components().rev().map(str::to_owned).collect();
    let mut resolved: Vec<String> = Vec::new();
    let mut followed = 0;
    while let Some(name) = pending.pop() {
        match name.as_str() {
            "." | "" => continue,
            ".." => {
                resolved.pop();
                continue;
            }
            _ => resolved.push(name),
        }
        let here = TreePath::normalized(&resolved.join("/")).unwrap_or_default();
        if let Some(target) = link_at(&here, roots, store)? {
            followed += 1;
            if followed > 40 {
                let step = format!("make {path}");
                let reason = "too many symbolic links on the way".to_owned();
                return Err(SandboxError::Step { step, reason });
            }
            resolved.pop();
            if target.starts_with('/') {
                resolved.clear();
            }
            pending.extend(target.split('/').rev().map(str::to_owned));
        }
    }
    Ok(TreePath::normalized(&resolved.join("/")).unwrap_or_default())
}

/// The target of the symbolic link at `path`, if there is one.
fn link_at(
    path: &TreePath,
    roots: &[DirectoryDigest],
    store: &Directories<dyn LocalBlobs>,
) -> Result<Option<String>, SandboxError> {
    let failed = |error: TreeError| match error {
        TreeError::Missing(digest) => SandboxError::Store(StoreError::Missing(digest)),
        error => SandboxError::Step {
            step: format!("find {path}"),
            reason: error.to_string(),
        },
    };
    'roots: for root in roots {
        let mut directory = store.read_directory(*root).map_err(failed)?;
        let mut components = path.components().peekable();
        while let Some(name) = components.next() {
            match directory.entries.get(name) {
                Some(Node::Symlink(link)) if components.peek().is_none() => {
                    return Ok(Some(link.target.to_string()));
                }
                Some(Node::Directory(child)) if components.peek().is_some() => {
                    directory = store.read_directory(*child).map_err(failed)?;
                }
                Some(_) => return Ok(None),
                None => continue 'roots,
            }
        }
    }
    Ok(None)
}
