//! `headstart artifact pull`, `artifact push` and `source push`: between the cache and servers.

use headstart_project::ElementId;
use headstart_session::{
    Caches, Loaded, Server, Session, SessionError, TransferReport, UserConfig, Watcher,
};

use crate::arguments::MainOptions;
use crate::arguments::remotes::{
    ArtifactServers, SourcePushArguments, SourceServers, TransferArguments,
};
use crate::error::Failure;
use crate::open;
use crate::screen::Screen;
use crate::selection::{Deps, Except, Selection};

/// Puts servers of artifacts from the command line into the configuration.
pub(crate) fn use_artifact_servers(
    config: &mut UserConfig,
    servers: &ArtifactServers,
) -> Result<(), Failure> {
    let ignore = servers.ignore_project_artifact_remotes;
    name(&mut config.artifacts, &servers.artifact_remotes, ignore)
}

/// Puts servers of sources from the command line into the configuration.
pub(crate) fn use_source_servers(
    config: &mut UserConfig,
    servers: &SourceServers,
) -> Result<(), Failure> {
    let ignore = servers.ignore_project_source_remotes;
    name(&mut config.source_caches, &servers.source_remotes, ignore)
}

fn name(caches: &mut Caches, servers: &[String], ignore_projects: bool) -> Result<(), Failure> {
    let servers = servers.iter().map(|text| Server::parse(text));
    let servers = servers.collect::<Result<Vec<_>, _>>();
    caches.command_line.list = servers.map_err(|error| Failure::new(error.to_string()))?;
    caches.command_line.override_projects = ignore_projects;
    Ok(())
}

pub(crate) fn pull(main: &MainOptions, arguments: &TransferArguments) -> Result<(), Failure> {
    let mut config = open::config(main)?;
    use_artifact_servers(&mut config, &arguments.servers)?;
    let elements = (&*arguments.elements, arguments.deps);
    let report = transfer(
        main,
        config,
        elements,
        PULL_ARTIFACTS,
        Session::pull_artifacts,
    )?;
    let TransferReport {
        done,
        already,
        absent,
        ..
    } = report;
    println!("{done} pulled, {already} here already, {absent} on no server");
    end(&report)
}

pub(crate) fn push(main: &MainOptions, arguments: &TransferArguments) -> Result<(), Failure> {
    let mut config = open::config(main)?;
    use_artifact_servers(&mut config, &arguments.servers)?;
    let elements = (&*arguments.elements, arguments.deps);
    let report = transfer(
        main,
        config,
        elements,
        PUSH_ARTIFACTS,
        Session::push_artifacts,
    )?;
    pushed(&report)
}

pub(crate) fn push_sources(
    main: &MainOptions,
    arguments: &SourcePushArguments,
) -> Result<(), Failure> {
    let mut config = open::config(main)?;
    use_source_servers(&mut config, &arguments.servers)?;
    let elements = (&*arguments.elements, arguments.deps);
    let report = transfer(
        main,
        config,
        elements,
        PUSH_SOURCES,
        Session::push_all_sources,
    )?;
    pushed(&report)
}

/// What is transferred, what that is called, and the key that servers are named under.
type Words = [&'static str; 3];

const PULL_ARTIFACTS: Words = ["artifacts", "pulled from", "artifacts"];
const PUSH_ARTIFACTS: Words = ["artifacts", "pushed to", "artifacts"];
const PUSH_SOURCES: Words = ["sources", "pushed to", "source-caches"];

/// Loads elements and has something transferred of each.
fn transfer(
    main: &MainOptions,
    config: UserConfig,
    (elements, deps): (&[String], Deps),
    words: Words,
    run: impl FnOnce(
        &Session,
        &Loaded,
        &[ElementId],
        &dyn Watcher,
    ) -> Result<TransferReport, SessionError>,
) -> Result<TransferReport, Failure> {
    let session = open::session(main, config)?;
    let except = Except::default();
    let Selection { loaded, elements } = Selection::load(&session, elements, deps, &except)?;
    let screen = Screen::new();
    let report = run(&session, &loaded, &elements, &screen)?;
    screen.clear();
    match report.without_server == elements.len() && !elements.is_empty() {
        true => Err(no_servers(words)),
        false => Ok(report),
    }
}

fn pushed(report: &TransferReport) -> Result<(), Failure> {
    let TransferReport { done, already, .. } = report;
    println!("{done} pushed, {already} on all servers already");
    end(report)
}

fn end(report: &TransferReport) -> Result<(), Failure> {
    match report.failed {
        0 => Ok(()),
        _ => Err(Failure::shown()),
    }
}

fn no_servers([what, verb, key]: Words) -> Failure {
    Failure::new(format!(
        "there is no server that {what} could be {verb}: name one that is an index and one that is \
         storage, or one that is both, under `{key}` in buildstream.conf or project.conf, with `push: \
         true` if it is to be given something"
    ))
}
