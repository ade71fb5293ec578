//! Tracking Git repositories: the newest commit that a source wants.

use std::path::Path;
use std::sync::Arc;

use headstart_project::{Address, Git as GitSource, GitRepo, GitTag, Tag};

use super::{Git, clone, mirror, repo, resolve};
use crate::error::SourceError;
use crate::glob::Glob;
use crate::places::track_at_first;

/// The newest commit of a `git` source, with the tags that lead to it if it wants them; none if it
/// tracks nothing.
pub(crate) fn track_git(
    source: &GitSource,
    folder: &Path,
) -> Result<Option<(String, Vec<Tag>)>, SourceError> {
    let Some(track) = &source.track else {
        return Ok(None);
    };
    let mirror = mirror::fetch_all(&source.address, folder)?;
    let commit = super::require(&mirror, track, &source.address.url)?;
    let tags = match source.track_tags {
        true => reachable_tags(&mirror, &commit)?,
        false => Vec::new(),
    };
    let reference = match source.describe {
        true => Git::of(&mirror)
            .args(["describe", "--tags", "--abbrev=40", "--long", "--always"])
            .arg(&commit)
            .run("it can't be described")?
            .trim()
            .to_owned(),
        false => commit,
    };
    Ok(Some((reference, tags)))
}

/// The nearest tags before a commit: with and without tags that are no objects, on all ways back
/// and on that of first parents alone.
fn reachable_tags(mirror: &Path, commit: &str) -> Result<Vec<Tag>, SourceError> {
    let mut tags: Vec<Tag> = Vec::new();
    for options in [
        &[][..],
        &["--first-parent"],
        &["--tags"],
        &["--tags", "--first-parent"],
    ] {
        let git = Git::of(mirror).args(["describe", "--abbrev=0", commit]);
        let Some(name) = git.args(options).ask()? else {
            continue;
        };
        if tags.iter().any(|tag| *tag.name == *name) {
            continue;
        }
        let reference = format!("refs/tags/{name}");
        let kind = Git::of(mirror).args(["cat-file", "-t", &reference]).ask()?;
        if let Some(commit) = resolve(mirror, &reference)? {
            tags.push(Tag {
                name: name.into(),
                commit: commit.into(),
                annotated: kind.as_deref() == Some("tag"),
            });
        }
    }
    Ok(tags)
}

/// The newest commit that a `git_repo` source wants; none if it tracks nothing.
pub(crate) fn track_repo(source: &GitRepo, folder: &Path) -> Result<Option<String>, SourceError> {
    let Some(track) = &source.track else {
        return Ok(None);
    };
    let (name, commit) = newest_ref(&source.address, track, &source.exclude)?;
    if !source.describe {
        return Ok(Some(commit));
    }
    describe(&source.address, &name, &commit, folder).map(Some)
}

/// The newest ref, in the order of versions, that matches the pattern `track` and none of `exclude`: its
/// name and its commit.
pub(crate) fn newest_ref(
    address: &Address,
    track: &str,
    exclude: &[Arc<str>],
) -> Result<(String, String), SourceError> {
    let listed = list(address)?;
    let refs = parse(&listed);
    let wanted = RefPattern::new(track);
    let excluded: Vec<RefPattern> = exclude.iter().map(|text| RefPattern::new(text)).collect();
    let matching = refs.iter().filter(|(_, name)| {
        let is_excluded = || excluded.iter().any(|pattern| pattern.matches(name));
        !name.ends_with("^{}") && wanted.matches(name) && !is_excluded()
    });
    let newest = matching.max_by_key(|(_, name)| version_parts(name));
    let (id, name) = newest.ok_or_else(|| SourceError::Tool {
        doing: "it can't be tracked".to_owned(),
        said: format!(
            "{} has no branch or tag that matches '{track}'",
            address.url
        ),
    })?;
    let peeled = format!("{name}^{{}}");
    let peeled = refs.iter().find(|(_, other)| *other == peeled);
    let commit = peeled.map_or(*id, |(id, _)| id);
    Ok(((*name).to_owned(), commit.to_owned()))
}

/// The commit of a ref as `git describe` says it, which for a tag takes no history.
pub(crate) fn describe(
    address: &Address,
    name: &str,
    commit: &str,
    folder: &Path,
) -> Result<String, SourceError> {
    if let Some(tag) = name.strip_prefix("refs/tags/") {
        return Ok(format!("{tag}-0-g{commit}"));
    }
    let mirror = repo::fetch_all(address, folder)?;
    let described = Git::of(&mirror)
        .args(["describe", "--tags", "--abbrev=40", "--long", commit])
        .ask()?;
    Ok(described.unwrap_or_else(|| commit.to_owned()))
}

