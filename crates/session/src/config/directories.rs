//! Directories that the user's configuration names, and those that it is found in.

use std::env;
use std::path::{Component, Path, PathBuf};

use headstart_yaml::{Error as YamlError, Mapping};

/// A directory that a key names, which must be absolute after `~` and variables of the environment were
/// replaced in it; only that of workspaces may be the one where the program runs.
pub(super) fn directory(mapping: &Mapping, key: &str) -> Result<PathBuf, YamlError> {
    let scalar = mapping.required_scalar(key)?;
    let path = normal(Path::new(&replaced(&scalar.value)));
    let here = key == "workspacedir" && path == Path::new(".");
    match path.is_absolute() || here {
        true => Ok(path),
        false => Err(scalar.unlike("an absolute path")),
    }
}

/// The file that is read if the command line names none.
pub(super) fn default_file() -> Option<PathBuf> {
    let folder = xdg_folder("XDG_CONFIG_HOME", ".config")?;
    ["buildstream2.conf", "buildstream.conf"]
        .into_iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
}

/// A folder of the XDG base directory specification.
pub fn xdg_folder(variable: &str, below_home: &str) -> Option<PathBuf> {
    let given = env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    given.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(below_home)))
}

/// A path of a file for a server: `~`, `$HOME` or `$XDG_CACHE_HOME` at its beginning is replaced.
pub(super) fn expand(path: &str) -> PathBuf {
    let folders = [
        "~",
        "$HOME",
        "${HOME}",
        "$XDG_CACHE_HOME",
        "${XDG_CACHE_HOME}",
    ];
    match path.split_once('/') {
        Some((first, rest)) if folders.contains(&first) => Path::new(&replaced(first)).join(rest),
        _ => path.into(),
    }
}

/// A text with `~` at its beginning and `$NAME` and `${NAME}` anywhere replaced; what is not set is left.
fn replaced(text: &str) -> String {
    let home = || env::var("HOME").ok();
    let begins_at_home = text == "~" || text.starts_with("~/");
    let (mut result, mut rest) = match home().filter(|_| begins_at_home) {
        Some(home) => (home, &text[1..]),
        None => (String::new(), text),
    };
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        rest = &rest[at..];
        let (name, length) = reference(rest);
        match value(name) {
            Some(value) => result.push_str(&value),
            None => result.push_str(&rest[..length]),
        }
        rest = &rest[length..];
    }
    result + rest
}

/// The variable that a text beginning with `$` refers to, and how long the reference is.
fn reference(text: &str) -> (&str, usize) {
    let name = &text[1..];
    if let Some(name) = name.strip_prefix('{')
        && let Some(end) = name.find('}')
    {
        return (&name[..end], end + 3);
    }
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let end = name.find(|letter| !is_part(letter)).unwrap_or(name.len());
    (&name[..end], end + 1)
}

fn value(name: &str) -> Option<String> {
    let below_home = match name {
        "XDG_CACHE_HOME" => ".cache",
        "XDG_CONFIG_HOME" => ".config",
        "XDG_DATA_HOME" => ".local/share",
        _ => return env::var(name).ok(),
    };
    xdg_folder(name, below_home)?
        .into_os_string()
        .into_string()
        .ok()
}

/// A path without `.` and `..`, whatever is there.
fn normal(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if result.file_name().is_some() => {
                result.pop();
            }
            Component::ParentDir if result.has_root() => {}
            other => result.push(other),
        }
    }
    match result.as_os_str().is_empty() {
        true => ".".into(),
        false => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_wherever_they_are() {
        let home = env::var("HOME").unwrap();
        assert_eq!(expand("~/x"), Path::new(&home).join("x"));
        assert_eq!(expand("${HOME}/x"), Path::new(&home).join("x"));
        for unchanged in ["/$HOME/x", "~user/x", "$HEADSTART_NOT_SET/x", "x", "~"] {
            assert_eq!(expand(unchanged), Path::new(unchanged));
        }
        for (written, expected) in [
            ("~", home.clone()),
            ("~/x/../y/.", format!("{home}/y")),
            ("$HOME/x", format!("{home}/x")),
            ("/x${HOME}/y$HOME.z", format!("/x{home}/y{home}.z")),
            (
                "/a/$HEADSTART_NOT_SET/${HEADSTART_NOT_SET}$",
                "/a/$HEADSTART_NOT_SET/${HEADSTART_NOT_SET}$".into(),
            ),
            ("/../..//a/", "/a".into()),
            ("~user", "~user".into()),
            ("a/../..", "..".into()),
            ("", ".".into()),
        ] {
            assert_eq!(
                normal(Path::new(&replaced(written))),
                Path::new(&expected),
                "{written}"
            );
        }
    }
}
