//! `headstart`: the commands, and all that people see.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod arguments;
mod artifact;
mod ask;
mod build;
mod cache;
mod casd;
mod demo;
mod error;
mod explain;
mod init;
mod inspect;
mod messages;
mod open;
mod runner;
mod screen;
mod selection;
mod shell;
mod show;
mod source;
mod speculation;
mod standin;
mod terminal;
mod transfer;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use arguments::cache::CacheCommand;
use arguments::source::SourceCommand;
use arguments::{Arguments, ArtifactCommand, Command, SpeculationCommand};

fn main() -> ExitCode {
    messages::end_when_nobody_reads();
    if let Some(role) = standin::role() {
        return role.run();
    }
    let arguments = Arguments::parse();
    let main = &arguments.main;
    if let Err(failure) = messages::set_up(&main.messages) {
        anstream::eprintln!("{failure}");
        return failure.exit_code();
    }
    let outcome = match arguments.command {
        Command::Build(ref build) => build::run(main, build),
        Command::Show(ref show) => show::run(main, show),
        Command::Inspect(ref inspect) => inspect::run(main, inspect),
        Command::Init(ref init) => init::run(main, init),
        Command::Shell(ref shell) => match shell::run(main, shell) {
            // No process ends with more.
            Ok(code) => return ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
            Err(failure) => Err(failure),
        },
        Command::Source(SourceCommand::Fetch(ref fetch)) => source::fetch(main, fetch),
        Command::Source(SourceCommand::Track(ref track)) => source::track(main, track),
        Command::Source(SourceCommand::Push(ref push)) => transfer::push_sources(main, push),
        Command::Source(SourceCommand::Checkout(ref checkout)) => source::checkout(main, checkout),
        Command::Workspace(ref command) => workspace::run(main, command),
        Command::Artifact(ArtifactCommand::Checkout(ref checkout)) => {
            artifact::checkout(main, checkout)
        }
        Command::Artifact(ArtifactCommand::Show(ref show)) => artifact::show(main, show),
        Command::Artifact(ArtifactCommand::ListContents(ref list)) => {
            artifact::list_contents(main, list)
        }
        Command::Artifact(ArtifactCommand::Delete(ref delete)) => artifact::delete(main, delete),
        Command::Artifact(ArtifactCommand::Pull(ref pull)) => transfer::pull(main, pull),
        Command::Artifact(ArtifactCommand::Push(ref push)) => transfer::push(main, push),
        Command::Artifact(ArtifactCommand::Log(ref log)) => artifact::log(main, log),
        Command::Cache(CacheCommand::Scrub(ref arguments)) => cache::scrub(main, arguments),
        Command::Explain(ref explain) => explain::run(main, explain),
        Command::Speculation(SpeculationCommand::Show(ref show)) => speculation::show(main, show),
        Command::Demo(ref demo) => demo::run(demo),
        // Found by their names before.
        Command::Casd(_) | Command::Runner(_) => Ok(()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.leave();
            if !failure.is_shown() {
                messages::fail(&failure);
            }
            failure.exit_code()
        }
    }
}
