//! Artifacts as commands name them: by their elements, or as `PROJECT/ELEMENT/KEY`.

use headstart_artifacts::{ArtifactName, Cached};
use headstart_merkle::{BlobDigest, DirectoryDigest, DirectoryReader, Node, TreePath};
use headstart_project::{ElementId, Pattern};
use headstart_store::BlobStore as _;

use crate::checkout::CheckoutError;
use crate::error::SessionError;
use crate::pull::artifact_uri;
use crate::push::Pushed;
use crate::session::{Loaded, Session, artifact_name};
use crate::transfer::TransferReport;

/// An artifact that a command is about, whether or not it is cached.
#[derive(Debug, Clone)]
pub struct NamedArtifact {
    /// The element's full name, or the artifact's name, whichever was used.
    pub label: String,
    name: ArtifactName,
    /// The keys that it is looked for under, in order; none if its element has no key.
    keys: Vec<String>,
    /// Others that it may have.
    others: Vec<String>,
}

/// Something in an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentEntry {
    /// Where it is.
    pub path: TreePath,
    /// What it is.
    pub kind: ContentKind,
}

/// What something in an artifact is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentKind {
    /// A directory.
    Directory,
    /// A file, with its size in bytes.
    File {
        /// How many bytes it has.
        size: u64,
        /// Whether it can be executed.
        executable: bool,
    },
    /// A symbolic link, with where it leads to.
    Symlink(String),
}

impl Session {
    /// The artifacts of elements.
    pub fn artifacts_of(&self, loaded: &Loaded, elements: &[ElementId]) -> Vec<NamedArtifact> {
        let named = elements.iter().map(|id| {
            let keys = loaded.keys.get(*id);
            let mut keys =
                keys.map_or_else(Vec::new, |keys| vec![keys.strict.hex(), keys.weak.hex()]);
            let others = match self.strict {
                true => keys.drain(keys.len().min(1)..).collect(),
                false => Vec::new(),
            };
            NamedArtifact {
                label: loaded.graph[*id].full_name.to_string(),
                name: artifact_name(&loaded.graph, *id),
                keys,
                others,
            }
        });
        named.collect()
    }

    /// The artifacts of a name `PROJECT/ELEMENT/KEY`, which may be a shell pattern; none if it is
    /// not of that form. Of several names of one artifact only that with its strong key is given.
    pub fn artifacts_named(&self, name: &str) -> Result<Option<Vec<NamedArtifact>>, SessionError> {
        let mut found: Vec<NamedArtifact> = Vec::new();
        if name.contains(['*', '?', '[']) {
            let pattern = Pattern::new(&format!("/{}", name.trim_start_matches('/')));
            for (name, key) in self.artifacts.list()? {
                let matches = pattern.matches(&format!("/{}", label(&name, &key)));
                if matches {
                    let named = self.strong(name, key)?;
                    if !found.iter().any(|other| other.label == named.label) {
                        found.push(named);
                    }
                }
            }
            return Ok(Some(found));
        }
        let mut parts = name.split('/');
        let parts = (parts.next(), parts.next(), parts.next(), parts.next());
        let (Some(project), Some(element), Some(key), None) = parts else {
            return Ok(None);
        };
        let is_key = key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_name = |name: &str| !matches!(name, "" | "." | "..");
        if !is_key || !is_name(project) || !is_name(element) {
            return Ok(None);
        }
        let name = ArtifactName {
            project: project.to_owned(),
            element: element.to_owned(),
        };
        found.push(self.strong(name, key.to_owned())?);
        Ok(Some(found))
    }

    /// The artifact under a key, by its strong key if it is there.
    fn strong(&self, name: ArtifactName, key: String) -> Result<NamedArtifact, SessionError> {
        let artifact = self.artifacts.read(&name, &key)?;
        let strong = artifact.map(|artifact| artifact.message().strong_key.clone());
        let strong = strong.filter(|strong| !strong.is_empty());
        let shown = label(&name, strong.as_deref().unwrap_or(&key));
        Ok(NamedArtifact {
            label: shown,
            name,
            keys: vec![key],
            others: Vec::new(),
        })
    }

