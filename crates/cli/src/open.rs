//! Opening a session as the command line asks.

use std::sync::Arc;

use headstart_session::{KeepSandbox, OnError, Session, SessionOptions, UserConfig};

use crate::arguments::{KeepArgument, MainOptions, OnErrorArgument};
use crate::error::{Failure, io};

/// The configuration, with what the command line says in place of what the file does.
pub(crate) fn config(main: &MainOptions) -> Result<UserConfig, Failure> {
    let mut config = UserConfig::load(main.config.as_deref())?;
    if let Some(folder) = &main.cache_dir {
        let folder = std::path::absolute(folder).map_err(|error| io(folder, &error))?;
        config.source_dir = folder.join("sources");
        config.log_dir = folder.join("logs");
        config.cache_dir = folder;
    }
    config.fetchers = main.fetchers.unwrap_or(config.fetchers);
    config.builders = main.builders.unwrap_or(config.builders);
    config.pushers = main.pushers.unwrap_or(config.pushers);
    config.network_retries = main.network_retries.unwrap_or(config.network_retries);
    config.pull_build_trees |= main.pull_buildtrees;
    let logging = &mut config.logging;
    logging.error_lines = main.messages.error_lines.unwrap_or(logging.error_lines);
    logging.message_lines = main.messages.message_lines.unwrap_or(logging.message_lines);
    config.max_jobs = main.max_jobs.or(config.max_jobs);
    config.on_error = match main.on_error {
        None => config.on_error,
        Some(OnErrorArgument::Continue) => OnError::Continue,
        Some(OnErrorArgument::Quit) => OnError::Quit,
        Some(OnErrorArgument::Terminate) => OnError::Terminate,
    };
    config.keep_sandboxes = match main.cache_buildtrees {
        None => config.keep_sandboxes,
        Some(KeepArgument::Always) => KeepSandbox::Always,
        Some(KeepArgument::Auto) => KeepSandbox::Auto,
        Some(KeepArgument::Never) => KeepSandbox::Never,
    };
    Ok(config)
}

/// The element that a command is about: the one that is named, or that in whose workspace this is.
pub(crate) fn element(session: &Session, named: Option<&String>) -> Result<String, Failure> {
    let element = named.map(String::as_str).or(session.workspace_of());
    let element = element.ok_or_else(|| Failure::usage("name an element"))?;
    Ok(element.to_owned())
}

/// Opens the project that the command line means.
pub(crate) fn session(main: &MainOptions, config: UserConfig) -> Result<Arc<Session>, Failure> {
    let directory = match &main.directory {
        Some(directory) => directory.clone(),
        None => ".".into(),
    };
    let options = main
        .options
        .chunks_exact(2)
        .map(|pair| (pair[0].clone(), pair[1].clone()));
    let options = SessionOptions {
        directory,
        config,
        options: options.collect(),
        default_mirror: main.default_mirror.clone(),
        strict: match (main.strict, main.no_strict) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        },
    };
    Ok(Arc::new(Session::open(options)?))
}
