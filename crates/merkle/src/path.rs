//! Names and paths inside a tree: always relative, never leaving it.

use std::borrow::Borrow;
use std::fmt;

use smol_str::SmolStr;
use thiserror::Error;

/// One component of a path: not empty, not `.` or `..`, without `/` and NUL.
///
/// Cheap to clone: most names fit into the value itself, and longer ones are shared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(SmolStr);

/// A path below the root of a tree; empty for the root itself.
///
/// Kept as its components joined by `/`. Compared component by component, as a walk in name order
/// meets them.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct TreePath(Box<str>);

/// A name or path that could not be inside a tree.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("{path:?} is not a path inside a tree: {reason}")]
pub struct InvalidPath {
    path: String,
    reason: &'static str,
}

impl Name {
    /// Checks one component.
    pub fn new(name: &str) -> Result<Self, InvalidPath> {
        match flaw(name) {
            None => Ok(Self(name.into())),
            Some(reason) => Err(InvalidPath {
                path: name.to_owned(),
                reason,
            }),
        }
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn flaw(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("a component is empty"),
        "." | ".." => Some("`.` and `..` have no place in it"),
        _ => name.bytes().find_map(|byte| match byte {
            b'/' => Some("a component contains `/`"),
            0 => Some("it contains a NUL"),
            _ => None,
        }),
    }
}

impl TreePath {
    /// The root.
    pub fn root() -> Self {
        Self::default()
    }

    /// A path as the REAPI writes it: relative, components joined by `/`, in normal form.
    pub fn new(path: &str) -> Result<Self, InvalidPath> {
        let reason = match path {
            "" => None,
            _ if path.starts_with('/') => Some("it is absolute"),
            _ => path.split('/').find_map(flaw),
        };
        match reason {
            None => Ok(Self(path.into())),
            Some(reason) => Err(InvalidPath {
                path: path.to_owned(),
                reason,
            }),
        }
    }

    /// A path as people write it, absolute or relative to the root: leading, doubled and trailing
    /// slashes and `.` dropped, `..` resolved by name.
    ///
    /// # Errors
    /// When `..` would leave the tree.
    pub fn normalized(path: &str) -> Result<Self, InvalidPath> {
        let invalid = |reason| InvalidPath {
            path: path.to_owned(),
            reason,
        };
        let mut components: Vec<&str> = Vec::new();
        for component in path.split('/') {
            match component {
                "" | "." => {}
                ".." => {
                    components
                        .pop()
                        .ok_or_else(|| invalid("`..` leads out of it"))?;
                }
                _ if component.contains('\0') => return Err(invalid("it contains a NUL")),
                _ => components.push(component),
            }
        }
        Ok(Self(components.join("/").into()))
    }

    /// The path's text, without a leading slash; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The components, outermost first.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|component| !component.is_empty())
    }

    /// The path of `name` in this directory.
    pub fn child(&self, name: &Name) -> Self {
        if self.is_root() {
            Self(name.as_str().into())
        } else {
            Self(format!("{}/{}", self.0, name.0).into())
        }
    }

    /// `below` taken relative to this path.
    pub fn join(&self, below: &Self) -> Self {
        match (self.is_root(), below.is_root()) {
            (true, _) => below.clone(),
            (_, true) => self.clone(),
            _ => Self(format!("{}/{}", self.0, below.0).into()),
        }
    }

    /// The directory and the name in it; `None` for the root.
    pub fn split(&self) -> Option<(Self, Name)> {
        if self.is_root() {
            return None;
        }
        let (parent, name) = self.0.rsplit_once('/').unwrap_or(("", &self.0));
        Some((Self(parent.into()), Name(name.into())))
    }

    /// What follows `base`, if this path is `base` or below it.
    pub fn strip_prefix(&self, base: &Self) -> Option<Self> {
        if base.is_root() {
            return Some(self.clone());
        }
        match self.0.strip_prefix(&*base.0)? {
            "" => Some(Self::root()),
            rest => rest.strip_prefix('/').map(|rest| Self(rest.into())),
        }
    }
}

impl Ord for TreePath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.components().cmp(other.components())
    }
}

impl PartialOrd for TreePath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl From<Name> for TreePath {
    fn from(name: Name) -> Self {
        Self(name.as_str().into())
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_paths_are_refused() {
        for bad in ["/etc", "a//b", "a/", "..", "a/../b", ".", "a\0b"] {
            assert!(TreePath::new(bad).is_err(), "{bad:?}");
        }
        for bad in ["..", "a/../../b", "/.."] {
            assert!(TreePath::normalized(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            TreePath::normalized("//usr/./lib/../bin/")
                .unwrap()
                .as_str(),
            "usr/bin"
        );
    }

    #[test]
    fn paths_split_and_join() {
        let path = TreePath::new("usr/include/zlib.h").unwrap();
        let (parent, name) = path.split().unwrap();
        assert_eq!((parent.as_str(), name.as_str()), ("usr/include", "zlib.h"));
        assert_eq!(parent.child(&name), path);
        let usr = TreePath::new("usr").unwrap();
        assert_eq!(path.strip_prefix(&usr).unwrap().as_str(), "include/zlib.h");
        assert_eq!(path.strip_prefix(&TreePath::new("us").unwrap()), None);
        assert_eq!(usr.join(&path.strip_prefix(&usr).unwrap()), path);
    }
}
