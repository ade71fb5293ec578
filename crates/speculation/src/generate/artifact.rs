//! Where the files of an element's artifact came from.

use std::rc::Rc;

use headstart_merkle::{BlobDigest, DirectoryDigest, Name, Node, TreePath};

use super::inputs::own_candidate;
use super::outputs::OutputIndex;
use super::rules::Rules;
use super::suffix::Suffixes;
use super::view::{Of, Place, View};
use crate::mode::Mode;
use crate::storage::{MAX_DEPTH, SpeculationError, content, directory};
use crate::table::{Candidate, DirId, Finger, Kind, Table, TableBuilder};

/// The origins of the files of the tree `artifact`: the element's own sources and its actions'
/// outputs by content, name and the end of the path; dependencies' files by path, for elements that
/// pass on what others made.
pub(crate) fn attribute(
    artifact: DirectoryDigest,
    view: &View<'_>,
    rules: &mut Rules<'_>,
    outputs: &OutputIndex,
    sources: &Suffixes<TreePath>,
) -> Result<Table, SpeculationError> {
    let mut attribution = Attribution {
        view,
        rules,
        outputs,
        sources,
        table: TableBuilder::new(),
    };
    attribution.walk(artifact)?;
    Ok(attribution.table.finish())
}

struct Attribution<'a, 'b> {
    view: &'a View<'a>,
    rules: &'a mut Rules<'b>,
    outputs: &'a OutputIndex,
    sources: &'a Suffixes<TreePath>,
    table: TableBuilder,
}

struct Step {
    path: TreePath,
    digest: DirectoryDigest,
    at: DirId,
    place: Rc<Place>,
    depth: usize,
}

impl Attribution<'_, '_> {
    fn walk(&mut self, root: DirectoryDigest) -> Result<(), SpeculationError> {
        let mut pending = vec![Step {
            path: TreePath::root(),
            digest: root,
            at: Table::ROOT,
            place: self.view.root()?,
            depth: 0,
        }];
        while let Some(step) = pending.pop() {
            if step.depth > MAX_DEPTH {
                return Err(SpeculationError::TooDeep(step.path));
            }
            let here = directory(self.view.store, step.digest)?;
            let (mut folder, mut decided) = (Finger::default(), Vec::new());
            for (name, node) in &here.entries {
                if let Node::Directory(digest) = node {
                    pending.push(Step {
                        path: step.path.child(name),
                        digest: *digest,
                        at: self.table.child(step.at, &mut folder, name),
                        place: self.view.child(&step.place, name)?,
                        depth: step.depth + 1,
                    });
                } else if let Some(content) = content(node) {
                    let candidates = self.candidates(&step, name, node, content)?;
                    let rule = self.rules.intern(candidates);
                    // Each directory is come to once, and knows of nothing yet.
                    decided.push((Finger::default(), name.clone(), content, rule));
                }
            }
            self.table.add(step.at, decided);
        }
        Ok(())
    }

    fn candidates(
        &mut self,
        step: &Step,
        name: &Name,
        node: &Node,
        content: BlobDigest,
    ) -> Result<Vec<Candidate>, SpeculationError> {
        let path = step.path.child(name);
        let mut candidates = Vec::new();
        if let Some((source, _)) = self.sources.find(&path, content) {
            candidates.extend(own_candidate(Kind::Source, source, &path));
        }
        if self.rules.mode() >= Mode::IntraElement {
            let output = self
                .outputs
                .by_end(&path, content)
                .map(|(output, _)| output);
            if let Some(output) = output.or_else(|| self.outputs.by_content(content)) {
                let kind = Kind::Action(output.producer);
                candidates.extend(own_candidate(kind, &output.path, &path));
            }
        }
        let is_file = matches!(node, Node::File(_));
        let staged = self.view.find(&step.place, name, content, is_file)?;
        if let Some(found) = staged.filter(|found| matches!(found.of, Of::Dependency(_))) {
            candidates.extend(self.rules.candidates(&found, content, name));
        }
        Ok(candidates)
    }
}
