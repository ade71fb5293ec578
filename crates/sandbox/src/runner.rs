//! A sandbox from beginning to end: stage, run, capture, clean up.

use std::fs::{self, OpenOptions};
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use headstart_execution::{
    BoxFuture, CancellationToken, Sandbox, SandboxError, SandboxOutcome, SandboxRequest, Streams,
};
use headstart_merkle::DirectoryDigest;
use headstart_sandbox_init::{Orders, Report, Role, send};
use headstart_store::{Directories, LocalBlobs};
use headstart_store_disk::{Layout, process_name};

use crate::available::reason;
use crate::capture::Layers;
use crate::folders;
use crate::nursery::{Nurseries, Nursery};
use crate::prepare::{Prepared, not_made};
use crate::program;
use crate::scratch::Scratches;
use crate::shown;
use crate::stage::{SHOWN_FROM, StagedTree, Stager};
use crate::streams::{Heard, listen};
use crate::terminal;

/// Sandboxes made of Linux namespaces.
pub struct NativeSandbox(Arc<Inner>);

struct Inner {
    nurseries: Nurseries,
    /// This sandbox maker's own folder, below one of the process; removed at the end.
    folder: PathBuf,
    store: Arc<Directories<dyn LocalBlobs>>,
    stager: Stager,
    scratches: Arc<Scratches>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        shown::hide(&self.folder);
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
    pub fn new(layout: &Layout, store: Arc<dyn LocalBlobs>) -> Self {
        Self::showing_from(SHOWN_FROM, layout, store)
    }

    /// The same where trees of so many entries are shown, and smaller ones made of links.
    pub fn showing_from(entries: usize, layout: &Layout, store: Arc<dyn LocalBlobs>) -> Self {
        static INSTANCE: AtomicU64 = AtomicU64::new(0);
        let parent = layout.own().join("sandboxes");
        folders::sweep(&parent);
        let instance = INSTANCE.fetch_add(1, Ordering::Relaxed);
        let folder = parent.join(process_name()).join(instance.to_string());
        let store = Arc::new(Directories::new(store));
        let stager = Stager::new(&folder, Arc::clone(&store), entries);
        let scratches = Arc::new(Scratches::new(folder.clone()));
        Self(Arc::new(Inner {
            nurseries: Nurseries::default(),
            folder,
            store,
            stager,
            scratches,
        }))
    }
}

