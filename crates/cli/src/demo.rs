//! `headstart demo`: a real stack is built, a header edited, and the rebuild measured with and
//! without speculation.
//!
//! Each build is a process of its own, started as a user would. Rebuilds that are compared begin
//! with the same state of the caches: a copy of what the first build left.

mod figures;
mod workplace;

use std::path::{Path, PathBuf};

use headstart_session::xdg_folder;

use crate::arguments::DemoArguments;
use crate::build::write_json;
use crate::error::Failure;

use figures::{Comparison, Figures, Rebuild, print};
use workplace::{Edit, Outcome, Workplace};

/// The element that is edited, below everything that is measured.
const EDITED: &str = "aws/aws-c-common.bst";

/// The edit whose rebuild is compared, one that follows it, one that breaks an element above, and
/// the one that mends it.
const FIRST: Edit = Edit("1-revision");
const SECOND: Edit = Edit("2-branch-hints");
const BROKEN: Edit = Edit("5-broken");
const MENDED: Edit = Edit("6-mended");

pub(crate) fn run(arguments: &DemoArguments) -> Result<(), Failure> {
    let work = match &arguments.work_dir {
        Some(folder) => folder.clone(),
        None => default_folder()?,
    };
    let place = Workplace::prepare(arguments.project.as_deref(), &work, &arguments.element)?;
    let start = place.cache("start");
    say(&format!("building {} once", arguments.element));
    let first = place.build(&start, "full", Outcome::Success)?;

    let mut comparison = Comparison::default();
    let changed = place.cache("full");
    for run in 1..=arguments.runs.max(1) {
        say(&format!(
            "rebuilding after an edit, without and with speculation ({run} of {})",
            arguments.runs.max(1)
        ));
        let plain = place.cache("none");
        place.edit(&FIRST)?;
        place.copy_cache(&start, &plain)?;
        let without = place.build(&plain, "none", Outcome::Success)?;
        place.copy_cache(&start, &changed)?;
        let with = place.build(&changed, "full", Outcome::Success)?;
        comparison.add(without, with);
    }

    let later = match arguments.brief {
        true => Vec::new(),
        false => after_further_edits(&place, &changed)?,
    };
    let figures = Figures::new(first, comparison, later, EDITED);
    print(&figures);
    if let Some(path) = &arguments.json {
        write_json(path, &figures)?;
    }
    match figures.missed_targets().as_slice() {
        [] => Ok(()),
        missed => Err(Failure::new(format!(
            "targets missed: {}",
            missed.join("; ")
        ))),
    }
}

/// Goes on from the first edit, with what its rebuild has left in `cache`.
fn after_further_edits(place: &Workplace, cache: &Path) -> Result<Vec<Rebuild>, Failure> {
    say("rebuilding after another edit");
    place.edit(&SECOND)?;
    let second = place.build(cache, "full", Outcome::Success)?;
    say("an edit that breaks an element");
    place.edit(&BROKEN)?;
    place.build(cache, "full", Outcome::Failure)?;
    say("and its mending");
    place.edit(&MENDED)?;
    let mended = place.build(cache, "full", Outcome::Success)?;
    Ok(vec![
        Rebuild::new(&SECOND, second),
        Rebuild::new(&MENDED, mended),
    ])
}

fn say(text: &str) {
    anstream::eprintln!("\x1b[1m==> {text}\x1b[0m");
}

fn default_folder() -> Result<PathBuf, Failure> {
    let cache = xdg_folder("XDG_CACHE_HOME", ".cache");
    let cache = cache.ok_or_else(|| Failure::new("HOME is not set: give --work-dir"))?;
    Ok(cache.join("headstart/demo"))
}
