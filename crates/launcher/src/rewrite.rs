//! Paths of the project made relative to the current directory, so that equal calls in different
//! places are equal actions.

use std::path::{Component, Path, PathBuf};

/// Makes paths inside a project relative.
pub(crate) struct Rewrite {
    /// The current directory, absolute.
    current: PathBuf,
    /// Absolute; `None` leaves all paths as they are.
    project: Option<PathBuf>,
}

/// Options with a path attached, longer ones first.
const ATTACHED: &[&str] = &[
    "-isystem",
    "-iquote",
    "-idirafter",
    "-include",
    "-imacros",
    "-Wp,-MMD,",
    "-Wp,-MD,",
    "-MF",
    "-MT",
    "-MQ",
    "-I",
    "-L",
    "-o",
];

impl Rewrite {
    /// Leaves all paths as they are.
    pub(crate) fn none(current: PathBuf) -> Self {
        Self {
            current,
            project: None,
        }
    }

    /// Makes paths inside `project` relative.
    pub(crate) fn inside(project: PathBuf, current: PathBuf) -> Self {
        Self {
            current,
            project: Some(project),
        }
    }

    /// `path`, relative to the current directory if it is absolute and inside the project.
    pub(crate) fn path(&self, path: &str) -> String {
        let inside = |project: &PathBuf| {
            let normal = normalized(Path::new(path));
            if !Path::new(path).is_absolute() || !normal.starts_with(project) {
                return None;
            }
            relative(&normal, &self.current).to_str().map(str::to_owned)
        };
        self.project
            .as_ref()
            .and_then(inside)
            .unwrap_or_else(|| path.to_owned())
    }

    /// A command's argument, its path rewritten if it is one or has one attached. Definitions keep
    /// theirs: those are text.
    pub(crate) fn argument(&self, argument: &str) -> String {
        if argument.starts_with('/') {
            return self.path(argument);
        }
        let attached = ATTACHED.iter().find_map(|option| {
            let path = argument.strip_prefix(option)?;
            path.starts_with('/')
                .then(|| format!("{option}{}", self.path(path)))
        });
        attached.unwrap_or_else(|| argument.to_owned())
    }
}

/// How many levels above where it starts `path` leads at most.
pub(crate) fn levels_up(path: &str) -> usize {
    let mut up: usize = 0;
    let mut down: usize = 0;
    for component in Path::new(path).components() {
        match component {
            Component::RootDir => return 0,
            Component::ParentDir if down == 0 => up += 1,
            Component::ParentDir => down -= 1,
            Component::Normal(_) => down += 1,
            _ => {}
        }
    }
    up
}

/// `path` without `.` and `..`, by name alone.
pub(crate) fn normalized(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

/// The way from `from` to `to`, both absolute and in normal form.
fn relative(to: &Path, from: &Path) -> PathBuf {
    let common = to
        .components()
        .zip(from.components())
        .take_while(|(to, from)| to == from)
        .count();
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(to.components().skip(common)).collect();
    if way.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        way
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_project_become_relative() {
        let rewrite = Rewrite::inside("/p".into(), "/p/build".into());
        for (argument, expected) in [
            ("/p/build/a.c", "a.c"),
            ("/p/src/a.c", "../src/a.c"),
            ("/p/build", "."),
            ("/p/src/../inc", "../inc"),
            ("-I/p/inc", "-I../inc"),
            ("-isystem/p/inc", "-isystem../inc"),
            ("-Wp,-MD,/p/build/a.d", "-Wp,-MD,a.d"),
            ("-DX=/p/inc", "-DX=/p/inc"),
            ("/pp/a.c", "/pp/a.c"),
            ("/usr/include", "/usr/include"),
            ("../src/a.c", "../src/a.c"),
            ("-O2", "-O2"),
        ] {
            assert_eq!(rewrite.argument(argument), expected, "{argument}");
        }
        assert_eq!(Rewrite::none("/p".into()).argument("/p/a.c"), "/p/a.c");
    }

    #[test]
    fn levels_are_counted() {
        for (path, expected) in [
            ("a", 0),
            ("../a", 1),
            ("a/../b", 0),
            ("a/../../b", 1),
            ("../../a/../..", 3),
            ("/..", 0),
        ] {
            assert_eq!(levels_up(path), expected, "{path}");
        }
    }
}
