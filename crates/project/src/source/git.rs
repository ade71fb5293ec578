//! Kind git: a commit of a Git repository, with its submodules and without its history.

use std::sync::Arc;

use headstart_yaml::{Mapping, Scalar};
use indexmap::IndexMap;

use super::address::{optional, push_version};
use super::{Address, Behaviour, SourceContext, Version, expect_keys, text};
use crate::error::{LoadError, Problem};
use crate::json::Json;
use crate::keys::Contents;

/// A commit of a Git repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Git {
    /// The repository.
    pub address: Address,
    /// The commit: its hash, perhaps with what `git describe` puts before it.
    pub reference: Option<Arc<str>>,
    /// The branch or tag that is tracked.
    pub track: Option<Arc<str>>,
    /// Whether tracking gives a commit as `git describe` does.
    pub describe: bool,
    /// Whether tracking finds the tags that lead to the commit.
    pub track_tags: bool,
    /// The tags that a `git describe` in the staged sources finds.
    pub tags: Vec<Tag>,
    /// Which submodules are staged too.
    pub submodules: Submodules,
    version: Option<Version>,
}

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Its name.
    pub name: Arc<str>,
    /// The commit that it is on.
    pub commit: Arc<str>,
    /// Whether it is an object of its own.
    pub annotated: bool,
}

impl Git {
    pub(super) fn load(config: &Mapping, context: &SourceContext<'_>) -> Result<Self, LoadError> {
        const OWN: [&str; 6] = ["url", "track", "ref", "ref-format", "track-tags", "tags"];
        expect_keys(
            config,
            &[&OWN[..], &Submodules::KEYS, &Version::KEYS].concat(),
        )?;
        let git = Self {
            reference: reference(config)?,
            track: safe(config, "track")?,
            describe: describes(config)?,
            track_tags: config.boolean("track-tags")?.unwrap_or(false),
            tags: tags(config)?,
            submodules: Submodules::load(config, context)?,
            version: Version::load(config)?,
            address: Address::load(config.required_scalar("url")?, context)?,
        };
        match (&git.reference, &git.track) {
            (None, None) => Err(LoadError::at(&config.at, Problem::NeitherRefNorTrack)),
            _ => Ok(git),
        }
    }
}

impl Behaviour for Git {
    fn unique_key(&self, _: &Contents) -> Option<Json> {
        let reference = self.reference.as_ref()?;
        let commit = reference.rsplit("-g").next().unwrap_or(reference);
        let mut key = vec![(&self.address.url).into(), commit.into()];
        if !self.tags.is_empty() {
            let tags = self.tags.iter().map(|tag| {
                let value = vec![(&tag.commit).into(), tag.annotated.into()];
                (tag.name.clone(), Json::List(value))
            });
            key.push(Json::map([("tags", Json::map(tags))]));
        }
        self.submodules.extend_key(&mut key);
        push_version(&mut key, self.version.as_ref());
        Some(Json::List(key))
    }

    fn is_resolved(&self) -> bool {
        self.reference.is_some()
    }
}

/// Which submodules are staged, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submodules {
    /// Whether those are staged of which nothing else is said.
    checkout: bool,
    /// By path: whether to stage it, and where it is.
    overrides: IndexMap<Arc<str>, (Option<bool>, Option<Address>)>,
}

impl Submodules {
    pub(super) const KEYS: [&str; 2] = ["submodules", "checkout-submodules"];

    pub(super) fn load(config: &Mapping, context: &SourceContext<'_>) -> Result<Self, LoadError> {
        let mut overrides = IndexMap::new();
        if let Some(modules) = config.mapping("submodules")? {
            for (path, _) in modules.iter() {
                let Some(module) = modules.mapping(&path.text)? else {
                    continue;
                };
                let url = module.scalar("url")?;
                let address = url.map(|url| Address::load(url, context)).transpose()?;
                overrides.insert(path.text.clone(), (module.boolean("checkout")?, address));
            }
        }
        Ok(Self {
            checkout: config.boolean("checkout-submodules")?.unwrap_or(true),
            overrides,
        })
    }

    /// No submodules at all.
    pub fn none() -> Self {
        Self {
            checkout: false,
            overrides: IndexMap::new(),
        }
    }

    /// Whether the submodule at a path is staged.
    pub fn includes(&self, path: &str) -> bool {
        let checkout = self.overrides.get(path).and_then(|(checkout, _)| *checkout);
        checkout.unwrap_or(self.checkout)
    }

    /// Where the submodule at a path is, if that is not for its repository to say.
    pub fn address(&self, path: &str) -> Option<&Address> {
        self.overrides.get(path)?.1.as_ref()
    }

    pub(super) fn extend_key(&self, key: &mut Vec<Json>) {
        if !self.checkout {
            key.push(Json::map([("checkout_submodules", false.into())]));
        }
        if !self.overrides.is_empty() {
            key.push(Json::map(self.overrides.iter().map(
                |(path, (_, address))| {
                    let url = address.as_ref().map(|address| &address.url);
                    (path.clone(), optional(url))
                },
            )));
        }
        let checkouts = self.overrides.iter();
        let checkouts: Vec<_> = checkouts
            .filter_map(|(path, (checkout, _))| Some((path.clone(), Json::from((*checkout)?))))
            .collect();
        if !checkouts.is_empty() {
            let checkouts = Json::map(checkouts);
            key.push(Json::map([("submodule_checkout_overrides", checkouts)]));
        }
    }
}

fn tags(config: &Mapping) -> Result<Vec<Tag>, LoadError> {
    let Some(list) = config.sequence("tags")? else {
        return Ok(Vec::new());
    };
    let tags = list.mappings()?.into_iter().map(|tag| {
        tag.expect_keys(&["tag", "commit", "annotated"])?;
        let annotated = tag.boolean("annotated")?;
        let required = |key| match safe(tag, key)? {
            Some(text) => Ok(text),
            None => Err(LoadError::from(tag.missing(key))),
        };
        Ok(Tag {
            name: required("tag")?,
            commit: required("commit")?,
            annotated: annotated.ok_or_else(|| tag.missing("annotated"))?,
        })
    });
    tags.collect()
}

/// A `ref`.
pub(super) fn reference(config: &Mapping) -> Result<Option<Arc<str>>, LoadError> {
    safe(config, "ref")
}

/// A name that is given to `git`, which must not take it for an option.
pub(super) fn safe(config: &Mapping, key: &str) -> Result<Option<Arc<str>>, LoadError> {
    let name = config.scalar(key)?;
    if let Some(Scalar { value, at }) = name
        && value.starts_with('-')
    {
        return Err(LoadError::at(
            at,
            Problem::LooksLikeOption(value.to_string()),
        ));
    }
    text(config, key)
}

/// Whether `ref-format` is `git-describe`.
pub(super) fn describes(config: &Mapping) -> Result<bool, LoadError> {
    let Some(format) = config.scalar("ref-format")? else {
        return Ok(false);
    };
    match &*format.value {
        "sha1" => Ok(false),
        "git-describe" => Ok(true),
        _ => Err(format.unlike("'sha1' or 'git-describe'").into()),
    }
}
