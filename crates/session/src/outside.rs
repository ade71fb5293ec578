//! What loading needs of the world beyond the projects' own files: the projects behind junctions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

use headstart_project::{ElementGraph, Keys, Outside, OutsideError};
use headstart_sources::{SourceError, Sources, write_out};
use headstart_store::{BlobStore, Directories};

/// Where BuildStream keeps staged projects, below the directory of the project with the junction.
const STAGED: &str = ".bst/staged-junctions";

/// The world of a session.
pub(crate) struct SessionOutside {
    /// The directory of the top-level project.
    pub(crate) root: PathBuf,
    pub(crate) sources: Arc<Sources>,
    pub(crate) directories: Arc<Directories<dyn BlobStore>>,
}

impl Outside for SessionOutside {
    fn stage_junction(&self, junction: &ElementGraph) -> Result<String, OutsideError> {
        let contents = self.sources.contents(junction)?;
        let keys = Keys::compute(junction, &contents);
        let (id, element) = junction.iter().next().ok_or("there is no junction")?;
        let key = keys.get(id).ok_or("it has no key")?.weak;
        let project = junction.project(id).ok_or("it has no project")?.directory();
        let staged = format!("{STAGED}/{}/{key}", element.name);
        let staged = match project {
            "" => staged,
            project => format!("{project}/{staged}"),
        };
        let folder = self.root.join(&staged);
        if !folder.exists() {
            let tree = self.sources.stage(element, id, &keys)?;
            let unfinished = sibling(&folder)?;
            let written = write_out(tree, &unfinished, &self.directories);
            finish(&unfinished, &folder, written)?;
        }
        Ok(staged)
    }
}

/// A new folder beside another, for what is not whole yet.
fn sibling(folder: &Path) -> Result<PathBuf, OutsideError> {
    let unfinished = folder.with_extension(format!("{}.unfinished", process::id()));
    fs::create_dir_all(&unfinished).map_err(|error| failed(&unfinished, &error))?;
    Ok(unfinished)
}

/// Gives a folder its name, unless another process was faster or something went wrong.
fn finish(
    unfinished: &Path,
    folder: &Path,
    written: Result<(), SourceError>,
) -> Result<(), OutsideError> {
    let renamed = match written {
        Ok(()) => fs::rename(unfinished, folder).map_err(|error| failed(folder, &error)),
        Err(error) => Err(error.into()),
    };
    if renamed.is_err() {
        // Nobody looks for it by this name.
        let _ = fs::remove_dir_all(unfinished);
    }
    match renamed {
        Err(_) if folder.exists() => Ok(()),
        renamed => renamed,
    }
}

fn failed(path: &Path, error: &std::io::Error) -> OutsideError {
    format!("{}: {error}", path.display()).into()
}
