//! The real BuildStream, run in a project with a cache of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::place::{Place, said};
use super::warm::output;

/// BuildStream with a cache directory.
pub(crate) struct BuildStream {
    project: PathBuf,
    cache: PathBuf,
    home: PathBuf,
    config: PathBuf,
}

impl BuildStream {
    /// For the project of a place; its cache is `name` beside that of the place.
    pub(crate) fn beside(place: &Place, name: &str) -> Self {
        let cache = place.cache().with_file_name(name);
        Self::new(&place.project(), &cache, &place.home())
    }

    /// For a project and a cache directory, which headstart may use too.
    pub(crate) fn new(project: &Path, cache: &Path, home: &Path) -> Self {
        let config = home.join(format!(
            "{}.conf",
            cache.file_name().unwrap().to_string_lossy()
        ));
        let text = format!(
            "cachedir: {0}\nsourcedir: {0}/sources\nlogdir: {0}/logs\nscheduler: {{network-retries: 0}}\n",
            cache.display()
        );
        fs::write(&config, text).unwrap();
        Self {
            project: project.to_owned(),
            cache: cache.to_owned(),
            home: home.to_owned(),
            config,
        }
    }

    /// Adds to its configuration.
    pub(crate) fn configure(&self, text: &str) {
        let before = fs::read_to_string(&self.config).unwrap();
        fs::write(&self.config, before + text).unwrap();
    }

    /// The file of its configuration.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    pub(crate) fn cache(&self) -> &Path {
        &self.cache
    }

    /// What `bst` prints, which must succeed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        output(self.command().args(arguments))
    }

    /// `bst`, to be given a command.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(bst());
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", &self.home)
            .env("GIT_CONFIG_GLOBAL", self.home.join("gitconfig"))
            .env("XDG_CACHE_HOME", self.home.join(".cache"))
            .current_dir(&self.project)
            .arg("--no-interactive")
            .arg("--config")
            .arg(&self.config);
        command
    }
}

fn bst() -> PathBuf {
    let bst = std::env::var_os("HEADSTART_BST").expect(
        "HEADSTART_BST must be the path of a `bst` of BuildStream 2.8.1 with its two packages of \
         plugins in its virtual environment (`cargo xtask test` installs one)",
    );
    bst.into()
}

/// The Python that BuildStream runs with.
pub(crate) fn python() -> PathBuf {
    bst().with_file_name("python")
}

/// The package with most plugins.
pub(crate) const COMMUNITY: &str = "buildstream_plugins_community";

/// Where the newest release of a package of plugins is.
pub(crate) fn plugins_of(package: &str) -> PathBuf {
    let look = format!("import {package}, os; print(os.path.dirname({package}.__file__))");
    let output = Command::new(python()).args(["-c", &look]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().into()
}

/// Where an earlier release of the package with most plugins is, which projects may still have.
pub(crate) fn earlier_plugins() -> PathBuf {
    bst().with_file_name("../earlier").join(COMMUNITY)
}
