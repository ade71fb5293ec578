//! Records of subactions by lineage: `headstart/lineage/PROJECT/ELEMENT/PLATFORM`.
//!
//! A lineage is what an element is whatever it is made of: its project, its name, its platform. The
//! file has a line for each of the last records, newest first: the digest of the record, a space, and
//! `built` or `failed`. What was learned of a lineage's predictions is in
//! `headstart/odds/PROJECT/ELEMENT/PLATFORM`, as text that is none of this crate's business.
//! BuildStream knows nothing of either.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use headstart_merkle::BlobDigest;

use crate::files::{self, RefError};
use crate::refs::ArtifactName;

/// How many records of a lineage are remembered: enough for some who work on it in turn.
const KEPT: usize = 4;

/// A record of a lineage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ancestor {
    /// The record.
    pub record: BlobDigest,
    /// Whether the build that it is of came to its end. One that failed has asked for less.
    pub built: bool,
}

/// The lineages in a cache directory.
#[derive(Debug, Clone)]
pub struct LineageCache {
    root: PathBuf,
    odds: PathBuf,
}

impl LineageCache {
    /// The lineages of the cache directory `root`.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.join("headstart/lineage"),
            odds: root.join("headstart/odds"),
        }
    }

    /// The last records of a lineage, newest first. Lines that can't be read are passed over.
    pub fn read(&self, name: &ArtifactName, platform: &str) -> Result<Vec<Ancestor>, RefError> {
        let content = files::read(&path(&self.root, name, platform))?.unwrap_or_default();
        let text = String::from_utf8_lossy(&content);
        let ancestors = text.lines().filter_map(|line| {
            let (record, state) = line.split_once(' ')?;
            Some(Ancestor {
                record: record.parse().ok()?,
                built: state == "built",
            })
        });
        Ok(ancestors.take(KEPT).collect())
    }

    /// Adds a record as the newest of its lineage.
    ///
    /// Of two builds that do so at the same moment one may be forgotten: it costs a prediction.
    pub fn add(
        &self,
        name: &ArtifactName,
        platform: &str,
        newest: Ancestor,
    ) -> Result<(), RefError> {
        let mut ancestors = self.read(name, platform)?;
        ancestors.retain(|ancestor| ancestor.record != newest.record);
        ancestors.insert(0, newest);
        // A row of failed builds must not push out what the last good one has told.
        let good = ancestors.iter().position(|ancestor| ancestor.built);
        if let Some(good) = good.filter(|good| *good >= KEPT) {
            ancestors.swap(KEPT - 1, good);
        }
        ancestors.truncate(KEPT);
        let mut text = String::new();
        for Ancestor { record, built } in ancestors {
            let state = if built { "built" } else { "failed" };
            // Writing to a string can't fail.
            let _ = writeln!(text, "{record} {state}");
        }
        files::write(&path(&self.root, name, platform), text.as_bytes())
    }

    /// What was learned of the predictions of a lineage; empty, if nothing was.
    pub fn read_odds(&self, name: &ArtifactName, platform: &str) -> Result<String, RefError> {
        let content = files::read(&path(&self.odds, name, platform))?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&content).into_owned())
    }

    /// Keeps what was learned of the predictions of a lineage.
    ///
    /// Of two builds that do so at the same moment one has learned in vain.
    pub fn write_odds(
        &self,
        name: &ArtifactName,
        platform: &str,
        odds: &str,
    ) -> Result<(), RefError> {
        files::write(&path(&self.odds, name, platform), odds.as_bytes())
    }
}

fn path(root: &Path, name: &ArtifactName, platform: &str) -> PathBuf {
    // Names of options' values may hold anything.
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    let platform: String = platform.chars().map(plain).collect();
    root.join(&name.project).join(&name.element).join(platform)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ancestor(content: &str, built: bool) -> Ancestor {
        Ancestor {
            record: BlobDigest::of(content.as_bytes()),
            built,
        }
    }

    #[test]
    fn the_newest_come_first_and_the_last_good_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let lineages = LineageCache::new(folder.path());
        let name = ArtifactName::new("demo", "base/a.bst");
        assert_eq!(lineages.read(&name, "linux-x86-64").unwrap(), []);
        let good = ancestor("good", true);
        let failed: Vec<_> = (0..6).map(|i| ancestor(&i.to_string(), false)).collect();
        lineages.add(&name, "linux-x86-64", good).unwrap();
        for failed in &failed {
            lineages.add(&name, "linux-x86-64", *failed).unwrap();
        }
        let expected = [failed[5], failed[4], failed[3], good];
        assert_eq!(lineages.read(&name, "linux-x86-64").unwrap(), expected);
        // Once more the same: it moves to the front.
        lineages.add(&name, "linux-x86-64", good).unwrap();
        let expected = [good, failed[5], failed[4], failed[3]];
        assert_eq!(lineages.read(&name, "linux-x86-64").unwrap(), expected);
        assert_eq!(lineages.read(&name, "linux/aarch64").unwrap(), []);
        lineages
            .write_odds(&name, "linux-x86-64", "1 2 gcc")
            .unwrap();
        assert_eq!(
            lineages.read_odds(&name, "linux-x86-64").unwrap(),
            "1 2 gcc"
        );
        assert_eq!(lineages.read_odds(&name, "linux/aarch64").unwrap(), "");
    }

    #[test]
    fn what_can_not_be_read_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let lineages = LineageCache::new(folder.path());
        let name = ArtifactName::new("p", "e.bst");
        let good = ancestor("good", true);
        let path = folder.path().join("headstart/lineage/p/e/x");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = format!("\u{fffd}\nnothing built\n{} built\n", good.record);
        std::fs::write(path, text).unwrap();
        assert_eq!(lineages.read(&name, "x").unwrap(), [good]);
    }
}
