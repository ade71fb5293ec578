//! The threads that calls are made in, so that those who ask may be in any thread, of a runtime or not.

use std::future::Future;
use std::sync::{Arc, mpsc};

use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::RemoteError;

/// Threads for calls: enough to check and write what comes in while more comes.
const THREADS: usize = 4;

/// Threads that connections live in; shared by all servers of a process.
#[derive(Clone)]
pub struct Wire(Arc<Owned>);

struct Owned(Option<Runtime>);

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // The last to know it may be a task of another runtime, where waiting is not allowed.
            runtime.shutdown_background();
        }
    }
}

impl Wire {
    /// Starts the threads.
    pub fn new() -> Result<Self, RemoteError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("headstart-wire")
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| RemoteError::Broken(error.to_string()))?;
        Ok(Self(Arc::new(Owned(Some(runtime)))))
    }

    pub(crate) fn handle(&self) -> Result<&Handle, RemoteError> {
        let runtime = self.0.0.as_ref().map(Runtime::handle);
        runtime.ok_or_else(|| RemoteError::Broken("it has ended".to_owned()))
    }

    /// Runs a future to its end, and waits for it.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, RemoteError>> + Send + 'static,
    ) -> Result<T, RemoteError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.handle()?.spawn(async move {
            // Whoever asked waits for it.
            let _ = sender.send(work.await);
        });
        let lost = |_| RemoteError::Broken("a call ended without an answer".to_owned());
        receiver.recv().map_err(lost)?
    }
}
