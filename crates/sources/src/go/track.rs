//! Tracking `go_module`: the commit of the version that the sources before it ask for.

use std::path::Path;

use headstart_merkle::{DirectoryDigest, Tree};
use headstart_project::{Explicit, ExplicitIn, GoModule, GoRef};
use headstart_yaml::{Mapping, Node, Scalar};

use super::version::{commit, release};
use crate::curl::Curl;
use crate::error::SourceError;
use crate::files::text_at;
use crate::git::{describe, full_commit, newest_ref};
use crate::{Store, tree_path};

/// The new `ref`, for the sources in `previous`.
pub(crate) fn track(
    source: &GoModule,
    previous: DirectoryDigest,
    folder: &Path,
    store: &Store,
) -> Result<Node, SourceError> {
    let mut tree = Tree::stored(previous);
    let mut text = |name: &str| {
        let text = text_at(&mut tree, &tree_path(name)?, store)?;
        text.ok_or_else(|| refuse(source, &format!("the sources before it have no {name}")))
    };
    let sums = text("go.sum")?;
    let version = version_in(&source.module, &sums);
    let version = version.ok_or_else(|| refuse(source, "it is not in go.sum"))?;
    let mut subdirectory = subdirectory(source)?;
    let commit = match commit(version) {
        Some(short) => full_commit(&source.address, short, folder)?,
        None => {
            let release = release(version, source.explicit).ok_or_else(|| {
                refuse(
                    source,
                    &format!("the version '{version}' leads to no commit"),
                )
            })?;
            // Whether a later version has a directory of its own is seen when it is staged.
            let first = subdirectory.strip_suffix(release.major);
            let first = first.unwrap_or(&subdirectory);
            subdirectory = first.strip_suffix('/').unwrap_or(first).to_owned();
            let tag = match &*subdirectory {
                "" => release.tag.to_owned(),
                directory => format!("{directory}/{}", release.tag),
            };
            let (name, commit) = newest_ref(&source.address, &tag, &[])?;
            describe(&source.address, &name, &commit, folder)?
        }
    };
    let explicit = match source.explicit {
        ExplicitIn::Ref => Explicit::Said(text("go.mod")?.contains(&*source.module)),
        ExplicitIn::GoMod => Explicit::Unsaid,
    };
    Ok(written(version, &commit, explicit, &subdirectory))
}

/// The `ref` that a source has.
pub(crate) fn reference(reference: &GoRef) -> Node {
    let GoRef {
        version, commit, ..
    } = reference;
    let subdirectory = reference.subdirectory.as_deref().unwrap_or_default();
    written(version, &commit.written, reference.explicit, subdirectory)
}

fn written(version: &str, commit: &str, explicit: Explicit, subdirectory: &str) -> Node {
    let mut node = Mapping::default();
    node.insert("go-version", Scalar::synthetic(version));
    node.insert("git-ref", Scalar::synthetic(commit));
    let explicit = match explicit {
        Explicit::Said(true) => Some("True"),
        Explicit::Said(false) => Some("False"),
        // Never what is tracked: so that it goes.
        Explicit::Ignored => Some(""),
        Explicit::Unsaid => None,
    };
    if let Some(explicit) = explicit {
        node.insert("explicit", Scalar::synthetic(explicit));
    }
    if !subdirectory.is_empty() {
        node.insert("subdirectory", Scalar::synthetic(subdirectory));
    }
    node.into()
}

fn refuse(source: &GoModule, said: &str) -> SourceError {
    SourceError::Tool {
        doing: format!("the module {} can't be tracked", source.module),
        said: said.to_owned(),
    }
}

/// The version of a module that `go.sum` has a sum of, not only of its `go.mod`.
fn version_in<'a>(module: &str, sums: &'a str) -> Option<&'a str> {
    let mut lines = sums.lines().map(str::split_whitespace);
    lines.find_map(|mut words| {
        let (name, version) = (words.next()?, words.next()?);
        let is_whole = !version.ends_with("/go.mod") && !version.ends_with("/go.sum");
        (name == module && is_whole).then_some(version)
    })
}

/// The directory of its repository that a module is in: what its path has behind that of the repository.
fn subdirectory(source: &GoModule) -> Result<String, SourceError> {
    let module = &*source.module;
    // There, all repositories have two names.
    if module.starts_with("github.com") {
        let names: Vec<&str> = module.split('/').skip(3).collect();
        return Ok(names.join("/"));
    }
    let url = format!("https://{module}?go-get=1");
    let output = Curl::new(&url).with(["--fail", "--max-time", "30"]).run()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(refuse(source, said.trim()));
    }
    let page = String::from_utf8_lossy(&output.stdout);
    let below = imports(&page).find_map(|repository| below(module, &repository));
    Ok(below.unwrap_or_default())
}

/// What a path has behind another one, if it is that or below it.
fn below(path: &str, other: &str) -> Option<String> {
    let rest = path.strip_prefix(other)?;
    match rest.strip_prefix('/') {
        Some(below) => Some(below.to_owned()),
        None => rest.is_empty().then(String::new),
    }
}

/// The paths of the repositories that a page names: `<meta name="go-import" content="PATH git ADDRESS">`.
///
/// <https://go.dev/ref/mod#vcs-find>
fn imports(page: &str) -> impl Iterator<Item = String> + '_ {
    let tags = page.split('<').skip(1);
    tags.filter_map(|tag| {
        let name = tag.split(|c: char| c.is_ascii_whitespace()).next()?;
        if !name.eq_ignore_ascii_case("meta") {
            return None;
        }
        let attributes = &tag[name.len()..];
        (attribute(attributes, "name")? == "go-import").then_some(())?;
        let content = attribute(attributes, "content")?;
        content.split_whitespace().next().map(str::to_owned)
    })
}

/// The value of an attribute of a tag.
fn attribute<'a>(mut text: &'a str, wanted: &str) -> Option<&'a str> {
    loop {
        let (name, rest) = text.split_once('=')?;
        let name = name
            .trim_end()
            .rsplit(|c: char| c.is_ascii_whitespace())
            .next()?;
        let rest = rest.trim_start();
        let (value, rest) = match rest.chars().next()? {
            quote @ ('"' | '\'') => rest[1..].split_once(quote)?,
            _ => {
                let end = rest.find(|c: char| c.is_ascii_whitespace() || c == '>');
                rest.split_at(end.unwrap_or(rest.len()))
            }
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        text = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_whole_modules() {
        let sums = "a/b v1.0.0/go.mod h1:x=\na/b v1.1.0 h1:y=\na v2.0.0 h1:z=\nbroken\n";
        assert_eq!(version_in("a/b", sums), Some("v1.1.0"));
        assert_eq!(version_in("a", sums), Some("v2.0.0"));
        assert_eq!(version_in("c", sums), None);
    }

    #[test]
    fn repositories_are_found_in_pages() {
        let page = "<!DOCTYPE html><HTML><head>\n<meta charset=utf-8>\n\
            <META content='golang.org/x/tools git https://go.example/tools' name='go-import'>\n\
            <meta name=\"go-source\" content=\"x y z\"><meta name=go-import content=\"a mod b\">";
        let found: Vec<_> = imports(page).collect();
        assert_eq!(found, ["golang.org/x/tools", "a"]);
        let module = "golang.org/x/tools/gopls";
        assert_eq!(below(module, &found[0]), Some("gopls".to_owned()));
        assert_eq!(below("golang.org/x/tools", &found[0]), Some(String::new()));
        assert_eq!(below("golang.org/x/toolsets", &found[0]), None);
        assert_eq!(imports("<meta name=\"go-import\" content").next(), None);
    }
}
