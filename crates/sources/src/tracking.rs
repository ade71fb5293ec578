//! Tracking: what the newest `ref` of a source is.

use std::fmt;
use std::sync::Arc;

use headstart_merkle::DirectoryDigest;
use headstart_project::{Address, Crate, PackageFile, Source, SourceConfig, Tag};
use headstart_yaml::{Mapping, Node, Provenance, Scalar, Sequence};

use crate::download::{directory_name, fetch_newest};
use crate::error::SourceError;
use crate::staging::Sources;
use crate::{cpan, crates, docker, git, go, lock, pypi, tools};

/// What tracking gives a source: the values of keys, or none for those that go.
#[derive(Debug, Clone)]
pub struct NewRef {
    keys: Vec<(Arc<str>, Option<Node>)>,
}

impl NewRef {
    fn of(node: impl Into<Node>) -> Self {
        let keys = vec![(Arc::from("ref"), Some(node.into()))];
        Self { keys }
    }

    fn text(text: &str) -> Self {
        Self::of(Scalar::synthetic(text))
    }

    fn git(reference: &str, tags: &[Tag]) -> Self {
        let tags = tags.iter().map(|tag| {
            let mut node = Mapping::default();
            node.insert("tag", Scalar::synthetic(tag.name.clone()));
            node.insert("commit", Scalar::synthetic(tag.commit.clone()));
            let annotated = if tag.annotated { "true" } else { "false" };
            node.insert("annotated", Scalar::synthetic(annotated));
            node.into()
        });
        let items: Vec<Node> = tags.collect();
        let at = Provenance::SYNTHETIC;
        let tags = (!items.is_empty()).then(|| Sequence { at, items }.into());
        let reference = Scalar::synthetic(reference).into();
        Self {
            keys: vec![("ref".into(), Some(reference)), ("tags".into(), tags)],
        }
    }

    fn cpan(file: &PackageFile) -> Self {
        let text = |value: &Arc<str>| Scalar::synthetic(value.clone()).into();
        Self::written(&[
            ("suffix".into(), text(&file.suffix)),
            ("sha256sum".into(), text(&file.sha256)),
        ])
    }

    /// The keys that a plugin writes its reference to.
    pub(crate) fn written(keys: &[(Arc<str>, Node)]) -> Self {
        let keys = keys.iter();
        Self {
            keys: keys
                .map(|(key, value)| (key.clone(), Some(value.clone())))
                .collect(),
        }
    }

    /// The keys of the source, that of the reference first, with their values, or none for those
    /// that go.
    pub fn keys(&self) -> Vec<(&str, Option<Node>)> {
        let keys = self.keys.iter();
        keys.map(|(key, value)| (&**key, value.clone())).collect()
    }

    /// What a source has now; none if it has no `ref`.
    pub fn current(source: &Source) -> Option<Self> {
        match &source.config {
            SourceConfig::Local(_)
            | SourceConfig::Patch(_)
            | SourceConfig::PatchQueue(_)
            | SourceConfig::Workspace(_) => None,
            SourceConfig::Tar(archive) | SourceConfig::Zip(archive) => {
                archive.download.reference.as_deref().map(Self::text)
            }
            SourceConfig::Remote(remote) => remote.download.reference.as_deref().map(Self::text),
            SourceConfig::Git(git) => {
                let reference = git.reference.as_deref()?;
                Some(Self::git(reference, &git.tags))
            }
            SourceConfig::GitRepo(git) => {
                let reference = git.reference.as_ref()?;
                Some(Self::text(&reference.written))
            }
            SourceConfig::GitTag(git) => git.clone.reference.as_deref().map(Self::text),
            SourceConfig::GitModule(git) => git.clone.reference.as_deref().map(Self::text),
            SourceConfig::Crates(source) => {
                let items = source.crates.iter().map(crate_node).collect();
                let at = Provenance::SYNTHETIC;
                Some(Self::of(Sequence { at, items }))
            }
            SourceConfig::GeneratedLock(lock) => lock.reference.as_deref().map(Self::text),
            SourceConfig::PyPi(source) => {
                let file = source.reference.as_ref()?;
                Some(Self::of(pypi::reference(&file.sha256, &file.suffix)))
            }
            SourceConfig::Cpan(source) => source.reference.as_ref().map(Self::cpan),
            SourceConfig::GoModule(source) => {
                let reference = source.reference.as_ref()?;
                Some(Self::of(go::reference(reference)))
            }
            SourceConfig::Docker(docker) => docker.reference.as_deref().map(Self::text),
            SourceConfig::Bazaar(bazaar) => bazaar.reference.as_deref().map(Self::text),
            SourceConfig::OsTree(ostree) => ostree.reference.as_deref().map(Self::text),
            SourceConfig::Hosted(hosted) => hosted.facts.reference.as_deref().map(Self::written),
        }
    }
}

