//! Scripts that build elements on the machine itself, without sandbox, cache or dependencies, for
//! machines that have to be bootstrapped: `source checkout --include-build-scripts`.
//!
//! They do what those of BuildStream do and are called alike: `build.sh` runs the script of each
//! element, in the order in which elements are staged; each builds what is in `$SRCDIR` and installs it
//! into the machine's root.

use std::fmt::Write as _;

use headstart_project::{Build, Config, Element, Import};

use crate::script::quote;

/// What an element's script is made of.
pub struct BareBuild<'a> {
    /// The element.
    pub element: &'a Element,
    /// Where its sources are, relative to `$SRCDIR`.
    pub sources: &'a str,
    /// The commands that build it, from [`bare_commands`] or from its plugin.
    pub commands: &'a str,
}

/// The shell commands that build an element; `None` of kinds that can only be built in a sandbox, and
/// of those whose plugin must be asked.
pub fn bare_commands(element: &Element) -> Option<String> {
    match &element.config {
        Config::Build(build) => Some(commands_of(build)),
        Config::Import(import) => Some(copying(element, import)),
        _ => None,
    }
}

fn commands_of(build: &Build) -> String {
    let mut text = String::new();
    if let Some(below) = &build.command_subdir {
        let below = quote(below);
        let _ = writeln!(text, "mkdir -p {below}\ncd {below}");
    }
    for (_, command) in build.steps() {
        // A shell of its own, as in a sandbox: what a command changes in it is gone.
        let _ = writeln!(text, "sh -ex -c {}", quote(command));
    }
    text
}

fn copying(element: &Element, import: &Import) -> String {
    let below = |root: &str, path: &str| {
        let path = path.trim_matches('/');
        quote(&format!("{}/{path}", root.trim_end_matches('/')))
    };
    let source = below(element.build_root(), &import.source);
    let target = below(element.install_root(), &import.target);
    format!("mkdir -p {target}\ncp -a {source}/. {target}\n")
}

impl BareBuild<'_> {
    /// The script.
    pub fn script(&self) -> String {
        let name = quote(&self.element.full_name);
        let sources = quote(self.sources);
        let root = quote(self.element.build_root());
        let install = quote(self.element.install_root());
        let mut exports = format!("export PREFIX={install}\n");
        for (name, value) in self.element.environment.iter() {
            let _ = writeln!(exports, "export {name}={}", quote(value));
        }
        let commands = self.commands;
        format!(
            r#"#!/bin/sh
# Builds one element on this machine, without a sandbox, and installs it into its root.
set -eu
sources="$(cd "${{SRCDIR:-$(dirname "$0")}}" && pwd)"/{sources}
echo Building {name}
rm -rf {root} {install}
mkdir -p {root} {install}
if [ -d "$sources" ]; then
    cp -a "$sources/." {root}
fi
cd {root}
{exports}
{commands}
cd /
rm -rf {root}
echo Installing {name}
tar -C {install} -cf - . | tar -C / -xpf - --no-overwrite-dir --keep-directory-symlink
"#
        )
    }
}

/// The script that runs those of the given names, one after another.
pub fn bare_build_all(scripts: &[String]) -> String {
    let names: Vec<String> = scripts.iter().map(|name| quote(name)).collect();
    let names = names.join(" ");
    format!(
        r#"#!/bin/sh
# Builds elements on this machine, without sandboxes, and installs each into its root.
set -eu
SRCDIR="${{SRCDIR:-$(dirname "$0")}}"
export SRCDIR
for script in {names}; do
    if ! "$SRCDIR/$script"; then
        echo "$script failed" >&2
        exit 1
    fi
    if [ -e /sbin/ldconfig ]; then
        /sbin/ldconfig || true
    fi
done
"#
    )
}
