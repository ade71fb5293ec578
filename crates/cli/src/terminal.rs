//! This process's terminal, while a command in a sandbox has it.

use std::future::Future;

use headstart_execution::CancellationToken;
use tokio::signal::unix::{SignalKind, signal};

use crate::error::Failure;

/// Runs to its end what runs a command at this process's terminal. When this process is told to
/// end, the command is; what is typed is the command's own, which may have its own idea of it.
pub(crate) fn lend<T, E, F: Future<Output = Result<T, E>>>(
    run: impl FnOnce(CancellationToken) -> F,
) -> Result<Result<T, E>, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("no runtime can be started: {error}")))?;
    runtime.block_on(async {
        let failed = |error: std::io::Error| Failure::new(format!("signals: {error}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let at_terminal = rustix::termios::isatty(std::io::stdin());
        let cancel = CancellationToken::new();
        let running = run(cancel.clone());
        tokio::pin!(running);
        loop {
            tokio::select! {
                ran = &mut running => {
                    return match ran {
                        Err(_) if cancel.is_cancelled() => Err(Failure::interrupted()),
                        ran => Ok(ran),
                    };
                }
                _ = terminate.recv() => cancel.cancel(),
                _ = interrupt.recv() => {
                    if !at_terminal {
                        cancel.cancel();
                    }
                }
            }
        }
    })
}
