//! The layout of BuildStream's prototype, written and read.
//!
//! It lists each file of each action by content alone, with names of elements that do not tell
//! projects apart; what it can't say is lost in writing, and guessed in reading: a file's origin is
//! taken from the overlays for its content, those that name a file like it first.

use std::collections::HashMap;

use headstart_execution::ActionSpec;
use headstart_merkle::{ActionDigest, BlobDigest, Digest, DirectoryDigest, Name, Node, TreePath};
use headstart_reapi::Message;
use headstart_reapi::buildstream::SpeculativeActions as Wire;
use headstart_reapi::buildstream::speculative_actions::overlay::OverlayType;
use headstart_reapi::buildstream::speculative_actions::{self as wire, SpeculativeAction};

use crate::generate::{Generation, Rules, own_candidate};
use crate::message::{BaseAction, SpeculativeActions};
use crate::mode::Mode;
use crate::odds::kind_of;
use crate::origin::{ElementId, Origin, Overlay};
use crate::storage::{MAX_DEPTH, SpeculationError, Storage, content, directory};
use crate::table::{Candidate, Finger, Kind, RuleId, Table, TableBuilder};

impl SpeculativeActions {
    /// The message in the prototype's layout. `artifact` is the element's artifact, whose files are
    /// listed too.
    ///
    /// # Errors
    /// When a recorded input tree or the artifact can't be read.
    pub fn to_prototype(
        &self,
        artifact: Option<DirectoryDigest>,
        store: &dyn Storage,
    ) -> Result<Wire, SpeculationError> {
        let mut message = Wire::default();
        for action in self.actions.iter().filter(|action| action.usable) {
            let spec = ActionSpec::read(action.digest, store.blobs())?;
            let overlays = self.overlays(spec.input_root, store)?;
            message.actions.push(SpeculativeAction {
                base_action_digest: Some(action.digest.into()),
                overlays: self.to_overlays(&overlays, store),
            });
        }
        if let Some(artifact) = artifact {
            let overlays = self.overlays_in(&self.artifact, artifact, store)?;
            message.artifact_overlays = self.to_overlays(&overlays, store);
        }
        Ok(message)
    }

    fn to_overlays(&self, overlays: &[Overlay], store: &dyn Storage) -> Vec<wire::Overlay> {
        let mut list = Vec::new();
        for overlay in overlays {
            let origins = overlay.origins.iter();
            list.extend(origins.filter_map(|o| self.to_overlay(o, overlay.content, store)));
        }
        list
    }

    fn to_overlay(
        &self,
        origin: &Origin,
        target: BlobDigest,
        store: &dyn Storage,
    ) -> Option<wire::Overlay> {
        let (kind, element, action, path) = match origin {
            Origin::Source { element, path } => (OverlayType::Source, element, None, path.clone()),
            Origin::Artifact { element, path } => {
                (OverlayType::Artifact, element, None, path.clone())
            }
            Origin::Action {
                element,
                action,
                path,
            } => {
                // There, outputs are named as in the result.
                let home = working_directory(*action, store);
                let path = path.strip_prefix(&home).unwrap_or_else(|| path.clone());
                (OverlayType::Action, element, Some(*action), path)
            }
            Origin::Root { .. } => return None,
        };
        let own = element == self.element();
        Some(wire::Overlay {
            r#type: kind.into(),
            source_element: if own {
                String::new()
            } else {
                element.name.to_string()
            },
            source_action_digest: action.map(Into::into),
            source_path: path.as_str().to_owned(),
            target_digest: Some(target.into()),
        })
    }

    /// Reads stored bytes in either layout: ours, which has a version, or the prototype's, which has
    /// none. See [`decode`](Self::decode) and [`from_prototype`](Self::from_prototype).
    ///
    /// # Errors
    /// When they are neither.
    pub fn read(
        bytes: &[u8],
        element: &ElementId,
        artifact: Option<DirectoryDigest>,
        store: &dyn Storage,
    ) -> Result<Self, SpeculationError> {
        let wire =
            Wire::decode(bytes).map_err(|error| SpeculationError::Message(error.to_string()))?;
        let listed = !wire.actions.is_empty() || !wire.artifact_overlays.is_empty();
        if wire.version == 0 && listed {
            return Self::from_prototype(&wire, element, artifact, store);
        }
        Self::from_wire(&wire)
    }