/// The commit whose hash begins with `short`: of those that branches and tags lead to, or of anything
/// else that the repository has a name for.
pub(crate) fn full_commit(
    address: &Address,
    short: &str,
    folder: &Path,
) -> Result<String, SourceError> {
    let mirror = repo::fetch_all(address, folder)?;
    let known = resolve(&mirror, short)?;
    if let Some(commit) = known.filter(|commit| commit.starts_with(short)) {
        return Ok(commit);
    }
    let listed = list(address)?;
    let named = parse(&listed).into_iter().map(|(id, _)| id);
    let mut matching = named.filter(|id| id.starts_with(short));
    let found = matching.next().map(str::to_owned);
    found.ok_or_else(|| SourceError::NoCommit {
        name: short.to_owned(),
        url: address.url.to_string(),
    })
}

/// What a repository has names for, as `git ls-remote` prints it.
fn list(address: &Address) -> Result<String, SourceError> {
    track_at_first(address, |place| {
        let git = Git::new().args(["ls-remote", "--quiet", "--", &place.url]);
        git.run("it can't be tracked")
    })
}

/// The hashes and names in that.
fn parse(listed: &str) -> Vec<(&str, &str)> {
    let lines = listed.lines();
    lines.filter_map(|line| line.split_once('\t')).collect()
}

/// A shell pattern for the names of refs: of branches and tags, unless it begins with `refs/`.
struct RefPattern {
    glob: Glob,
    whole: bool,
}

impl RefPattern {
    fn new(pattern: &str) -> Self {
        Self {
            glob: Glob::new(pattern),
            whole: pattern.starts_with("refs/"),
        }
    }

    fn matches(&self, name: &str) -> bool {
        match self.whole {
            true => self.glob.matches(name),
            false => ["refs/heads/", "refs/tags/"]
                .iter()
                .filter_map(|prefix| name.strip_prefix(prefix))
                .any(|name| self.glob.matches(name)),
        }
    }
}

/// What names are compared by: numbers as such, and after letters.
fn version_parts(name: &str) -> Vec<(i64, String)> {
    let mut parts: Vec<(i64, String)> = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let same: fn(char) -> bool = match first {
            first if first.is_ascii_digit() => |c| c.is_ascii_digit(),
            first if first.is_ascii_alphabetic() => |c| c.is_ascii_alphabetic(),
            _ => {
                rest = &rest[first.len_utf8()..];
                continue;
            }
        };
        let end = rest.find(|c| !same(c)).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        parts.push(match part.parse() {
            Ok(number) => (number, String::new()),
            Err(_) if first.is_ascii_digit() => (i64::MAX, String::new()),
            Err(_) => (-1, part.to_owned()),
        });
        rest = after;
    }
    parts
}

/// The newest commit of a `git_tag` source, as `git describe` says it; none if it tracks nothing or
/// no tag is found.
pub(crate) fn track_tag(source: &GitTag, folder: &Path) -> Result<Option<String>, SourceError> {
    let Some(track) = &source.track else {
        return Ok(None);
    };
    let mirror = clone::fetch_all(&source.clone.address, folder)?;
    let patterns = source.matching.iter().map(|text| format!("--match={text}"));
    let excluded = source
        .exclude
        .iter()
        .map(|text| format!("--exclude={text}"));
    let patterns: Vec<String> = patterns.chain(excluded).collect();
    let mut newest: Option<(i64, String)> = None;
    for branch in std::iter::once(track).chain(&source.track_extra) {
        let Some((reference, time)) = latest(source, &mirror, branch, &patterns)? else {
            continue;
        };
        // Of two of the same time the first counts.
        if newest.as_ref().is_none_or(|(newest, _)| time > *newest) {
            newest = Some((time, reference));
        }
    }
    Ok(newest.map(|(_, reference)| reference))
}

/// The newest commit on a branch, and its time.
fn latest(
    source: &GitTag,
    mirror: &Path,
    branch: &str,
    patterns: &[String],
) -> Result<Option<(String, i64)>, SourceError> {
    let describe = |options: &[&str], commit: &str| {
        let git = Git::of(mirror).args(["describe", "--tags"]).args(options);
        git.args(patterns).arg(commit).ask()
    };
    let name = match source.track_tags {
        true => match describe(&["--abbrev=0"], branch)? {
            Some(tag) => tag,
            None => return Ok(None),
        },
        false => branch.to_owned(),
    };
    let commit = super::require(mirror, &name, &source.clone.address.url)?;
    let described = describe(&["--abbrev=40", "--long"], &commit)?;
    let time = Git::of(mirror)
        .args(["show", "-s", "--format=%ct", &commit])
        .run("it can't be tracked")?;
    let time = time.trim().parse().unwrap_or(0);
    Ok(Some((described.unwrap_or(commit), time)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_such() {
        let mut names = ["1.10", "1.9", "1.beta", "1.0", "v1", "1"];
        names.sort_by_key(|name| version_parts(name));
        assert_eq!(names, ["v1", "1", "1.beta", "1.0", "1.9", "1.10"]);
    }

    #[test]
    fn patterns_are_of_branches_and_tags() {
        let matches = |pattern, name| RefPattern::new(pattern).matches(name);
        assert!(matches("v*", "refs/tags/v1/x"));
        assert!(matches("main", "refs/heads/main"));
        assert!(!matches("main", "refs/pull/main"));
        assert!(matches("refs/pull/*", "refs/pull/main"));
    }
}
