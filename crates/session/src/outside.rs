//! What loading needs of the world beyond the projects' own files: the projects behind junctions.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, OnceLock};

use headstart_plugins::Hosts;
use headstart_project::{ElementGraph, Keys, Outside, OutsideError, PluginHost};
use headstart_sources::{SourceError, Sources, write_out};
use headstart_store::{BlobStore, Directories};

/// Where BuildStream keeps staged projects, below the directory of the project with the junction.
const STAGED: &str = ".bst/staged-junctions";

/// The world of a session.
pub(crate) struct SessionOutside {
    /// The directory of the top-level project.
    root: PathBuf,
    sources: Arc<Sources>,
    directories: Arc<Directories<dyn BlobStore>>,
    hosts: Arc<Hosts>,
    /// Where installed Python packages are, once somebody has asked.
    packages: OnceLock<Option<PathBuf>>,
}

impl SessionOutside {
    /// The world of a top-level project in the directory `root`.
    pub(crate) fn new(
        root: PathBuf,
        sources: Arc<Sources>,
        directories: Arc<Directories<dyn BlobStore>>,
        hosts: Arc<Hosts>,
    ) -> Self {
        Self {
            root,
            sources,
            directories,
            hosts,
            packages: OnceLock::new(),
        }
    }
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

    fn package_file(&self, package: &str, file: &str) -> Option<String> {
        let module = package.replace('-', "_");
        let packages = self.packages.get_or_init(installed_packages);
        fs::read_to_string(packages.as_ref()?.join(module).join(file)).ok()
    }

    fn expect_plugins(&self) {
        self.hosts.expect();
    }

    fn plugins(&self) -> Result<&dyn PluginHost, OutsideError> {
        match self.hosts.available() {
            Ok(hosts) => Ok(hosts),
            Err(error) => Err(error.into()),
        }
    }
}

/// Where the Python packages of the BuildStream are that the user runs: beside the `bst` that is
/// found first, if that is in a virtual environment.
fn installed_packages() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let bst = env::split_paths(&path)
        .map(|folder| folder.join("bst"))
        .find(|program| program.is_file())?;
    let library = bst.canonicalize().ok()?.parent()?.join("../lib");
    let pythons = fs::read_dir(library).ok()?.flatten();
    let mut packages = pythons.map(|python| python.path().join("site-packages"));
    packages.find(|packages| packages.join("buildstream").is_dir())
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
