//! `headstart workspace open`, `close`, `reset` and `list`.

use headstart_session::{Session, WorkspaceRequest, source_element};
use headstart_yaml::{Mapping, Sequence};

use crate::arguments::MainOptions;
use crate::arguments::workspace::{
    CloseArguments, OpenArguments, ResetArguments, WorkspaceCommand,
};
use crate::error::Failure;
use crate::open;
use crate::transfer;

pub(crate) fn run(main: &MainOptions, command: &WorkspaceCommand) -> Result<(), Failure> {
    let mut config = open::config(main)?;
    if let WorkspaceCommand::Open(arguments) = command {
        transfer::use_source_servers(&mut config, &arguments.servers)?;
    }
    let session = open::session(main, config)?;
    match command {
        WorkspaceCommand::Open(arguments) => open_all(&session, arguments),
        WorkspaceCommand::Close(arguments) => close(&session, arguments),
        WorkspaceCommand::Reset(arguments) => reset(&session, arguments),
        WorkspaceCommand::List => {
            list(&session);
            Ok(())
        }
    }
}

fn open_all(session: &Session, arguments: &OpenArguments) -> Result<(), Failure> {
    let request = WorkspaceRequest {
        checkout: !arguments.no_checkout,
        force: arguments.force,
        directory: arguments.directory.clone(),
    };
    for (element, directory) in
        session.open_workspaces(&session.expand(&arguments.elements)?, &request)?
    {
        println!(
            "opened a workspace for {element} in {}",
            directory.display()
        );
    }
    Ok(())
}

fn close(session: &Session, arguments: &CloseArguments) -> Result<(), Failure> {
    let Some(elements) = chosen(session, &arguments.elements, arguments.all)? else {
        eprintln!("No open workspaces to close");
        return Ok(());
    };
    for element in elements {
        session.close_workspace(&element, arguments.remove_dir)?;
        println!("closed the workspace of {element}");
    }
    Ok(())
}

fn reset(session: &Session, arguments: &ResetArguments) -> Result<(), Failure> {
    let Some(elements) = chosen(session, &arguments.elements, arguments.all)? else {
        return Err(Failure::new("there are no open workspaces to reset"));
    };
    for element in elements {
        let directory = session.reset_workspace(&element, arguments.soft)?;
        println!(
            "reset the workspace of {element} in {}",
            directory.display()
        );
    }
    Ok(())
}

/// The elements whose workspaces are meant, all of which have one; `None` if all are meant and there
/// are none.
fn chosen(
    session: &Session,
    elements: &[String],
    all: bool,
) -> Result<Option<Vec<String>>, Failure> {
    let open: Vec<String> = session.workspaces().into_iter().map(|it| it.0).collect();
    if all {
        return Ok((!open.is_empty()).then_some(open));
    }
    let mut chosen = Vec::new();
    let own = session.workspace_of().map(str::to_owned);
    let elements = match elements.is_empty() {
        true => own.into_iter().collect(),
        false => elements.to_vec(),
    };
    if elements.is_empty() {
        return Err(Failure::new(
            "name the elements whose workspaces are meant, or use --all",
        ));
    }
    for element in elements {
        // It may have gone from the project.
        let name = match open.contains(&element) {
            true => element,
            false => {
                let loaded = session.load(std::slice::from_ref(&element))?;
                let source = source_element(&loaded.graph, loaded.graph.targets()[0]);
                loaded.graph[source].full_name.to_string()
            }
        };
        if !open.contains(&name) {
            return Err(Failure::new(format!("{name} has no open workspace")));
        }
        if !chosen.contains(&name) {
            chosen.push(name);
        }
    }
    Ok(Some(chosen))
}

/// Prints YAML, as BuildStream does.
fn list(session: &Session) {
    let open = session
        .workspaces()
        .into_iter()
        .map(|(element, directory)| {
            let directory = directory.to_string_lossy();
            let each = [("element", &*element), ("directory", &*directory)];
            each.into_iter().collect::<Mapping>()
        });
    let open: Sequence = open.collect();
    let list: Mapping = [("workspaces", open)].into_iter().collect();
    print!("{}", headstart_yaml::to_text(&list));
}
