//! Prints name, weak and strict key of elements: `keys PROJECT TARGET...`, or of all elements.

#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use headstart_project::{Keys, Nothing, Projects};

#[path = "../tests/support/disk.rs"]
mod disk;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let root = PathBuf::from(args.next().ok_or("which project?")?);
    let mut targets: Vec<String> = args.collect();
    let start = Instant::now();
    let settings = disk::settings(&root);
    let files = Arc::new(disk::Disk(root.clone()));
    let projects = Projects::load(files, Arc::new(Nothing), settings)?;
    if targets.is_empty() {
        targets = projects.top().default_targets()?;
    }
    let graph = projects.load_elements(&targets)?;
    let loaded = start.elapsed();
    let contents = disk::digest(&root, &graph.contents())?;
    let digested = start.elapsed();
    let keys = Keys::compute(&graph, &contents);
    eprintln!(
        "loaded in {loaded:.1?}, digested in {:.1?}, keys in {:.1?}",
        digested - loaded,
        start.elapsed() - digested
    );
    for (id, element) in graph.iter() {
        match keys.get(id) {
            Some(keys) => println!("{} {} {}", element.full_name, keys.weak, keys.strict),
            None => println!("{} ? ?", element.full_name),
        }
    }
    Ok(())
}
