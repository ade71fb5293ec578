//! `headstart shell`.

use headstart_session::{ShellRequest, ShellScene};

use crate::arguments::MainOptions;
use crate::arguments::shell::ShellArguments;
use crate::error::Failure;
use crate::{open, terminal, transfer};

/// Runs a command in a sandbox; gives its exit code.
pub(crate) fn run(main: &MainOptions, arguments: &ShellArguments) -> Result<i32, Failure> {
    let mut config = open::config(main)?;
    transfer::use_artifact_servers(&mut config, &arguments.artifact_servers)?;
    transfer::use_source_servers(&mut config, &arguments.source_servers)?;
    let session = open::session(main, config)?;
    let mut mounts = Vec::new();
    for pair in arguments.mount.chunks_exact(2) {
        let (host, inside) = (&pair[0], &pair[1]);
        if !host.exists() {
            return Err(Failure::usage(format!(
                "--mount: {} is not there",
                host.display()
            )));
        }
        mounts.push((host.clone(), inside.to_string_lossy().into_owned()));
    }
    let request = ShellRequest {
        scene: match arguments.build {
            _ if arguments.use_buildtree => ShellScene::Left,
            true => ShellScene::Build,
            false => ShellScene::Run,
        },
        command: arguments.command.clone(),
        isolated: arguments.isolate,
        mounts,
    };
    let element = open::element(&session, arguments.element.as_ref())?;
    let loaded = session.load(&[element])?;
    let target = loaded.graph.targets()[0];
    let ended = terminal::lend(|cancel| session.shell(&loaded, target, &request, cancel))?;
    ended.map_err(Failure::from)
}