impl PartialEq for NewRef {
    /// Whether it says the same, wherever that is written.
    fn eq(&self, other: &Self) -> bool {
        let text = |new: &Self| {
            let mut mapping = Mapping::default();
            for (key, value) in &new.keys {
                if let Some(value) = value {
                    mapping.insert(&**key, value.clone());
                }
            }
            headstart_yaml::to_text(&mapping)
        };
        text(self) == text(other)
    }
}

impl fmt::Display for NewRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.keys.first() {
            Some((_, Some(Node::Scalar(text)))) => f.write_str(&text.value),
            Some((_, Some(Node::Sequence(list)))) => write!(f, "{} entries", list.items.len()),
            Some((_, Some(Node::Mapping(mapping)))) => {
                let values = mapping.iter().map(|(_, value)| match value {
                    Node::Scalar(text) => &*text.value,
                    _ => "",
                });
                f.write_str(&values.collect::<Vec<_>>().join(" "))
            }
            _ => Ok(()),
        }
    }
}

fn crate_node(each: &Crate) -> Node {
    crates::to_yaml(each).into()
}

impl Sources {
    /// The newest `ref` of a source; none if it tracks nothing. `previous` is the tree of the
    /// sources before it, for those that [need it](Source::tracks_previous).
    pub fn track(
        &self,
        source: &Source,
        previous: Option<DirectoryDigest>,
    ) -> Result<Option<NewRef>, SourceError> {
        self.newest(source, previous)
            .map_err(|error| error.of(source))
    }

    fn newest(
        &self,
        source: &Source,
        previous: Option<DirectoryDigest>,
    ) -> Result<Option<NewRef>, SourceError> {
        let folder = self.folder(source);
        let store = self.directories();
        // As its own directory has them.
        let previous = || self.below(previous.ok_or(SourceError::Unresolved)?, source);
        let text = |text: Option<String>| Ok(text.map(|text| NewRef::text(&text)));
        match &source.config {
            SourceConfig::Local(_)
            | SourceConfig::Patch(_)
            | SourceConfig::PatchQueue(_)
            | SourceConfig::Workspace(_) => Ok(None),
            SourceConfig::Tar(archive) | SourceConfig::Zip(archive) => {
                text(Some(self.newest_file(source, &archive.download.address)?))
            }
            SourceConfig::Remote(remote) => {
                text(Some(self.newest_file(source, &remote.download.address)?))
            }
            SourceConfig::Git(git) => Ok(git::track_git(git, &folder)?
                .map(|(reference, tags)| NewRef::git(&reference, &tags))),
            SourceConfig::GitRepo(git) => text(git::track_repo(git, &folder)?),
            SourceConfig::GitTag(git) => text(git::track_tag(git, &folder)?),
            SourceConfig::GitModule(module) => {
                text(Some(git::track_module(module, previous()?, store)?))
            }
            SourceConfig::Crates(source) => {
                let reference = crates::track(source, previous()?, &folder, store)?;
                Ok(Some(NewRef::of(reference)))
            }
            SourceConfig::GeneratedLock(_) => text(Some(lock::track(previous()?, &folder, store)?)),
            SourceConfig::PyPi(source) => Ok(pypi::track(source)?.map(NewRef::of)),
            SourceConfig::Cpan(source) => Ok(Some(NewRef::cpan(&cpan::track(source, &folder)?))),
            SourceConfig::GoModule(source) => {
                let reference = go::track(source, previous()?, &folder, store)?;
                Ok(Some(NewRef::of(reference)))
            }
            SourceConfig::Docker(source) => text(docker::track(source, &folder)?),
            SourceConfig::Bazaar(bazaar) => text(Some(tools::track_bazaar(bazaar, &folder)?)),
            SourceConfig::OsTree(ostree) => {
                text(tools::track_ostree(ostree, self.project(), &folder)?)
            }
            SourceConfig::Hosted(hosted) => {
                let previous = match hosted.class.previous_to_track {
                    true => Some(previous()?),
                    false => None,
                };
                self.hosting(source, hosted).track(previous)
            }
        }
    }

    /// The SHA-256 of what is behind an address now.
    fn newest_file(&self, source: &Source, address: &Address) -> Result<String, SourceError> {
        let folder = self.folder(source).join(directory_name(&address.url));
        fetch_newest(address, &folder)
    }
}