    /// Reads a message in the prototype's layout, stored for `element`. Other elements are taken to
    /// be of the same project. `artifact` is the element's artifact, if it is known.
    ///
    /// # Errors
    /// When a digest or path is not one. An action that can't be read is unusable.
    pub fn from_prototype(
        message: &Wire,
        element: &ElementId,
        artifact: Option<DirectoryDigest>,
        store: &dyn Storage,
    ) -> Result<Self, SpeculationError> {
        let build = Generation::new(element.clone(), Mode::Full);
        let mut reader = Reading {
            places: HashMap::new(),
            rules: Rules::new(&build, message.actions.len()),
            project: element,
            store,
        };
        let mut read = Self::empty(element.clone());
        for (place, action) in message.actions.iter().enumerate() {
            let digest = digest(action.base_action_digest.as_ref())?;
            reader.places.insert(digest, place as u32);
        }
        let mut inputs = TableBuilder::new();
        for (place, action) in message.actions.iter().enumerate() {
            read.actions
                .push(reader.action(place as u32, action, &mut inputs)?);
        }
        read.inputs = inputs.finish();
        if let Some(artifact) = artifact {
            let origins = reader.origins(&message.artifact_overlays)?;
            let mut table = TableBuilder::new();
            reader.walk(artifact, &origins, &mut table)?;
            read.artifact = table.finish();
        }
        (read.elements, read.rules, read.others) = reader.rules.finish();
        Ok(read)
    }
}

fn digest<K>(
    field: Option<&headstart_reapi::reapi::Digest>,
) -> Result<Digest<K>, SpeculationError> {
    Digest::required(field).map_err(|error| SpeculationError::Message(error.to_string()))
}

/// Where a recorded action ran; the root, if that can't be read.
fn working_directory(action: ActionDigest, store: &dyn Storage) -> TreePath {
    let spec = ActionSpec::read(action, store.blobs());
    spec.map(|spec| spec.working_directory).unwrap_or_default()
}

/// Candidates by the content that they are for: the origin's path, without the file's new name.
type Origins = HashMap<BlobDigest, Vec<(Kind, u32, TreePath)>>;

struct Reading<'a, 'b> {
    /// Places of the actions of this message.
    places: HashMap<ActionDigest, u32>,
    rules: Rules<'b>,
    project: &'a ElementId,
    store: &'a dyn Storage,
}

impl Reading<'_, '_> {
    fn action(
        &mut self,
        place: u32,
        action: &SpeculativeAction,
        inputs: &mut TableBuilder,
    ) -> Result<BaseAction, SpeculationError> {
        let digest: ActionDigest = digest(action.base_action_digest.as_ref())?;
        let origins = self.origins(&action.overlays)?;
        let own = |(kind, element, _): &(Kind, u32, TreePath)| match kind {
            Kind::Action(place) if *element == 0 => Some(*place),
            _ => None,
        };
        let mut needs: Vec<u32> = origins.values().flatten().filter_map(own).collect();
        needs.sort_unstable();
        needs.dedup();
        let ordered = needs.iter().all(|needed| *needed < place);
        let read = ActionSpec::read(digest, self.store.blobs());
        let kind = read.as_ref().map(kind_of).unwrap_or_default();
        let walked = match read {
            Ok(spec) if ordered => self.walk(spec.input_root, &origins, inputs).is_ok(),
            _ => false,
        };
        Ok(BaseAction {
            digest,
            duration: std::time::Duration::ZERO,
            failed: false,
            kind: kind.into(),
            usable: walked,
            needs: if ordered { needs } else { Vec::new() },
            guards: Vec::new(),
            named_trees: Vec::new(),
        })
    }

