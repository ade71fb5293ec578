//! What files include, remembered by their content.

use std::ops::ControlFlow;
use std::sync::Arc;

use headstart_merkle::{BlobDigest, Directory, Name, Node, TreePath};
use headstart_store::Recent;

use super::group::Change;
use super::pace::{Halt, Slices};
use super::shapes::Changed;
use crate::includes::{Include, Includes, includes, may_include};
use crate::storage::Storage;

/// Larger files are generated tables, and include nothing.
const MAX_SIZE: u64 = 4 * 1024 * 1024;

/// How many files and directives each generation of what was scanned may have, and how many edits; one takes
/// about 100 bytes. More than one compile reads.
pub(super) const GENERATION: usize = 64 * 1024;

/// What files include, by their content, as far as somebody asked for it of late.
pub(crate) struct Scanner {
    scanned: Recent<BlobDigest, Scanned>,
    /// Whether a file includes others than it did; the same edit is met in many Directories.
    verdicts: Recent<Edit, bool>,
}

/// The contents of a file that has been edited and may include others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Edit {
    old: BlobDigest,
    new: BlobDigest,
}

/// `None` if it can't be said what a file includes, since it is not here.
pub(super) type Scanned = Option<Arc<Includes>>;

impl Default for Scanner {
    fn default() -> Self {
        let weight = |scanned: &Scanned| 1 + scanned.as_ref().map_or(0, |found| found.named.len());
        Self {
            scanned: Recent::new(GENERATION, weight, drop),
            verdicts: Recent::new(GENERATION, |_| 1, drop),
        }
    }
}

impl Scanner {
    fn scan(&mut self, content: BlobDigest, store: &dyn Storage) -> Scanned {
        if let Some(known) = self.scanned.get(&content) {
            return known;
        }
        let scan = || {
            let bytes = store.blobs().read(content).ok()?;
            Some(Arc::new(includes(&bytes)))
        };
        let scanned = (content.size() <= MAX_SIZE).then(scan).flatten();
        self.scanned.insert(content, scanned.clone());
        scanned
    }

    pub(super) fn knows(&self, content: BlobDigest) -> bool {
        self.scanned.contains(&content)
    }

    /// Finds out of `changes` of files that were in `here` which are there no more, or include others than
    /// they did. What has to be scanned is read together.
    pub(crate) fn judge(&mut self, changes: &mut [Change], here: &Directory, store: &dyn Storage) {
        let mut open: Vec<(&mut Change, Edit)> = Vec::new();
        for change in changes.iter_mut().filter(|change| change.notable.is_none()) {
            match edit_of(change, here) {
                None => change.notable = Some(change.new.is_none()),
                Some(edit) => match self.verdicts.get(&edit) {
                    Some(verdict) => change.notable = Some(verdict),
                    None => open.push((change, edit)),
                },
            }
        }
        let contents = open.iter().flat_map(|(_, edit)| [edit.old, edit.new]);
        self.read_all(contents.collect(), store);
        for (change, edit) in open {
            change.notable = Some(self.is_notable(edit, store));
        }
    }

    fn is_notable(&mut self, edit: Edit, store: &dyn Storage) -> bool {
        let (old, new) = (self.scan(edit.old, store), self.scan(edit.new, store));
        let notable = matches!((old, new), (Some(old), Some(new)) if old.named != new.named);
        self.verdicts.insert(edit, notable);
        notable
    }

    /// Reads files together, and scans them.
    pub(crate) fn read_all(&mut self, mut contents: Vec<BlobDigest>, store: &dyn Storage) {
        contents.retain(|content| content.size() <= MAX_SIZE && !self.knows(*content));
        contents.sort_unstable();
        contents.dedup();
        let read = store.blobs().read_all(&contents);
        for (content, bytes) in contents.into_iter().zip(read) {
            let scanned = bytes.ok().map(|bytes| Arc::new(includes(&bytes)));
            self.scanned.insert(content, scanned);
        }
    }

    /// The directives that `changed` files have and had not, and had and have not, each with the file
    /// it is in.
    pub(super) fn differences(&mut self, changed: &[Changed], store: &dyn Storage) -> Differences {
        let mut differences = Differences::default();
        for Changed { path, old, new } in changed {
            let name = path.split().map(|(_, name)| name);
            let edit = name.and_then(|name| edited(&name, old, new.as_ref()));
            let Some(edit) = edit else {
                continue;
            };
            let scanned = (self.scan(edit.old, store), self.scan(edit.new, store));
            let (Some(old), Some(new)) = scanned else {
                continue;
            };
            let one_sided = |a: &Includes, b: &Includes| {
                let only = a.named.difference(&b.named).cloned();
                only.map(|include| (path.clone(), include))
                    .collect::<Vec<_>>()
            };
            differences.added.extend(one_sided(&new, &old));
            differences.removed.extend(one_sided(&old, &new));
        }
        differences
    }
}

fn edited(name: &Name, old: &Node, new: Option<&Node>) -> Option<Edit> {
    let (Node::File(old), Some(Node::File(new))) = (old, new) else {
        return None;
    };
    let (old, new) = (old.digest, new.digest);
    (old != new && may_include(name.as_str())).then_some(Edit { old, new })
}

/// What a change of a file that was in `here` is to its contents.
fn edit_of(change: &Change, here: &Directory) -> Option<Edit> {
    let (name, old) = here.entries.nth(change.place as usize)?;
    edited(name, old, change.new.as_ref())
}

/// Directives that have changed, each with the file it is in.
#[derive(Default)]
pub(super) struct Differences {
    pub(super) added: Vec<(TreePath, Include)>,
    pub(super) removed: Vec<(TreePath, Include)>,
    /// Directives that have not changed, and may mean other files than they did.
    pub(super) elsewhere: Vec<(TreePath, Include)>,
}

impl Differences {
    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.elsewhere.is_empty()
    }
}

/// What a file includes. Only a file that nobody has read yet ends a slice, so that each slice comes
/// further than the last.
pub(super) fn scan(
    scanner: &mut Scanner,
    slices: &mut Slices,
    content: BlobDigest,
    store: &dyn Storage,
) -> Result<Scanned, Halt> {
    let known = scanner.knows(content);
    let scanned = scanner.scan(content, store);
    match slices.spend() {
        ControlFlow::Break(_) if !known => Err(Halt::Over),
        _ => Ok(scanned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn what_was_scanned_and_is_not_asked_for_again_is_forgotten() {
        let fixture = Fixture::default();
        let file = |number: usize| {
            let lines = (0..GENERATION / 8).map(|line| format!("#include <{number}/{line}.h>\n"));
            fixture.write(lines.collect::<String>())
        };
        let files: Vec<BlobDigest> = (0..30).map(file).collect();
        let mut scanner = Scanner::default();
        for content in &files {
            let scanned = scanner.scan(*content, &fixture.store).unwrap();
            assert_eq!(scanned.named.len(), GENERATION / 8);
            scanner.scan(files[0], &fixture.store);
        }
        assert!(scanner.knows(files[0]));
        assert!(!scanner.knows(files[1]));
        assert!(scanner.knows(files[29]));
        let kept = files.iter().filter(|content| scanner.knows(**content));
        assert!(kept.count() <= 18);
    }
}
