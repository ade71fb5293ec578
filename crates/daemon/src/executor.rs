//! Answers requests for actions: from the cache, by joining, or by running them here.

mod beside;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use headstart_execution::{
    ActionSpec, Answered, BoxFuture, CancellationToken, Elsewhere, ExecutionError, Executor,
    Outcome, Priority, Request, Sandbox, SandboxError, SandboxOutcome, SandboxRequest, SocketMount,
    Streams, duration_of,
};
use headstart_merkle::ActionDigest;
use headstart_reapi::reapi;
use headstart_store::{
    ActionCache, BlobStore, CompletenessChecking, Directories, StoreError, StoredResult,
    named_blobs,
};
use tokio::sync::{oneshot, watch};

pub use self::beside::{ParentOutcome, ParentPlace, ParentRequest, ShellRequest};
use crate::endpoint::Endpoint;
use crate::farm::{Farm, Where};
use crate::parents::{ParentRun, Parents};
use crate::queue::{Added, Left, Queue};
use crate::runner::{Manner, SandboxedAction, socket_path};
use crate::tenant::{Tenant, nobody_to_tell};

/// How much an action may write to each of its streams, in bytes.
const STREAM_LIMIT: usize = 64 * 1024 * 1024;
/// What is added to the niceness of what nobody waits for yet.
const SPECULATIVE_NICE: i32 = 10;

/// What an executor works with.
#[derive(Clone)]
pub struct Resources {
    /// Where inputs are and outputs go.
    pub store: Arc<dyn BlobStore>,
    /// Where results are remembered. Answers whose outputs are gone are not used.
    pub cache: Arc<dyn ActionCache>,
    /// Where commands run.
    pub sandbox: Arc<dyn Sandbox>,
    /// How many actions run at a time; at least one.
    pub slots: usize,
}

/// Executes actions on this machine.
#[derive(Clone)]
pub struct LocalExecutor(Arc<Inner>);

struct Inner {
    directories: Directories<dyn BlobStore>,
    cache: CompletenessChecking<Arc<dyn ActionCache>, Arc<dyn BlobStore>>,
    sandbox: Arc<dyn Sandbox>,
    state: Mutex<State>,
    /// Who follows actions that ask for others.
    parents: OnceLock<Weak<dyn Parents>>,
    farm: OnceLock<Farm>,
}

type Answer = Result<Outcome, Arc<ExecutionError>>;

/// A job's key: the action, and a number that only jobs which must not be shared have.
pub(crate) type JobKey = (ActionDigest, u64);

struct State {
    queue: Queue<JobKey, oneshot::Sender<Answer>>,
    jobs: HashMap<JobKey, Arc<Job>>,
    unshared: u64,
}

struct Job {
    spec: ActionSpec,
    skip_cache_lookup: bool,
    queued: SystemTime,
    cancel: CancellationToken,
    /// Whether its command has been started.
    started: watch::Sender<bool>,
}

impl LocalExecutor {
    /// An executor with nothing in flight.
    pub fn new(resources: Resources) -> Self {
        Self(Arc::new(Inner {
            cache: CompletenessChecking::new(resources.cache, Arc::clone(&resources.store)),
            directories: Directories::new(resources.store),
            sandbox: resources.sandbox,
            state: Mutex::new(State {
                queue: Queue::new(resources.slots),
                jobs: HashMap::new(),
                unshared: 0,
            }),
            parents: OnceLock::new(),
            farm: OnceLock::new(),
        }))
    }

    /// Has all actions followed that ask for others, as long as `parents` lives. Only the first who
    /// wants it is told.
    pub fn followed_by(&self, parents: &Arc<dyn Parents>) {
        let _ = self.0.parents.set(Arc::downgrade(parents));
    }

    /// Has actions executed elsewhere, and here, `here` at a time, only while that is not possible. Only
    /// the first farm counts.
    pub fn executes_on(&self, machines: Arc<dyn Elsewhere>, here: usize) {
        let _ = self.0.farm.set(Farm::new(machines, here));
    }

    /// Begins to follow a parent, if anybody does.
    pub(crate) fn follow(&self, parent: ActionDigest) -> Option<Arc<dyn ParentRun>> {
        let parents = self.0.parents.get()?.upgrade()?;
        Some(parents.begin(parent))
    }

