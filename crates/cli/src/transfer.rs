//! `headstart artifact pull`, `artifact push` and `source push`: between the cache and servers.

use std::sync::Arc;

use headstart_project::ElementId;
use headstart_session::{
    Caches, Loaded, NamedArtifact, Server, Session, SessionError, TransferReport, UserConfig,
    Watcher,
};

use crate::arguments::MainOptions;
use crate::arguments::remotes::{
    ArtifactServers, SourcePushArguments, SourceServers, TransferArguments,
};
use crate::artifact::{named, split_targets};
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

/// Opens the project with servers of artifacts from the command line.
pub(crate) fn session_with_artifacts(
    main: &MainOptions,
    servers: &ArtifactServers,
) -> Result<Arc<Session>, Failure> {
    let mut config = open::config(main)?;
    use_artifact_servers(&mut config, servers)?;
    open::session(main, config)
}

/// Opens the project with servers of sources from the command line.
pub(crate) fn session_with_sources(
    main: &MainOptions,
    servers: &SourceServers,
) -> Result<Arc<Session>, Failure> {
    let mut config = open::config(main)?;
    use_source_servers(&mut config, servers)?;
    open::session(main, config)
}

fn name(caches: &mut Caches, servers: &[String], ignore_projects: bool) -> Result<(), Failure> {
    let servers = servers.iter().map(|text| Server::parse(text));
    let servers = servers.collect::<Result<Vec<_>, _>>();
    caches.command_line.list = servers.map_err(|error| Failure::new(error.to_string()))?;
    caches.command_line.override_projects = ignore_projects;
    Ok(())
}

pub(crate) fn pull(main: &MainOptions, arguments: &TransferArguments) -> Result<(), Failure> {
    let session = session_with_artifacts(main, &arguments.servers)?;
    let ways = Ways {
        words: PULL_ARTIFACTS,
        elements: Session::pull_artifacts,
        named: Session::pull_named,
    };
    let report = transfer_artifacts(&session, arguments, &ways)?;
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
    let session = session_with_artifacts(main, &arguments.servers)?;
    let ways = Ways {
        words: PUSH_ARTIFACTS,
        elements: Session::push_artifacts,
        named: Session::push_named,
    };
    pushed(&transfer_artifacts(&session, arguments, &ways)?)
}

pub(crate) fn push_sources(
    main: &MainOptions,
    arguments: &SourcePushArguments,
) -> Result<(), Failure> {
    let session = session_with_sources(main, &arguments.servers)?;
    let SourcePushArguments {
        elements,
        deps,
        except,
        ..
    } = arguments;
    let selection = Selection::load(&session, elements, *deps, except)?;
    let report = transfer(&session, &selection, Session::push_all_sources)?;
    expect_servers(&report, selection.elements.len(), PUSH_SOURCES)?;
    pushed(&report)
}

/// What is transferred, what that is called, and the key that servers are named under.
type Words = [&'static str; 3];

const PULL_ARTIFACTS: Words = ["artifacts", "pulled from", "artifacts"];
const PUSH_ARTIFACTS: Words = ["artifacts", "pushed to", "artifacts"];
const PUSH_SOURCES: Words = ["sources", "pushed to", "source-caches"];

/// How artifacts are transferred: of elements, and by their own names.
struct Ways {
    words: Words,
    elements: Transfer,
    named: fn(&Session, &[NamedArtifact]) -> Result<TransferReport, SessionError>,
}

type Transfer =
    fn(&Session, &Loaded, &[ElementId], &dyn Watcher) -> Result<TransferReport, SessionError>;

/// Transfers artifacts, of elements or by their own names.
fn transfer_artifacts(
    session: &Session,
    arguments: &TransferArguments,
    ways: &Ways,
) -> Result<TransferReport, Failure> {
    let (elements, names) = split_targets(&arguments.artifacts);
    let mut report = TransferReport::default();
    let mut count = 0;
    if !names.is_empty() {
        if arguments.deps != Deps::None {
            let text =
                "--deps goes with elements: what an artifact depends on has names of its own";
            return Err(Failure::usage(text).because("deps-not-supported"));
        }
        let artifacts = named(session, &names, Deps::None)?;
        count += artifacts.len();
        report += (ways.named)(session, &artifacts)?;
    }
    if names.is_empty() || !elements.is_empty() {
        let selection = Selection::load(session, &elements, arguments.deps, &Except::default())?;
        count += selection.elements.len();
        report += transfer(session, &selection, ways.elements)?;
    }
    expect_servers(&report, count, ways.words)?;
    Ok(report)
}

/// Fails if there is a server for none of `count` things.
fn expect_servers(report: &TransferReport, count: usize, words: Words) -> Result<(), Failure> {
    match report.without_server == count && count > 0 {
        true => Err(no_servers(words)),
        false => Ok(()),
    }
}

/// Has something transferred of each element, and shows it.
fn transfer(
    session: &Session,
    selection: &Selection,
    run: Transfer,
) -> Result<TransferReport, Failure> {
    let screen = Screen::new(session.logging());
    let report = run(session, &selection.loaded, &selection.elements, &screen)?;
    screen.clear();
    Ok(report)
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
