//! Figures of the core's parts; `--help` tells which, and on what.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod daemon;
mod figures;
mod import;
mod latency;
mod nested;
mod rebuild;
mod simulate;
mod speculation;
mod staging;
mod streams;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

const HELP: &str = "\
Prints figures of headstart's parts, each on work that lies in a folder.

headstart-bench speculation FOLDER
    Generates and adapts the speculative actions of a recorded element: FOLDER has a CAS in cas/objects
    and index.json, which names the element's sources, its dependencies before and after a change, and
    its subactions. peers/prototype.py FOLDER CHECKOUT does the same by the prototype in Python.
headstart-bench latency FOLDER
    Takes the same, tells a primer of it as in a build, executes nothing but for show, and prints how
    soon actions are handed out.
headstart-bench nested FOLDER
    Executes trivial actions as if a client inside a sandbox asked for them, with a cache directory in
    FOLDER.
headstart-bench staging FOLDER ROOT
    Takes ROOT, a folder like /usr with a compiler, into a cache directory in FOLDER, and tells how long
    it takes to stage it and to work in it for the first time and again: as links, and shown by FUSE.
headstart-bench import FOLDER
    Makes a project with 1 GiB in 20,000 local files in FOLDER, and tells how long it takes to know its
    key, the first time and again, beside how long it takes to hash them.
headstart-bench rebuild PROJECT CACHE ELEMENT FILE [OPTION=VALUE…]
    Builds ELEMENT again whose every call is known, without and with speculation; and then after edits
    of FILE, which its calls read.
headstart-bench simulate ELEMENTS ACTIONS SLOTS [CONFIGURE]
    Builds a stack of so many elements, each asking for so many actions, on a farm of so many slots, in
    virtual time and in each mode; configuring an element takes so many seconds (10).
headstart-bench daemon --peer PEER [FIGURE…]
    Compares the daemon with the buildbox-casd in the folder PEER: all figures, or those whose names
    begin so.";

/// Why there are no figures.
type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|one| one == "--help" || one == "-h") {
        // Who has read enough of it may be gone.
        let _ = writeln!(std::io::stdout(), "{HELP}");
        return ExitCode::SUCCESS;
    }
    let ran = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["speculation", folder] => speculation::run(folder.as_ref()),
        ["latency", folder] => latency::run(folder.as_ref()),
        ["nested", folder] => nested::run(folder.as_ref()),
        ["staging", folder, root] => staging::run(folder.as_ref(), root.as_ref()),
        ["import", folder] => import::run(folder.as_ref()),
        ["rebuild", project, cache, element, edited, ref options @ ..] => rebuild::run(
            project.as_ref(),
            cache.as_ref(),
            element,
            edited.as_ref(),
            options,
        ),
        ["simulate", elements, actions, slots] => simulate::run([elements, actions, slots, "10"]),
        ["simulate", elements, actions, slots, configure] => {
            simulate::run([elements, actions, slots, configure])
        }
        ["daemon", "--peer", peer, ref wanted @ ..] => daemon::run(peer.as_ref(), wanted),
        [daemon::SERVE, folder] => daemon::serve_folder(folder.as_ref()),
        _ => Err(format!("these arguments are none that it takes\n\n{HELP}").into()),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