    /// Where inputs are and outputs go.
    pub fn store(&self) -> &Arc<dyn BlobStore> {
        self.0.directories.store()
    }

    /// Directories of the store, with those met of late in memory.
    pub fn directories(&self) -> &Directories<dyn BlobStore> {
        &self.0.directories
    }

    /// The action cache, checked for completeness.
    pub fn cache(&self) -> &dyn ActionCache {
        &self.0.cache
    }

    /// Runs an action in the sandbox, with an endpoint for `tenant` if it asks for one.
    async fn run(
        &self,
        spec: &ActionSpec,
        tenant: Tenant,
        manner: Manner,
        queued: SystemTime,
        cancel: &CancellationToken,
    ) -> Result<(reapi::ActionResult, Duration), ExecutionError> {
        let endpoint = match socket_path(spec)? {
            None => None,
            Some(inside) => {
                let endpoint = Endpoint::open(tenant.clone(), &inside)
                    .map_err(|error| ExecutionError::Service(error.to_string()))?;
                Some((endpoint, inside))
            }
        };
        let socket = endpoint.as_ref().map(|(endpoint, inside)| SocketMount {
            host: endpoint.socket().to_owned(),
            inside: inside.clone(),
        });
        let manner = Manner { socket, ..manner };
        let action = SandboxedAction::new(spec.clone(), manner, self.directories())?;
        let outcome = self.run_sandbox(&action.request, cancel).await;
        if let Some((endpoint, _)) = endpoint {
            endpoint.close().await;
        }
        let outcome = outcome.map_err(|error| match error {
            SandboxError::Cancelled => ExecutionError::Cancelled,
            SandboxError::TimedOut(bound) => ExecutionError::TimedOut {
                action: spec.digest,
                seconds: bound.as_secs(),
            },
            error => error.into(),
        })?;
        let duration = outcome.running;
        let mut result = action.result(outcome, queued, self.directories())?;
        result.subactions = tenant.take_asked().into_iter().map(Into::into).collect();
        Ok((result, duration))
    }