impl NativeSandbox {
    /// A tree as a folder that must not be written to, shared with all sandboxes that use it at the
    /// same time.
    pub fn stage(&self, root: DirectoryDigest) -> Result<Arc<StagedTree>, SandboxError> {
        self.0.stager.stage(root)
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
            // A runtime that is shut down asks no more whether the action is cancelled, and waits for the thread.
            let ending = EndedWhenDropped(ending);
            tokio::pin!(running);
            let joined = tokio::select! {
                joined = &mut running => joined,
                () = cancel.cancelled() => {
                    drop(ending);
                    let _ = running.await;
                    return Err(SandboxError::Cancelled);
                }
                () = after(timeout) => {
                    drop(ending);
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
pub(crate) struct Ending {
    ended: AtomicBool,
    socket: Mutex<Option<UnixStream>>,
}

impl Ending {
    pub(crate) fn end(&self) {
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

/// Ends a sandbox when nobody waits for it any more.
struct EndedWhenDropped(Arc<Ending>);

impl Drop for EndedWhenDropped {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Inner {
    fn run(
        &self,
        request: &SandboxRequest,
        ending: &Ending,
    ) -> Result<SandboxOutcome, SandboxError> {
        let begun = Instant::now();
        let input = match &request.staged {
            Some(_) => None,
            None => Some(self.stager.stage(request.input_root)?),
        };
        let base = request
            .base_root
            .map(|root| self.stager.stage_base(root))
            .transpose()?;
        let scratch = self.scratches.take();
        let scratch = scratch.map_err(|error| not_made(&self.folder, error))?;
        let prepared = Prepared::new(request, scratch.upper(), &self.store)?;
        let lower = [input.as_deref(), base.as_deref()].into_iter().flatten();
        let lower = lower.map(|tree| tree.path().to_owned());
        let orders = Orders {
            lower: request.staged.iter().cloned().chain(lower).collect(),
            upper: prepared.upper.clone(),
            work: scratch.work(),
            root: scratch.root(),
            arguments: request.arguments.clone(),
            environment: request.environment.clone(),
            working_directory: Path::new("/").join(request.working_directory.as_str()),
            writable: prepared.writable.clone(),
            uid: request.uid,
            gid: request.gid,
            network: request.network,
            binds: prepared.binds.clone(),
            stdin: None,
            nice: request.nice,
        };
        let staging = begun.elapsed();
        let started = Instant::now();
        let ended = self.execute(request, orders, ending);
        let running = started.elapsed();
        let trees = [&input, &base].into_iter().flatten();
        if let Some(error) = trees.filter_map(|tree| tree.failure(begun)).next() {
            return Err(SandboxError::Store(error));
        }
        let ended = ended?;

        let capturing = Instant::now();
        let lower: Vec<DirectoryDigest> = [Some(request.input_root), request.base_root]
            .into_iter()
            .flatten()
            .collect();
        let layers = Layers {
            upper: &prepared.upper,
            lower: &lower,
            own: &prepared.own,
            properties: request.properties,
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

    /// Starts an init process that is asked on `socket`.
    fn start(
        &self,
        request: &SandboxRequest,
        socket: UnixStream,
        stdout: OwnedFd,
        stderr: OwnedFd,
    ) -> io::Result<Started> {
        if request.network {
            return program::command(Role::Init, socket)?
                .stdout(stdout)
                .stderr(stderr)
                .spawn()
                .map(Started::Child);
        }
        let streams = [socket.as_fd(), stdout.as_fd(), stderr.as_fd()];
        self.nurseries.ask(streams).map(Started::From)
    }

    fn execute(
        &self,
        request: &SandboxRequest,
        mut orders: Orders,
        ending: &Ending,
    ) -> Result<Ended, SandboxError> {
        let (mut ours, theirs) = UnixStream::pair().map_err(failed("make a socket"))?;
        let mut limit = 0;
        let mut streams = None;
        let started = match &request.streams {
            Streams::Inherited => {
                let stdin = inheritable_stdin().map_err(failed("pass on stdin"))?;
                orders.stdin = Some(stdin.as_raw_fd());
                let init = program::command(Role::Init, theirs);
                init.and_then(|mut init| init.spawn()).map(Started::Child)
            }
            Streams::Captured { limit: most } => {
                let (stdout, out) = io::pipe().map_err(failed("make a pipe"))?;
                let (stderr, err) = io::pipe().map_err(failed("make a pipe"))?;
                limit = *most;
                streams = Some((stdout, stderr));
                self.start(request, theirs, out.into(), err.into())
            }
            Streams::Log(path) => {
                let log = OpenOptions::new().append(true).create(true).open(path);
                let log = log.map_err(failed(&format!("open {}", path.display())))?;
                let same = log.try_clone().map_err(failed("share a log"))?;
                self.start(request, theirs, log.into(), same.into())
            }
        };
        let started = started.map_err(failed(START))?;
        let socket = ours.try_clone().map_err(failed("watch the sandbox"))?;
        if ending.watch(socket) {
            ending.end();
        }
        let sent = send(&mut ours, &orders);
        let heard = listen(&ours, streams, limit, ending);
        match started {
            Started::Child(mut child) => {
                let _ = child.wait();
                if matches!(request.streams, Streams::Inherited) {
                    terminal::take_back();
                }
            }
            // Otherwise something may still run.
            Started::From(nursery) if heard.is_ok() => self.nurseries.take_back(nursery),
            Started::From(_) => {}
        }
        let Heard {
            report,
            stdout,
            stderr,
        } = heard?;
        match sent.and(report) {
            Ok(Report::Exited(exit_code)) => Ok(Ended {
                exit_code,
                stdout,
                stderr,
            }),
            Ok(Report::NoProgram) => Err(no_program(request)),
            Ok(Report::Unavailable(refused)) => Err(SandboxError::Unavailable(reason(&refused))),
            Ok(Report::Failed { step, reason }) => Err(SandboxError::Step { step, reason }),
            Err(_) if ending.ended.load(Ordering::SeqCst) => Err(SandboxError::Cancelled),
            Err(error) => Err(failed("hear from the sandbox's init")(error)),
        }
    }
}

/// Where an init process comes from.
enum Started {
    /// It is a child of this process: where a terminal may be involved, to be in its session, and where the host's
    /// network is wanted.
    Child(Child),
    From(Nursery),
}

const START: &str = "start the sandbox's init";

fn failed(step: &str) -> impl Fn(io::Error) -> SandboxError {
    move |error| SandboxError::Step {
        step: step.to_owned(),
        reason: error.to_string(),
    }
}

/// A copy of standard input that a child keeps.
fn inheritable_stdin() -> io::Result<OwnedFd> {
    let copy = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?;
    rustix::io::fcntl_setfd(&copy, rustix::io::FdFlags::empty())?;
    Ok(copy)
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
