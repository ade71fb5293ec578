//! Where the demo works: a copy of the project, with its sources, toolchain and caches.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::error::{Failure, io};

/// What the project makes and does not carry; kept from one demo to the next.
const MADE: [&str; 2] = ["downloads", "files/toolchain"];

/// One of the project's edits, by its name.
pub(crate) struct Edit(pub(crate) &'static str);

/// How a build is expected to end.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Outcome {
    Success,
    Failure,
}

pub(crate) struct Workplace {
    folder: PathBuf,
    project: PathBuf,
    program: PathBuf,
    /// What is built.
    element: String,
}

impl Workplace {
    /// Copies the project and gets what it needs; `element` is what will be built of it.
    pub(crate) fn prepare(
        project: Option<&Path>,
        folder: &Path,
        element: &str,
    ) -> Result<Self, Failure> {
        let original = match project {
            Some(project) => project.to_owned(),
            None => find_project()?,
        };
        fs::create_dir_all(folder).map_err(|error| io(folder, &error))?;
        let folder = folder.canonicalize().map_err(|error| io(folder, &error))?;
        let project = folder.join("project");
        let program =
            std::env::current_exe().map_err(|error| io(Path::new("/proc/self/exe"), &error))?;
        let place = Self {
            folder,
            project,
            program,
            element: element.to_owned(),
        };
        super::say(&format!(
            "preparing the project in {}",
            place.folder.display()
        ));
        remove_old(&place.project, Path::new(""))?;
        copy(&original, &place.project, Path::new(""))?;
        let recc = place.folder.join("recc");
        fs::write(&recc, headstart_embed::LAUNCHER).map_err(|error| io(&recc, &error))?;
        fs::set_permissions(&recc, fs::Permissions::from_mode(0o755))
            .map_err(|error| io(&recc, &error))?;
        place.script("prepare", &[recc.as_os_str()])?;
        Ok(place)
    }

    /// A cache directory by name.
    pub(crate) fn cache(&self, name: &str) -> PathBuf {
        self.folder.join(format!("cache-{name}"))
    }

    /// Makes `to` what `from` is. Files are linked: nothing in a cache is changed in place.
    pub(crate) fn copy_cache(&self, from: &Path, to: &Path) -> Result<(), Failure> {
        if to.exists() {
            fs::remove_dir_all(to).map_err(|error| io(to, &error))?;
        }
        let mut copy = Command::new("cp");
        copy.arg("--archive").arg("--link").arg(from).arg(to);
        run(copy, "cp")
    }

    pub(crate) fn edit(&self, edit: &Edit) -> Result<(), Failure> {
        self.script("edit", &[edit.0.as_ref()])
    }

    fn script(&self, name: &str, arguments: &[&std::ffi::OsStr]) -> Result<(), Failure> {
        let mut script = Command::new(self.project.join(name));
        script.args(arguments).current_dir(&self.project);
        run(script, name)
    }

    /// Builds the element in a process of its own, and gives its report.
    pub(crate) fn build(
        &self,
        cache: &Path,
        mode: &str,
        expected: Outcome,
    ) -> Result<Value, Failure> {
        let report = self.folder.join("report.json");
        let _ = fs::remove_file(&report);
        let mut command = Command::new(&self.program);
        command
            .arg("--cache-dir")
            .arg(cache)
            .arg("--directory")
            .arg(&self.project);
        command.arg("--builders").arg(builders().to_string());
        command.args([
            "--option",
            "recc",
            "remote",
            "--on-error",
            "continue",
            "build",
        ]);
        command
            .args(["--audit", "--speculation", mode, "--json"])
            .arg(&report)
            .arg(&self.element);
        command.stdout(std::process::Stdio::null());
        let status = command
            .status()
            .map_err(|error| io(&self.program, &error))?;
        if status.success() != (expected == Outcome::Success) {
            let expected = if expected == Outcome::Success {
                "succeed"
            } else {
                "fail"
            };
            return Err(Failure::new(format!(
                "the build should {expected}, but ended with {status}"
            )));
        }
        let text = fs::read_to_string(&report).map_err(|error| io(&report, &error))?;
        serde_json::from_str(&text)
            .map_err(|error| Failure::new(format!("{}: {error}", report.display())))
    }
}

/// Elements that are built at a time, in all modes: one for two processors, so that a configure
/// script, which uses one, leaves another idle, as it does on a farm; four at most, as BuildStream.
fn builders() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (processors / 2).clamp(1, 4)
}

fn find_project() -> Result<PathBuf, Failure> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo");
    let here = PathBuf::from("demo");
    [here, built].into_iter().find(|folder| folder.join("project.conf").is_file()).ok_or_else(|| {
        Failure::new("the demo project is not here: run this in the folder of Headstart's sources, or give --project")
    })
}

fn run(mut command: Command, name: &str) -> Result<(), Failure> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!(
            "`{name}` failed: {status}; it says above what is missing"
        ))),
        Err(error) => Err(Failure::new(format!(
            "`{name}` could not be started: {error}"
        ))),
    }
}

fn is_made(path: &Path) -> bool {
    MADE.iter().any(|made| path == Path::new(made))
}

fn leads_to_made(path: &Path) -> bool {
    MADE.iter().any(|made| Path::new(made).starts_with(path))
}

/// Removes an older copy, but not what takes long to make.
fn remove_old(project: &Path, below: &Path) -> Result<(), Failure> {
    let folder = project.join(below);
    let Ok(entries) = fs::read_dir(&folder) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let below = below.join(entry.file_name());
        let path = entry.path();
        let removed = if is_made(&below) {
            Ok(())
        } else if leads_to_made(&below) {
            remove_old(project, &below)?;
            Ok(())
        } else if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.map_err(|error| io(&path, &error))?;
    }
    Ok(())
}

/// Copies the project, without what somebody made in it.
fn copy(from: &Path, to: &Path, below: &Path) -> Result<(), Failure> {
    let target = to.join(below);
    fs::create_dir_all(&target).map_err(|error| io(&target, &error))?;
    let folder = from.join(below);
    for entry in fs::read_dir(&folder).map_err(|error| io(&folder, &error))? {
        let entry = entry.map_err(|error| io(&folder, &error))?;
        let below = below.join(entry.file_name());
        let (source, target) = (entry.path(), to.join(&below));
        if is_made(&below) {
            continue;
        }
        let copied = if source.is_symlink() {
            fs::read_link(&source).and_then(|link| std::os::unix::fs::symlink(link, &target))
        } else if source.is_dir() {
            copy(from, to, &below)?;
            Ok(())
        } else {
            fs::copy(&source, &target).map(|_| ())
        };
        copied.map_err(|error| io(&source, &error))?;
    }
    Ok(())
}