    /// Runs a command; what its trees lack here is brought from the store behind this one.
    async fn run_sandbox(
        &self,
        request: &SandboxRequest,
        cancel: &CancellationToken,
    ) -> Result<SandboxOutcome, SandboxError> {
        let run = || self.0.sandbox.run(request.clone(), cancel.clone());
        let lacking = match run().await {
            Err(SandboxError::Store(error)) if self.store().is_backed() => error,
            outcome => return outcome,
        };
        if !matches!(lacking, StoreError::Missing(_) | StoreError::Damaged { .. }) {
            return Err(lacking.into());
        }
        let store = Arc::clone(self.store());
        let roots = [Some(request.input_root), request.base_root];
        let brought = tokio::task::spawn_blocking(move || {
            let mut roots = roots.into_iter().flatten();
            roots.try_for_each(|root| match store.bring_tree(root, true)?.first() {
                None => Ok(()),
                Some(nowhere) => Err(StoreError::Missing(*nowhere)),
            })
        });
        brought.await.unwrap_or(Err(lacking))?;
        run().await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A result of the action that is known here or elsewhere.
    pub(crate) async fn find_result(
        &self,
        action: ActionDigest,
        priority: Priority,
    ) -> Result<Option<Outcome>, ExecutionError> {
        if let Some(outcome) = self.look_up(action)? {
            if let Some(farm) = self.0.farm.get() {
                farm.share(action, &outcome.result, priority).await;
            }
            return Ok(Some(outcome));
        }
        let Some(farm) = self.0.farm.get() else {
            return Ok(None);
        };
        let found = farm.look_up(action, priority).await?;
        if let Some(outcome) = &found {
            self.0.cache.put(action, &outcome.result)?;
        }
        Ok(found)
    }

    /// Remembers the result of an action, elsewhere too.
    pub(crate) async fn keep_result(
        &self,
        action: ActionDigest,
        result: &StoredResult,
    ) -> Result<(), ExecutionError> {
        self.0.cache.put(action, result)?;
        if let Some(farm) = self.0.farm.get() {
            farm.keep(action, result).await;
        }
        Ok(())
    }

    /// The result of a predicted action, if it is known here. That it can't be read is logged.
    pub fn known(&self, action: ActionDigest) -> Option<StoredResult> {
        self.cache().get(action).unwrap_or_else(|error| {
            tracing::warn!(%error, "a look-up of a predicted action failed");
            None
        })
    }

    /// A result of the action that is known here.
    fn look_up(&self, action: ActionDigest) -> Result<Option<Outcome>, ExecutionError> {
        Ok(self.0.cache.get(action)?.map(|result| Outcome {
            duration: duration_of(result.message()),
            answered: Answered::Cached,
            result,
        }))
    }

    /// Executes an action as [`Executor::execute`] does, and calls `tell` when its command is
    /// started, by this request or an earlier one: not if the result is known.
    pub async fn execute_and_tell(
        &self,
        request: Request,
        tell: impl Fn() + Send + Sync,
    ) -> Result<Outcome, ExecutionError> {
        let spec = ActionSpec::read(request.action, self.store().as_ref())?;
        let skip_cache_lookup = request.skip_cache_lookup || spec.do_not_cache;
        if !skip_cache_lookup {
            let found = self.find_result(request.action, request.priority);
            if let Some(outcome) = found.await? {
                return Ok(outcome);
            }
        }
        loop {
            let spec = spec.clone();
            let (mut waiting, joined) = self.enqueue(spec, request.priority, skip_cache_lookup);
            self.start_jobs();
            let mut job = waiting.started.take();
            let answer = loop {
                tokio::select! {
                    biased;
                    answer = &mut waiting.answer => break answer,
                    () = request.cancel.cancelled() => return Err(ExecutionError::Cancelled),
                    () = started(&mut job) => {
                        job = None;
                        tell();
                    }
                }
            };
            let lost = || ExecutionError::Service("the job ended without an answer".to_owned());
            match answer.map_err(|_| lost())? {
                Ok(outcome) => {
                    if let Some(farm) = self.0.farm.get() {
                        farm.share(request.action, &outcome.result, request.priority)
                            .await;
                    }
                    let answered = match joined {
                        true => Answered::Joined,
                        false => outcome.answered,
                    };
                    return Ok(Outcome {
                        answered,
                        ..outcome
                    });
                }
                // What was joined had been given up by all others just before: it starts anew.
                Err(error) if joined && matches!(*error, ExecutionError::Cancelled) => {}
                Err(error) => {
                    return Err(Arc::try_unwrap(error).unwrap_or_else(ExecutionError::Joined));
                }
            }
        }
    }

    fn enqueue(&self, spec: ActionSpec, priority: Priority, skip: bool) -> (Waiting<'_>, bool) {
        let (sender, answer) = oneshot::channel();
        let mut state = self.state();
        let mut key = (spec.digest, 0);
        if spec.do_not_cache {
            state.unshared += 1;
            key.1 = state.unshared;
        }
        let (added, number) = state.queue.add(key, priority, sender);
        state.jobs.entry(key).or_insert_with(|| {
            Arc::new(Job {
                spec,
                skip_cache_lookup: skip,
                queued: SystemTime::now(),
                cancel: CancellationToken::new(),
                started: watch::Sender::new(false),
            })
        });
        let started = state.jobs.get(&key).map(|job| job.started.subscribe());
        drop(state);
        (
            Waiting {
                executor: self,
                key,
                number,
                answer,
                started,
            },
            added == Added::Joined,
        )
    }

    /// Frees the slot of a job for others while it waits for them.
    pub(crate) fn lend_slot(&self, key: JobKey) {
        self.state().queue.lend(key);
        self.start_jobs();
    }

    /// The job goes on.
    pub(crate) fn reclaim_slot(&self, key: JobKey) {
        self.state().queue.reclaim(key);
    }

    /// Starts what may be started.
    fn start_jobs(&self) {
        let mut state = self.state();
        while let Some((key, priority)) = state.queue.start() {
            let Some(job) = state.jobs.get(&key).cloned() else {
                continue;
            };
            tokio::spawn(self.clone().run_job(key, job, priority));
        }
    }

    async fn run_job(self, key: JobKey, job: Arc<Job>, priority: Priority) {
        // In a task of its own, so that a panic costs this job and not its slot.
        let task = {
            let (executor, job) = (self.clone(), Arc::clone(&job));
            tokio::spawn(async move { executor.outcome_of(key, &job, priority).await })
        };
        let answer = match task.await {
            Ok(answer) => answer,
            Err(error) => Err(ExecutionError::Service(error.to_string())),
        };
        let answer = answer.map_err(Arc::new);
        let mut state = self.state();
        let waiters = state.queue.finish(key);
        state.jobs.remove(&key);
        drop(state);
        for waiter in waiters {
            // Whoever left meanwhile is not told.
            let _ = waiter.send(answer.clone());
        }
        self.start_jobs();
    }

    async fn outcome_of(
        &self,
        key: JobKey,
        job: &Job,
        priority: Priority,
    ) -> Result<Outcome, ExecutionError> {
        // Another job for the same action may have ended between look-up and queueing.
        if !job.skip_cache_lookup
            && let Some(outcome) = self.look_up(job.spec.digest)?
        {
            return Ok(outcome);
        }
        job.started.send_replace(true);
        let begun = SystemTime::now();
        let place = match self.0.farm.get() {
            None => Where::Here(None),
            Some(farm) => {
                let skip = job.skip_cache_lookup;
                farm.run(&job.spec, priority, skip, &job.cancel).await?
            }
        };
        let (outcome, here) = match place {
            Where::There(outcome) => (*outcome, false),
            Where::Here(_permit) => (self.run_here(key, job, priority).await?, true),
        };
        let result = &outcome.result;
        if priority.is_speculative() {
            self.store().demote(&named_blobs(result.message()), begun);
        }
        if result.message().exit_code == 0 && !job.spec.do_not_cache {
            self.0.cache.put(job.spec.digest, result)?;
            if here && let Some(farm) = self.0.farm.get() {
                farm.note_made_here(job.spec.digest);
            }
        }
        Ok(outcome)
    }

    async fn run_here(
        &self,
        key: JobKey,
        job: &Job,
        priority: Priority,
    ) -> Result<Outcome, ExecutionError> {
        let is_parent = socket_path(&job.spec)?.is_some() && !priority.is_speculative();
        let digest = job.spec.digest;
        let parent = is_parent.then(|| self.follow(digest)).flatten();
        let tenant = Tenant::of_job(
            self.clone(),
            parent
                .clone()
                .map_or_else(nobody_to_tell, ParentRun::recorder),
            (key, priority),
            job.cancel.child_token(),
        );
        let mut manner = manner(Streams::Captured {
            limit: STREAM_LIMIT,
        });
        if priority.is_speculative() {
            manner.nice = SPECULATIVE_NICE;
        }
        let ran = self.run(&job.spec, tenant, manner, job.queued, &job.cancel);
        let ran = ran.await;
        if let Some(parent) = parent {
            parent.ended(matches!(&ran, Ok((result, _)) if result.exit_code == 0));
        }
        let (result, duration) = ran?;
        Ok(Outcome {
            result: result.into(),
            answered: Answered::Executed,
            duration,
        })
    }
}

/// How actions are run where nothing else is said.
fn manner(streams: Streams) -> Manner {
    Manner {
        streams,
        nice: 0,
        socket: None,
        binds: Vec::new(),
        capture: true,
    }
}

/// Somebody who waits for a job; when it is dropped nobody does any more.
struct Waiting<'a> {
    executor: &'a LocalExecutor,
    key: JobKey,
    number: u64,
    answer: oneshot::Receiver<Answer>,
    started: Option<watch::Receiver<bool>>,
}

/// Returns when the job is started; never if it ends without.
async fn started(job: &mut Option<watch::Receiver<bool>>) {
    if let Some(job) = job
        && job.wait_for(|started| *started).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.executor.state();
        match state.queue.leave(self.key, self.number) {
            Left::Nothing => {}
            Left::Dropped => {
                state.jobs.remove(&self.key);
            }
            Left::Abandoned => {
                if let Some(job) = state.jobs.get(&self.key) {
                    job.cancel.cancel();
                }
            }
        }
    }
}

impl Executor for LocalExecutor {
    fn execute(&self, request: Request) -> BoxFuture<'_, Result<Outcome, ExecutionError>> {
        Box::pin(self.execute_and_tell(request, || {}))
    }
}
