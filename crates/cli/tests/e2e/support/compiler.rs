//! The compiler root, and a cache that has it: made once, taken by every test as hard links.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

use headstart_merkle::BlobDigest;

use super::place::{finish, headstart};

/// The demo project, whose compiler and wiring of recc these tests use.
const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../demo");

const PROJECT: &str = "\
name: e2e
min-version: 2.0
element-path: elements
(@): include/recc.yml

options:
  recc:
    type: enum
    description: As in the demo
    values: ['off', remote, upload]
    default: remote

environment:
  PATH: /usr/bin
";

/// What every test starts from.
pub(crate) struct Compiler {
    /// A project with `toolchain.bst` and `recc.bst`.
    pub(crate) project: PathBuf,
    /// A cache with their artifacts.
    pub(crate) cache: PathBuf,
}

impl Compiler {
    /// Made by the first test that needs it, again for each newly built program: no test must see
    /// what another program than its own put into a cache.
    pub(crate) fn shared() -> Self {
        let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(parent).unwrap();
        let lock = File::create(parent.join("compiler.lock")).unwrap();
        lock.lock().unwrap();
        let folder = parent.join("compiler");
        let compiler = Self {
            project: folder.join("project"),
            cache: folder.join("cache"),
        };
        let stamp = stamp();
        let made_of = folder.join("made-of");
        if fs::read_to_string(&made_of).is_ok_and(|made| made == stamp) {
            return compiler;
        }
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        compiler.make(&folder);
        fs::write(made_of, stamp).unwrap();
        compiler
    }

    fn make(&self, folder: &Path) {
        let files = self.project.join("files");
        fs::create_dir_all(&files).unwrap();
        fs::create_dir_all(self.project.join("elements")).unwrap();
        fs::create_dir_all(self.project.join("include")).unwrap();
        for file in ["elements/recc.bst", "include/recc.yml", "include/gcc.yml"] {
            fs::copy(Path::new(DEMO).join(file), self.project.join(file)).unwrap();
        }
        fs::write(self.project.join("project.conf"), PROJECT).unwrap();
        self.make_toolchain(folder);
        copy_links(&Path::new(DEMO).join("files/recc"), &files.join("recc"));
        let recc = files.join("recc/usr/bin/recc");
        fs::create_dir_all(recc.parent().unwrap()).unwrap();
        // The demo's copy may be somebody's own recc.
        if recc.exists() {
            fs::remove_file(&recc).unwrap();
        }
        fs::write(&recc, headstart_embed::LAUNCHER).unwrap();
        fs::set_permissions(&recc, fs::Permissions::from_mode(0o755)).unwrap();
        let mut build = headstart(&self.project, &self.cache, folder);
        finish(build.args(["build", "--speculation", "none", "recc.bst"]));
        finish(headstart(&self.project, &self.cache, folder).args([
            "build",
            "--speculation",
            "none",
            "toolchain.bst",
        ]));
    }

    /// The same element as in the demo, of the same files, but in a tar: a key of files in a folder is made by
    /// reading them all, which would be most of what BuildStream does in these tests.
    fn make_toolchain(&self, folder: &Path) {
        let root = folder.join("toolchain");
        finish(Command::new(Path::new(DEMO).join("toolchain")).arg(&root));
        let packed = folder.join("toolchain.tar");
        let mut tar = Command::new("tar");
        tar.arg("--create").arg("--file").arg(&packed);
        finish(tar.arg("--directory").arg(&root).arg("."));
        let element = fs::read_to_string(Path::new(DEMO).join("elements/toolchain.bst")).unwrap();
        let local = "- kind: local\n  path: files/toolchain\n";
        assert!(element.contains(local), "{element}");
        let tar = format!(
            "- kind: tar\n  url: 'file://{}'\n  ref: {}\n  base-dir: ''\n",
            packed.display(),
            BlobDigest::of(&fs::read(&packed).unwrap()).hex()
        );
        let path = self.project.join("elements/toolchain.bst");
        fs::write(path, element.replace(local, &tar)).unwrap();
    }

    /// The files of `toolchain.bst`.
    pub(crate) fn root() -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiler/toolchain")
    }
}

/// What tells one build of the program from another.
fn stamp() -> String {
    let program = fs::metadata(env!("CARGO_BIN_EXE_headstart")).unwrap();
    let modified = program
        .modified()
        .unwrap()
        .duration_since(UNIX_EPOCH)
        .unwrap();
    format!("{} {}", program.len(), modified.as_nanos())
}

/// Makes `to` what `from` is, each file a link to it: for what is only ever replaced, not changed.
pub(crate) fn copy_links(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    finish(
        Command::new("cp")
            .arg("--archive")
            .arg("--link")
            .arg(from)
            .arg(to),
    );
}
