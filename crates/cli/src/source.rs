//! `headstart source fetch`, `track` and `checkout`.

use std::io::{self, BufWriter, Write};

use headstart_session::{BuildScripts, Loaded, SourceTarget};

use crate::arguments::MainOptions;
use crate::arguments::source::{FetchArguments, SourceCheckoutArguments, TrackArguments};
use crate::artifact::{compression, create};
use crate::error::{Failure, io as io_failure};
use crate::open;
use crate::screen::Screen;
use crate::selection::{Selection, select, with_exceptions};
use crate::transfer;

pub(crate) fn fetch(main: &MainOptions, arguments: &FetchArguments) -> Result<(), Failure> {
    let session = transfer::session_with_sources(main, &arguments.servers)?;
    let Selection { loaded, elements } = Selection::load(
        &session,
        &arguments.elements,
        arguments.deps,
        &arguments.except,
    )?;
    let screen = Screen::new(session.logging());
    let failed = session.fetch_sources(&loaded, &elements, &screen)?;
    screen.clear();
    match failed {
        0 => Ok(()),
        _ => Err(Failure::shown()),
    }
}

pub(crate) fn track(main: &MainOptions, arguments: &TrackArguments) -> Result<(), Failure> {
    let session = open::session(main, open::config(main)?)?;
    let except = arguments.except.expanded(&session)?;
    let targets = with_exceptions(&session, &arguments.elements, &except)?;
    let screen = Screen::new(session.logging());
    if arguments.cross_junctions && !session.project().keeps_refs_apart() {
        return Err(Failure::new(
            "--cross-junctions needs `ref-storage: project.refs` in project.conf",
        ));
    }
    let chosen = |loaded: &Loaded| {
        let mut elements = select(loaded, arguments.deps, &except);
        // The files of joined projects are not this project's to change.
        let own = |id: &_| !loaded.graph[*id].full_name.contains(':');
        elements.retain(|id| arguments.cross_junctions || own(id));
        elements
    };
    let report = session.track_sources(&targets, &chosen, &screen)?;
    screen.clear();
    println!(
        "{} new refs, {} elements failed",
        report.changed, report.failed
    );
    match report.failed {
        0 => Ok(()),
        _ => Err(Failure::shown()),
    }
}

pub(crate) fn checkout(
    main: &MainOptions,
    arguments: &SourceCheckoutArguments,
) -> Result<(), Failure> {
    let session = transfer::session_with_sources(main, &arguments.servers)?;
    let Selection { loaded, elements } = Selection::load(
        &session,
        &[open::element(&session, arguments.element.as_ref())?],
        arguments.deps,
        &arguments.except,
    )?;
    let scripts = match arguments.include_build_scripts {
        true => BuildScripts::Included,
        false => BuildScripts::Left,
    };
    let Some(path) = &arguments.tar else {
        let path = &arguments.directory;
        let force = arguments.force;
        let target = SourceTarget::Directory { path, force };
        session.checkout_sources(&loaded, &elements, target, scripts)?;
        println!("checked out sources to {}", path.display());
        return Ok(());
    };
    let mut writer: Box<dyn Write> = match path.as_os_str() == "-" {
        true => Box::new(BufWriter::new(io::stdout())),
        false => Box::new(BufWriter::new(create(path, arguments.force)?)),
    };
    let target = SourceTarget::Tar(&mut writer, compression(arguments.compression));
    session.checkout_sources(&loaded, &elements, target, scripts)?;
    writer.flush().map_err(|error| io_failure(path, &error))
}
