//! Figures of the core's parts, each on work that lies in a folder.
//!
//! `headstart-bench speculation FOLDER` takes a recorded element: a CAS in `cas/objects` and
//! `index.json`, which names the element's sources, its dependencies before and after a change, and
//! its subactions.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod speculation;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ran = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["speculation", folder] => speculation::run(folder.as_ref()),
        _ => Err("usage: headstart-bench speculation FOLDER".into()),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
