//! Kind git_repo: a commit of a Git repository, with as much history as describing it takes.

use std::sync::Arc;

use headstart_yaml::{Mapping, Scalar};

use super::git::{describes, safe};
use super::{Address, Behaviour, SourceContext, Version, expect_keys};
use crate::error::{LoadError, Problem};
use crate::json::Json;
use crate::keys::Contents;

/// A commit of a Git repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitRepo {
    /// The repository.
    pub address: Address,
    /// The commit.
    pub reference: Option<DescribedRef>,
    /// The branches and tags that are tracked, as a shell pattern.
    pub track: Option<Arc<str>>,
    /// Those of them that are not, as shell patterns.
    pub exclude: Vec<Arc<str>>,
    /// Whether tracking gives a commit as `git describe` does.
    pub describe: bool,
    version: Option<Version>,
}

/// A commit, perhaps as `git describe` writes it: `TAG-COMMITS-gHASH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedRef {
    /// As written.
    pub written: Arc<str>,
    /// The nearest tag, and the number of commits since then.
    pub tag: Option<(Arc<str>, u32)>,
    /// The commit: 40 hexadecimal digits.
    pub commit: Arc<str>,
}

impl DescribedRef {
    /// Reads a ref of a project.
    pub(super) fn load(scalar: &Scalar) -> Result<Self, LoadError> {
        let unlike = || scalar.unlike("a commit, or what 'git describe' says of one");
        let parsed = Self::parse(&scalar.value).ok_or_else(unlike)?;
        match &parsed.tag {
            Some((tag, _)) if tag.starts_with('-') => {
                let problem = Problem::LooksLikeOption(tag.to_string());
                Err(LoadError::at(&scalar.at, problem))
            }
            _ => Ok(parsed),
        }
    }

    /// Reads a ref; none if it is none.
    pub fn parse(written: &str) -> Option<Self> {
        let at = written.len().checked_sub(40)?;
        if !written.is_char_boundary(at) {
            return None;
        }
        let (before, commit) = written.split_at(at);
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if !commit.bytes().all(is_hex) {
            return None;
        }
        let tag = match before {
            "" => None,
            before => {
                let (tag, commits) = before.strip_suffix("-g")?.rsplit_once('-')?;
                Some((tag.into(), commits.parse().ok()?))
            }
        };
        Some(Self {
            written: written.into(),
            tag,
            commit: commit.into(),
        })
    }
}

impl GitRepo {
    pub(super) fn load(config: &Mapping, context: &SourceContext<'_>) -> Result<Self, LoadError> {
        const OWN: [&str; 5] = ["url", "track", "ref", "ref-format", "exclude"];
        expect_keys(config, &[&OWN[..], &Version::KEYS].concat())?;
        let reference = config.scalar("ref")?.map(DescribedRef::load);
        Ok(Self {
            reference: reference.transpose()?,
            track: safe(config, "track")?,
            exclude: config.strings("exclude")?,
            describe: describes(config)?,
            version: Version::load(config)?,
            address: Address::load(config.required_scalar("url")?, context)?,
        })
    }
}

impl Behaviour for GitRepo {
    fn unique_key(&self, _: &Contents) -> Option<Json> {
        let reference = self.reference.as_ref()?;
        let mut key = vec![
            ("bugfix", Json::Int(1)),
            ("ref", (&reference.written).into()),
        ];
        let version = self.version.as_ref();
        key.extend(version.map(|version| (version.key, Json::from(&version.value))));
        Some(Json::map(key))
    }

    fn is_resolved(&self) -> bool {
        self.reference.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_are_read_as_git_describes_them() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let tag = |text: &str| DescribedRef::parse(&format!("{text}{commit}")).map(|read| read.tag);
        assert_eq!(tag(""), Some(None));
        assert_eq!(tag("v1.0-rc-1-12-g"), Some(Some(("v1.0-rc-1".into(), 12))));
        for bad in ["x", "-g", "v1-g", "v1-x-g", "é"] {
            assert_eq!(tag(bad), None, "{bad}");
        }
        assert_eq!(DescribedRef::parse("0123"), None);
    }
}