    fn origins(&mut self, overlays: &[wire::Overlay]) -> Result<Origins, SpeculationError> {
        let mut origins = Origins::new();
        for overlay in overlays {
            let target = digest(overlay.target_digest.as_ref())?;
            let element = match overlay.source_element.as_str() {
                "" => self.project.clone(),
                name => ElementId::new(&self.project.project, name),
            };
            let element = self.rules.element(&element);
            let mut path = TreePath::normalized(&overlay.source_path)
                .map_err(|error| SpeculationError::Message(error.to_string()))?;
            let kind = match overlay.r#type() {
                OverlayType::Source => Kind::Source,
                OverlayType::Artifact => Kind::Artifact,
                OverlayType::Action => {
                    let action = digest(overlay.source_action_digest.as_ref())?;
                    path = working_directory(action, self.store).join(&path);
                    let own = self.places.get(&action).copied();
                    Kind::Action(own.unwrap_or_else(|| self.rules.other(action)))
                }
            };
            origins
                .entry(target)
                .or_default()
                .push((kind, element, path));
        }
        Ok(origins)
    }

    fn walk(
        &mut self,
        root: DirectoryDigest,
        origins: &Origins,
        table: &mut TableBuilder,
    ) -> Result<(), SpeculationError> {
        let mut pending = vec![(root, Table::ROOT, 0)];
        while let Some((digest, at, depth)) = pending.pop() {
            if depth > MAX_DEPTH {
                return Err(SpeculationError::TooDeep(TreePath::root()));
            }
            let (mut folder, mut finger) = (Finger::default(), Finger::default());
            let mut decided = Vec::new();
            for (name, node) in &directory(self.store, digest)?.entries {
                if let Node::Directory(child) = node {
                    pending.push((*child, table.child(at, &mut folder, name), depth + 1));
                } else if let Some(content) = content(node)
                    && table.known(at, &mut finger, name, content).is_none()
                {
                    let rule = self.rule(name, content, origins);
                    decided.push((finger, name.clone(), content, rule));
                }
            }
            table.add(at, decided);
        }
        Ok(())
    }

    fn rule(&mut self, name: &Name, content: BlobDigest, origins: &Origins) -> Option<RuleId> {
        let listed = origins.get(&content).map(Vec::as_slice).unwrap_or_default();
        let alike = |path: &TreePath| path.split().is_some_and(|(_, other)| other == *name);
        let some_alike = listed.iter().any(|(_, _, path)| alike(path));
        let meant = listed
            .iter()
            .filter(|(_, _, path)| !some_alike || alike(path));
        let here = TreePath::from(name.clone());
        let candidates = meant.filter_map(|(kind, element, path)| {
            let candidate = own_candidate(*kind, path, &here)?;
            Some(Candidate {
                element: *element,
                ..candidate
            })
        });
        let candidates = candidates.collect();
        self.rules.intern(candidates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session::Change;
    use crate::testing::world::id;

    #[test]
    fn the_prototypes_layout_comes_back_with_the_same_origins() {
        let base = "source base.h base \n install base.h usr/include/base.h";
        let user = "
            needs 0
            source u.c u
            source u.h header
            step u.o = u.c : u.h : usr/include/base.h
            step u.a = u.o
            install u.a usr/lib/u.a
        ";
        let project = crate::primer::tests::project(&[base, user]);
        let change = Change::new(&project, &project, Mode::Full);
        let built = &change.before[1];
        let store = &change.fixture.store;
        let wire = built
            .message
            .to_prototype(Some(built.artifact), store)
            .unwrap();
        assert_eq!(wire.actions.len(), 2);
        let kinds = |list: &[wire::Overlay]| -> Vec<(i32, String, String)> {
            let text =
                |o: &wire::Overlay| (o.r#type, o.source_element.clone(), o.source_path.clone());
            list.iter().map(text).collect()
        };
        let expected = [
            (0, "", "u.c"),
            (0, "", "u.h"),
            (0, "e0.bst", "base.h"),
            (1, "e0.bst", "usr/include/base.h"),
        ];
        let expected = expected.map(|(kind, element, path)| (kind, element.into(), path.into()));
        assert_eq!(kinds(&wire.actions[0].overlays), expected);
        assert_eq!(
            kinds(&wire.actions[1].overlays),
            [(2, String::new(), "u.o".into())]
        );
        assert_eq!(
            kinds(&wire.artifact_overlays),
            [(2, String::new(), "u.a".into())]
        );

        let read =
            SpeculativeActions::from_prototype(&wire, &id(1), Some(built.artifact), store).unwrap();
        for (number, action) in read.actions().iter().enumerate() {
            assert!(action.usable);
            let root = ActionSpec::read(action.digest, store.blobs())
                .unwrap()
                .input_root;
            let expected = built.message.overlays(root, store).unwrap();
            assert_eq!(read.overlays(root, store).unwrap(), expected, "{number}");
        }
        let again = read.to_prototype(Some(built.artifact), store).unwrap();
        assert_eq!(again, wire);
        assert_eq!(SpeculativeActions::decode(&read.encode()).unwrap(), read);

        // Which layout stored bytes have is seen from the bytes.
        let either = |bytes: &[u8]| {
            SpeculativeActions::read(bytes, &id(1), Some(built.artifact), store).unwrap()
        };
        assert_eq!(either(&wire.encode_to_vec()), read);
        assert_eq!(either(&built.message.encode()), *built.message);
        let unknown = SpeculativeActions::read(&[], &id(1), None, store).unwrap_err();
        assert!(unknown.to_string().contains("version 0"), "{unknown}");
    }
}
