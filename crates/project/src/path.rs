//! Paths in a project: how they are written, and that they stay inside.

use std::collections::VecDeque;

use headstart_yaml::Scalar;

use crate::error::{LoadError, Problem};
use crate::files::{FileError, Files, Stat};

/// Symbolic links that are followed for one path.
const MAX_LINKS: usize = 40;

/// What a path must lead to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    Anything,
    File,
    Directory,
}

/// As `os.path.normpath`: without `.`, empty names, and `..` behind a name.
pub(crate) fn normalize(path: &str) -> String {
    if path.split('/').all(|name| !matches!(name, "" | "." | "..")) {
        return path.to_owned();
    }
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." if names.last().is_some_and(|last| *last != "..") => {
                names.pop();
            }
            ".." if path.starts_with('/') => {}
            name => names.push(name),
        }
    }
    let slash = if path.starts_with('/') { "/" } else { "" };
    format!("{slash}{}", names.join("/"))
}

/// A path as the project's files are named, or why it can't be one.
pub(crate) fn within_project(path: &str) -> Result<String, &'static str> {
    if path.starts_with('/') {
        return Err("is absolute: it must be relative to the project's directory");
    }
    let path = normalize(path);
    if path == ".." || path.starts_with("../") {
        return Err("leads out of the project's directory");
    }
    Ok(path)
}

/// Checks a path below something that is not there yet; `problem` is what is wrong if it leads out of that.
pub(crate) fn check_below(path: &Scalar, problem: &'static str) -> Result<(), LoadError> {
    match within_project(&path.value) {
        Ok(_) => Ok(()),
        Err(_) => {
            let path_text = path.value.to_string();
            let problem = Problem::Path {
                path: path_text,
                problem,
            };
            Err(LoadError::at(&path.at, problem))
        }
    }
}

/// Checks a path that an element or project.conf names, and gives it as files are named.
pub(crate) fn check(files: &dyn Files, path: &Scalar, expect: Expect) -> Result<String, LoadError> {
    let refuse = |problem| {
        let path_text = path.value.to_string();
        LoadError::at(
            &path.at,
            Problem::Path {
                path: path_text,
                problem,
            },
        )
    };
    let unreadable = |error| match error {
        FileError::NotFound => refuse("does not exist"),
        error => {
            let path_text = path.value.to_string();
            LoadError::at(
                &path.at,
                Problem::Read {
                    path: path_text,
                    error,
                },
            )
        }
    };
    let name = within_project(&path.value).map_err(refuse)?;
    let last = files.stat(&name).map_err(unreadable)?;
    if matches!(last, Stat::Symlink(_)) {
        return Err(refuse("is a symbolic link"));
    }
    let resolved = resolve(files, &name).map_err(|stop| match stop {
        Stop::Outside => refuse("leads out of the project's directory"),
        Stop::Error(error) => unreadable(error),
    })?;
    match (files.stat(&resolved).map_err(unreadable)?, expect) {
        (Stat::Other, _) => Err(refuse("is neither a file nor a directory")),
        (Stat::Directory, Expect::File) => Err(refuse("is a directory, expected a file")),
        (Stat::File, Expect::Directory) => Err(refuse("is a file, expected a directory")),
        _ => Ok(name),
    }
}

enum Stop {
    Outside,
    Error(FileError),
}

/// Follows symbolic links on the way; a link out of the project is none of its files.
fn resolve(files: &dyn Files, path: &str) -> Result<String, Stop> {
    let mut todo: VecDeque<String> = path.split('/').map(str::to_owned).collect();
    let mut done: Vec<String> = Vec::new();
    let mut links = 0;
    while let Some(name) = todo.pop_front() {
        match name.as_str() {
            "" | "." => continue,
            ".." => {
                done.pop().ok_or(Stop::Outside)?;
                continue;
            }
            _ => done.push(name),
        }
        if let Stat::Symlink(target) = files.stat(&done.join("/")).map_err(Stop::Error)? {
            links += 1;
            if links > MAX_LINKS || target.starts_with('/') {
                return Err(Stop::Outside);
            }
            done.pop();
            for name in target.split('/').rev() {
                todo.push_front(name.to_owned());
            }
        }
    }
    Ok(done.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalized_as_python_does() {
        for (path, expected) in [
            ("a/./b//c", "a/b/c"),
            ("./a/../b", "b"),
            ("../a", "../a"),
            ("a/../../b", "../b"),
            ("/../a", "/a"),
            (".", ""),
            ("a/", "a"),
        ] {
            assert_eq!(normalize(path), expected, "{path}");
        }
    }
}
