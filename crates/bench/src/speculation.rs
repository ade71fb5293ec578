//! Generating an element's speculative actions, and adapting all of them after a change.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use headstart_execution::{Answered, Subaction};
use headstart_merkle::{Digest, TreePath};
use headstart_reapi::reapi;
use headstart_speculation::{
    Config, Dependency, ElementId, Event, Generation, Mode, Primer, SpeculativeActions, Staged,
    generate,
};
use headstart_store::{Directories, StoredResult};
use headstart_store_disk::{DiskBlobs, Layout};
use serde_json::Value;

use crate::Failure;

/// Takes the folder's work, prints seconds, bytes and memory, and writes the adapted actions'
/// hashes to `adapted.txt` in the folder, in the order of the index.
pub(crate) fn run(folder: &Path) -> Result<(), Failure> {
    let recorded = Recorded::read(folder)?;
    let build = &recorded.build;
    let blobs = DiskBlobs::open(&Layout::new(folder))?;
    let blobs = Arc::new(blobs);

    let store = Directories::new(Arc::clone(&blobs));
    let start = Instant::now();
    let generated = generate(build, &store)?;
    let encoded = generated.message.encode();
    println!("generate: {:.3} s", start.elapsed().as_secs_f64());
    println!(
        "stored: {} bytes for {} actions, {} of them unusable",
        encoded.len(),
        generated.recorded,
        generated.unusable
    );
    drop(generated);
    drop(store);

    let store = Directories::new(blobs);
    let start = Instant::now();
    let message = Arc::new(SpeculativeActions::decode(&encoded)?);
    let mut primer = Primer::new(Config {
        mode: Mode::Full,
        slots: 0,
    });
    for event in recorded.opening(&message)? {
        primer.handle(Duration::ZERO, event, &store);
    }
    println!("adapt: {:.3} s", start.elapsed().as_secs_f64());
    let account = primer.account(&build.element);
    println!(
        "adapted: {} of {}, {} of them unchanged",
        account.resolved, account.stored, account.unchanged
    );
    println!("resident at most: {} MB", peak_memory()?);
    write_adapted(folder, build, &primer)
}

/// A recorded element, and what it is built upon today.
pub(crate) struct Recorded {
    pub(crate) build: Generation,
    index: Value,
}

impl Recorded {
    pub(crate) fn read(folder: &Path) -> Result<Self, Failure> {
        let index: Value = serde_json::from_slice(&std::fs::read(folder.join("index.json"))?)?;
        let mut build = Generation::new(ElementId::new("bench", "element.bst"), Mode::Full);
        build.sources = Some(Staged {
            tree: digest(&index["sources"])?,
            at: TreePath::new("b")?,
        });
        for dependency in list(&index["deps"])? {
            build.dependencies.push(Dependency {
                element: element(dependency)?,
                tree: digest(&dependency["before"])?,
                at: TreePath::root(),
                actions: None,
            });
        }
        for action in list(&index["subactions"])? {
            build.subactions.push(Subaction {
                action: digest(action)?,
                result: StoredResult::from(reapi::ActionResult::default()),
                answered: Answered::Executed,
                duration: Duration::from_millis(500),
            });
        }
        Ok(Self { build, index })
    }

    /// What becomes known of the next build: what is stored, today's sources, and the artifacts that
    /// it builds upon, the first of which has changed and comes last.
    pub(crate) fn opening(&self, message: &Arc<SpeculativeActions>) -> Result<Vec<Event>, Failure> {
        let mut events = vec![
            Event::Planned {
                element: self.build.element.clone(),
                message: Arc::clone(message),
                turn: 0,
            },
            Event::Sources {
                element: self.build.element.clone(),
                tree: digest(&self.index["sources"])?,
            },
        ];
        for dependency in list(&self.index["deps"])?.iter().rev() {
            events.push(Event::Artifact {
                element: element(dependency)?,
                tree: digest(&dependency["after"])?,
            });
        }
        Ok(events)
    }

    /// The start of the builds of all dependencies that change.
    pub(crate) fn builds(&self) -> Result<Vec<Event>, Failure> {
        let dependencies = list(&self.index["deps"])?.iter();
        let changed = dependencies.filter(|one| one["before"] != one["after"]);
        let started = changed.map(|one| {
            Ok(Event::ElementStarted {
                element: element(one)?,
            })
        });
        started.collect()
    }
}

fn write_adapted(folder: &Path, build: &Generation, primer: &Primer) -> Result<(), Failure> {
    let adapted: HashMap<_, _> = primer.predictions(&build.element).into_iter().collect();
    let mut text = String::new();
    for subaction in &build.subactions {
        match adapted.get(&subaction.action).copied().flatten() {
            Some(adapted) => writeln!(text, "{}", adapted.hex())?,
            None => writeln!(text, "-")?,
        }
    }
    std::fs::write(folder.join("adapted.txt"), text)?;
    Ok(())
}

fn list(value: &Value) -> Result<&Vec<Value>, Failure> {
    value
        .as_array()
        .ok_or_else(|| format!("index.json: {value} is no list").into())
}

fn element(dependency: &Value) -> Result<ElementId, Failure> {
    let name = dependency["name"].as_str();
    let name = name.ok_or("index.json: a dependency has no name")?;
    Ok(ElementId::new("bench", name))
}

/// A digest as the index writes it: hash and size.
fn digest<K>(value: &Value) -> Result<Digest<K>, Failure> {
    match (value[0].as_str(), value[1].as_u64()) {
        (Some(hash), Some(size)) => Ok(Digest::from_hex(hash, size)?),
        _ => Err(format!("index.json: {value} is no digest").into()),
    }
}

/// The most memory that this process had, as the kernel tells it.
fn peak_memory() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    let kilobytes: u64 = kilobytes.ok_or("the kernel does not tell")?.parse()?;
    Ok(kilobytes / 1024)
}
