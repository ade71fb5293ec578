//! `headstart casd`: the daemon, with the command line of buildbox-casd.

mod behind;
mod credentials;
mod options;

use std::ffi::OsString;
use std::process::ExitCode;

use headstart_casd::{CasdOptions, serve};
use headstart_execution::CancellationToken;
use tokio::signal::unix::{SignalKind, signal};

use crate::error::Failure;

/// Runs the daemon until it is told to end. `arguments` begin with the program's name.
pub(crate) fn run(arguments: Vec<OsString>) -> ExitCode {
    let parsed = match options::parse(arguments) {
        Ok(parsed) => parsed,
        Err(error) => error.exit(),
    };
    let (options, level) = match parsed {
        options::Parsed::Serve(options, level) => (options, level),
        options::Parsed::Version => {
            println!("{}", options::VERSION);
            return ExitCode::SUCCESS;
        }
    };
    // What speculation was worth is always said.
    let level = format!("{level},headstart::account=info");
    crate::messages::subscribe(&level, None);
    match serve_until_told(*options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            anstream::eprintln!("{failure}");
            failure.exit_code()
        }
    }
}

fn serve_until_told(options: CasdOptions) -> Result<(), Failure> {
    headstart_allocator::for_a_server();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the daemon can't be started: {error}")))?;
    let served = runtime.block_on(async {
        let stop = CancellationToken::new();
        let failed = |error: std::io::Error| Failure::new(format!("signals: {error}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let told = stop.clone();
        let serving = serve(options, stop);
        tokio::pin!(serving);
        tokio::select! {
            served = &mut serving => return served.map_err(|error| Failure::new(error.to_string())),
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        told.cancel();
        serving
            .await
            .map_err(|error| Failure::new(error.to_string()))
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    served
}