    /// The artifact, if all of it is here.
    pub fn find_artifact(&self, named: &NamedArtifact) -> Result<Option<Cached>, SessionError> {
        for key in &named.keys {
            if let Some(found) = self.artifacts.find(&named.name, key)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Whether a server has the artifact.
    pub fn is_on_server(&self, named: &NamedArtifact) -> Result<bool, SessionError> {
        let group = self.servers_of(&named.name.project)?;
        let known = |key: &String| {
            let uri = artifact_uri(&named.name, key);
            self.first_known(&group.index, &uri).is_some()
        };
        Ok(named.keys.iter().any(known))
    }

    /// Brings artifacts here that were asked for by their own names.
    pub fn pull_named(&self, artifacts: &[NamedArtifact]) -> Result<TransferReport, SessionError> {
        let mut report = TransferReport::default();
        for named in artifacts {
            let group = self.servers_of(&named.name.project)?;
            if self.find_artifact(named)?.is_some() {
                report.already += 1;
            } else if !group.can_pull() {
                report.without_server += 1;
            } else {
                let mut pulled = false;
                for key in &named.keys {
                    pulled = pulled || self.pull_from(&group, &named.name, key)?.is_some();
                }
                match pulled {
                    true => report.done += 1,
                    false => report.absent += 1,
                }
            }
        }
        Ok(report)
    }

    /// Gives artifacts to servers that were asked for by their own names; they must be here.
    pub fn push_named(&self, artifacts: &[NamedArtifact]) -> Result<TransferReport, SessionError> {
        let mut report = TransferReport::default();
        for named in artifacts {
            let group = self.servers_of(&named.name.project)?;
            let cached = self.required_named(named)?;
            let pushed = match group.can_push() {
                true => self.push_to(&group, &named.name, cached.artifact())?,
                false => Pushed::Nowhere,
            };
            match pushed {
                Pushed::Now => report.done += 1,
                Pushed::Already => report.already += 1,
                Pushed::Nowhere => report.without_server += 1,
                Pushed::Never | Pushed::Incomplete => report.absent += 1,
            }
        }
        Ok(report)
    }

    /// The artifact; that it is not here is an error.
    pub fn required_named(&self, named: &NamedArtifact) -> Result<Cached, SessionError> {
        let found = self.find_artifact(named)?;
        found.ok_or_else(|| match named.keys.first() {
            Some(key) => SessionError::NotCached {
                element: named.label.clone(),
                key: key.clone(),
            },
            None => SessionError::NoKey(named.label.clone()),
        })
    }

    /// The logs of the build that made an artifact: their names and contents.
    pub fn logs(&self, cached: &Cached) -> Result<Vec<(String, bytes::Bytes)>, SessionError> {
        let logs = cached.artifact().message().logs.iter();
        let logs = logs.filter_map(|log| {
            let digest = BlobDigest::required(log.digest.as_ref()).ok()?;
            Some((log.name.clone(), digest))
        });
        logs.map(|(name, digest)| Ok((name, self.store.read(digest)?)))
            .collect()
    }

    /// Takes away all names of an artifact; gives those that there were.
    pub fn delete_artifact(&self, named: &NamedArtifact) -> Result<Vec<String>, SessionError> {
        let mut keys = [&named.keys[..], &named.others].concat();
        for key in &named.keys {
            if let Some(artifact) = self.artifacts.read(&named.name, key)? {
                let message = artifact.message();
                keys.extend([message.strong_key.clone(), message.weak_key.clone()]);
            }
        }
        keys.sort();
        keys.dedup();
        let mut deleted = Vec::new();
        for key in keys.iter().filter(|key| !key.is_empty()) {
            if self.artifacts.remove(&named.name, key)? {
                deleted.push(label(&named.name, key));
            }
        }
        Ok(deleted)
    }

    /// All that is in a tree, in BuildStream's order: in each directory first what is none, then
    /// the directories, each followed by what is in it.
    pub fn contents(&self, tree: DirectoryDigest) -> Result<Vec<ContentEntry>, CheckoutError> {
        let mut entries = Vec::new();
        self.list(tree, &TreePath::root(), &mut entries)?;
        Ok(entries)
    }

    fn list(
        &self,
        tree: DirectoryDigest,
        at: &TreePath,
        entries: &mut Vec<ContentEntry>,
    ) -> Result<(), CheckoutError> {
        let directory = self.directories.read_directory(tree)?;
        for (name, node) in directory.entries.iter() {
            let kind = match node {
                Node::Directory(_) => continue,
                Node::File(file) => ContentKind::File {
                    size: file.digest.size(),
                    executable: file.executable,
                },
                Node::Symlink(link) => ContentKind::Symlink(link.target.to_string()),
            };
            let path = at.child(name);
            entries.push(ContentEntry { path, kind });
        }
        for (name, node) in directory.entries.iter() {
            if let Node::Directory(child) = node {
                let path = at.child(name);
                entries.push(ContentEntry {
                    path: path.clone(),
                    kind: ContentKind::Directory,
                });
                self.list(*child, &path, entries)?;
            }
        }
        Ok(())
    }
}

fn label(name: &ArtifactName, key: &str) -> String {
    format!("{}/{}/{key}", name.project, name.element)
}
