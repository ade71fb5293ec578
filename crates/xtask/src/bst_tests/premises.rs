//! All that BuildStream's tests need: BuildStream, the tests, programs, and a root to run commands in.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::peers::{RELEASE, make_environment, pip, sha256, source_distribution};
use crate::run;

/// What the tests need, besides BuildStream.
const PACKAGES: [&str; 8] = [
    "buildstream-plugins==2.8.0",
    "pexpect==4.9.0",
    "pyftpdlib==2.2.0",
    "pytest==9.0.3",
    "pytest-datafiles==3.0.1",
    "pytest-env==1.6.0",
    "pytest-timeout==2.4.0",
    "pytest-xdist==3.8.0",
];

/// What the root has besides what every Debian has: what the commands of the tests' elements call.
const ROOT: &str = "autoconf,automake,binutils,hostname,libc6-dev,make,python3-minimal,tcc";

/// By what the elements are told that import a root which is downloaded.
const DOWNLOADED: [&str; 2] = ["integration-tests-base.", "integration-tests-debian-base."];

/// Where everything is.
pub(super) struct Premises {
    pub(super) home: PathBuf,
    pub(super) tests: PathBuf,
    venv: PathBuf,
    links: PathBuf,
}

impl Premises {
    /// Installs what is not there yet in `home`.
    pub(super) fn prepare(home: &Path, program: &Path) -> Result<Self, String> {
        let premises = Self {
            home: home.to_owned(),
            tests: home.join(format!("buildstream-{RELEASE}")),
            venv: home.join("venv"),
            links: home.join("links"),
        };
        fs::create_dir_all(home).map_err(|error| failed(home, &error))?;
        premises.link(program)?;
        let complete = home.join(format!("prepared-{RELEASE}"));
        if !complete.exists() {
            premises.install()?;
            premises.make_root()?;
            fs::write(&complete, "").map_err(|error| failed(&complete, &error))?;
        }
        Ok(premises)
    }

    pub(super) fn python(&self) -> PathBuf {
        self.venv.join("bin/python")
    }

    /// The `PATH` on which the programs come before those in `rest`.
    pub(super) fn path(&self, rest: &str) -> String {
        let programs = self.venv.join("bin");
        format!("{}:{}:{rest}", self.links.display(), programs.display())
    }

    /// A folder with the program under all names.
    fn link(&self, program: &Path) -> Result<(), String> {
        let _ = fs::remove_dir_all(&self.links);
        fs::create_dir_all(&self.links).map_err(|error| failed(&self.links, &error))?;
        // By where the link leads to the tests tell what the runner can do.
        let runner = Path::new("buildbox-run-bubblewrap");
        let links = [
            ("buildbox-casd", program),
            ("buildbox-run-bubblewrap", program),
            ("buildbox-run", runner),
        ];
        for (name, target) in links {
            let link = self.links.join(name);
            symlink(target, &link).map_err(|error| failed(&link, &error))?;
        }
        Ok(())
    }

    /// Installs BuildStream and what its tests need, and unpacks them.
    fn install(&self) -> Result<(), String> {
        let release = format!("BuildStream=={RELEASE}");
        make_environment(&self.venv, &[&[&*release], &PACKAGES[..]].concat())?;
        let _ = fs::remove_dir_all(&self.tests);
        source_distribution(&self.venv, &self.home)?;
        let mut sample = pip(&self.venv);
        let samples = self.tests.join("tests/plugins/sample-plugins");
        sample.arg("install").arg(samples);
        run(sample)
    }

    /// Makes a root of Debian packages to run commands in, and has the tests' elements import it instead of
    /// the one that they would download.
    fn make_root(&self) -> Result<(), String> {
        let archive = self.home.join("root.tar");
        let mut make = Command::new("mmdebstrap");
        make.args([
            "--variant=essential",
            "--skip=output/dev",
            "--include",
            ROOT,
        ]);
        for left_out in ["doc", "man", "info", "locale"] {
            make.arg(format!("--dpkgopt=path-exclude=/usr/share/{left_out}/*"));
        }
        make.arg("bookworm").arg(&archive);
        run(make).map_err(|error| {
            format!("{error}; mmdebstrap has to be there: apt-get install mmdebstrap")
        })?;
        let hash = sha256(&archive)?;
        let packages = self.venv.join("lib");
        for folder in [&self.tests, &packages] {
            import(folder, &archive, &hash)?;
        }
        Ok(())
    }
}

/// Has all elements below `folder` import the archive that would download one.
fn import(folder: &Path, archive: &Path, hash: &str) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|error| failed(folder, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| failed(folder, &error))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(|error| failed(&path, &error))?;
        if kind.is_dir() {
            import(&path, archive, hash)?;
        } else if kind.is_file()
            && path.extension().is_some_and(|extension| extension == "bst")
            && let Ok(text) = fs::read_to_string(&path)
            && DOWNLOADED.iter().any(|name| text.contains(name))
        {
            let text = importing(&text, archive, hash);
            fs::write(&path, text).map_err(|error| failed(&path, &error))?;
        }
    }
    Ok(())
}

/// An element's text, with the archive and its hash where another is named.
fn importing(text: &str, archive: &Path, hash: &str) -> String {
    let line = |line: &str| {
        let key = line.trim_start();
        let indent = &line[..line.len() - key.len()];
        if key.starts_with("url:") {
            format!("{indent}url: file://{}\n", archive.display())
        } else if key.starts_with("ref:") {
            format!("{indent}ref: {hash}\n")
        } else {
            format!("{line}\n")
        }
    };
    text.lines().map(line).collect()
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}
