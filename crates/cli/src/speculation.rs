//! `headstart speculation show`.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};

use headstart_session::{ActionData, FoundUnder, OriginData, OverlayData, RecordData, StoredError};

use crate::arguments::{MainOptions, RecordFormat, SpeculationShowArguments};
use crate::error::Failure;
use crate::explain::{origin_text, print_json, shortened};
use crate::open;

impl From<StoredError> for Failure {
    fn from(error: StoredError) -> Self {
        match error {
            StoredError::Session(error) => error.into(),
            error => Self::new(error.to_string()),
        }
    }
}

pub(crate) fn show(
    main: &MainOptions,
    arguments: &SpeculationShowArguments,
) -> Result<(), Failure> {
    let session = open::session(main, open::config(main)?)?;
    let loaded = session.load(std::slice::from_ref(&arguments.element))?;
    let stored = session.stored(&loaded, loaded.graph.targets()[0])?;
    let stored = stored.ok_or_else(|| {
        let element = &arguments.element;
        Failure::new(format!(
            "nothing is stored of {element}: build it with speculation first"
        ))
    })?;
    match arguments.format {
        RecordFormat::Text => print(&stored.data(&session), arguments.action.as_deref()),
        RecordFormat::Json => print_json(&stored.data(&session)),
        RecordFormat::Prototype => {
            let mut out = std::io::stdout();
            if out.is_terminal() {
                return Err(Failure::new(
                    "the prototype's message is binary: send it to a file or a program",
                ));
            }
            let written = out.write_all(&stored.prototype(&session)?);
            written.map_err(|error| Failure::new(format!("standard output: {error}")))
        }
    }
}

fn print(record: &RecordData, wanted: Option<&str>) -> Result<(), Failure> {
    if let Some(wanted) = wanted {
        let mut actions = record
            .actions
            .iter()
            .filter(|a| is_meant(a, wanted))
            .peekable();
        if actions.peek().is_none() {
            let element = &record.element;
            let message = format!("no action that is stored of {element} is or makes {wanted:?}");
            return Err(Failure::new(message));
        }
        for action in actions {
            print_action(action);
            for input in &action.inputs {
                print_overlay(&record.inputs[*input]);
            }
        }
        return Ok(());
    }
    let under = match record.found_under {
        FoundUnder::StrictKey => "with today's artifact",
        FoundUnder::WeakKey => "with an artifact of other dependencies",
        FoundUnder::Lineage => "of an earlier build of another key",
    };
    let layout = if record.prototype {
        ", in the prototype's layout"
    } else {
        ""
    };
    println!("{}: {} bytes {under}{layout}", record.element, record.bytes);
    println!("record {}", record.record);
    for (name, tree) in &record.named_trees {
        println!("{name} is {tree}");
    }
    println!("\n{} actions:", record.actions.len());
    for action in &record.actions {
        print_action(action);
    }
    println!("\n{} different inputs with an origin:", record.inputs.len());
    print_overlays(&record.inputs);
    println!(
        "\n{} files of the artifact with an origin:",
        record.artifact.len()
    );
    print_overlays(&record.artifact);
    Ok(())
}

fn is_meant(action: &ActionData, wanted: &str) -> bool {
    let makes = |path: &String| path == wanted || path.ends_with(&format!("/{wanted}"));
    wanted.len() >= 6 && action.action.starts_with(wanted) || action.outputs.iter().any(makes)
}

fn print_action(action: &ActionData) {
    let mut marks = String::new();
    if action.failed {
        marks.push_str(" failed");
    }
    if !action.usable {
        marks.push_str(" unusable");
    }
    for needed in &action.needs {
        marks.push_str(&format!(" after #{needed}"));
    }
    for guard in &action.guards {
        marks.push_str(&format!(" while #{guard} is the same"));
    }
    println!(
        "  {}  {:.3} s, {} inputs{marks}",
        action.action,
        action.seconds,
        action.inputs.len()
    );
    println!("    {}", shortened(&action.command));
}

fn print_overlay(overlay: &OverlayData) {
    println!("      {}  {}", overlay.path, overlay.content);
    for origin in &overlay.origins {
        println!("        from {}", origin_text(origin));
    }
}

/// Files of one directory whose origins are in the same directories are one entry.
fn print_overlays(overlays: &[OverlayData]) {
    let mut groups: BTreeMap<(&str, Vec<String>), Vec<&str>> = BTreeMap::new();
    for overlay in overlays {
        let (directory, name) = split(&overlay.path);
        let origins = overlay.origins.iter();
        let origins = origins.map(|origin| origin_text(&directory_of(origin, name)));
        let group = groups.entry((directory, origins.collect())).or_default();
        if !group.contains(&name) {
            group.push(name);
        }
    }
    for ((directory, origins), names) in groups {
        let directory = if directory.is_empty() { "." } else { directory };
        println!("  {directory}/: {}", listed(&names));
        for origin in origins {
            println!("    from {origin}");
        }
    }
}

/// Some names, and how many more there are.
fn listed(names: &[&str]) -> String {
    const MOST: usize = 6;
    let some = names[..names.len().min(MOST)].join(" ");
    match names.len().saturating_sub(MOST) {
        0 => some,
        more => format!("{some} and {more} more"),
    }
}

/// An origin of the same name, as one of its directory.
fn directory_of(origin: &OriginData, name: &str) -> OriginData {
    let mut origin = origin.clone();
    let (directory, file) = split(&origin.path);
    if file == name {
        origin.path = format!("{directory}/").trim_start_matches('/').to_owned();
        if origin.path.is_empty() {
            origin.path.push('.');
        }
    }
    origin
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}
