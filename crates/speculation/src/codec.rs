//! The stored form of [`SpeculativeActions`]: compact, versioned, the same bytes for the same value.
//!
//! The layout is described beside the fields of the `SpeculativeActions` message.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use headstart_merkle::{Digest, Name, TreePath};
use headstart_reapi::Message;
use headstart_reapi::buildstream::SpeculativeActions as Wire;
use headstart_reapi::buildstream::speculative_actions as wire;

use crate::message::{BaseAction, Fingerprint, NamedTree, Owned, SELF, SpeculativeActions, Trees};
use crate::origin::ElementId;
use crate::storage::SpeculationError;
use crate::table::{Candidate, Exception, Kind, Rule, RuleId, Table};

const VERSION: u32 = 1;
const FAILED: u32 = 1;
const UNUSABLE: u32 = 2;
const GUARDED: u32 = 4;

impl SpeculativeActions {
    /// The stored bytes.
    pub fn encode(&self) -> Bytes {
        self.to_wire().encode_to_vec().into()
    }

    /// Reads stored bytes.
    ///
    /// # Errors
    /// [`SpeculationError::Message`] if they are not such a message, are of another version, or
    /// refer to what is not there.
    pub fn decode(bytes: &[u8]) -> Result<Self, SpeculationError> {
        let wire = Wire::decode(bytes).map_err(|error| invalid(&error.to_string()))?;
        Self::from_wire(&wire)
    }

    /// The message, with the fields of the prototype's layout left empty.
    pub fn to_wire(&self) -> Wire {
        let mut writer = Writer::default();
        let mut message = Wire {
            version: VERSION,
            elements: self.elements.iter().map(element_to_wire).collect(),
            base_actions: Some(digests(self.actions.iter().map(|action| action.digest))),
            other_actions: Some(digests(self.others.iter().copied())),
            ..Wire::default()
        };
        for (place, action) in self.actions.iter().enumerate() {
            let micros = u64::try_from(action.duration.as_micros()).unwrap_or(u64::MAX);
            message.durations.push(micros);
            action.write(place as u32, &mut message.needs);
            message.kinds.push(match &*action.kind {
                "" => 0,
                kind => 1 + writer.string(kind),
            });
        }
        for rule in &self.rules {
            writer.rule(rule, &mut message.rules);
        }
        message.inputs = writer.table(&self.inputs);
        message.artifact = writer.table(&self.artifact);
        message.named_trees = self
            .named_trees
            .iter()
            .map(|named| wire::NamedTree {
                name: named.name.clone(),
                digest: Some(named.tree.into()),
            })
            .collect();
        let root = (SELF, Owned::Root);
        message.root = self.trees.get(&root).map(|tree| (*tree).into());
        let owned = || self.trees.iter().filter(|(key, _)| **key != root);
        message.trees = Some(digests(owned().map(|(_, tree)| *tree)));
        message.tree_owners = owned()
            .map(|((element, owned), _)| element * 2 + u32::from(*owned == Owned::Artifact))
            .collect();
        message.contents = Some(digests(writer.contents.into_iter()));
        message.strings = writer.strings;
        let fingerprint = self.fingerprint.map(|fingerprint| fingerprint.0);
        message.fingerprint = fingerprint.map(Vec::from).unwrap_or_default().into();
        message
    }

    /// Checks a message that is already decoded.
    pub fn from_wire(message: &Wire) -> Result<Self, SpeculationError> {
        if message.version != VERSION {
            let reason = format!("they are of version {}, not {VERSION}", message.version);
            return Err(invalid(&reason));
        }
        let reader = Reader::of(message)?;
        let mut rules = Vec::new();
        let mut numbers = Numbers(message.rules.iter());
        while let Some(count) = numbers.next_if_any() {
            rules.push(reader.rule(count, &mut numbers)?);
        }
        let table = |numbers: &[u32]| reader.table(numbers, rules.len());
        Ok(Self {
            inputs: table(&message.inputs)?,
            artifact: table(&message.artifact)?,
            rules,
            trees: reader.trees,
            elements: reader.elements,
            actions: reader.actions,
            others: reader.others,
            named_trees: reader.named_trees,
            // One that is something else is as good as none.
            fingerprint: <[u8; 32]>::try_from(&message.fingerprint[..])
                .ok()
                .map(Fingerprint),
        })
    }
}

fn invalid(reason: &str) -> SpeculationError {
    SpeculationError::Message(reason.to_owned())
}

fn element_to_wire(element: &ElementId) -> wire::Element {
    wire::Element {
        project: element.project.to_string(),
        name: element.name.to_string(),
    }
}

fn digests<K>(list: impl Iterator<Item = Digest<K>>) -> wire::Digests {
    let mut hashes = Vec::new();
    let mut sizes = Vec::new();
    for digest in list {
        hashes.extend_from_slice(digest.hash());
        sizes.push(digest.size());
    }
    wire::Digests {
        hashes: hashes.into(),
        sizes,
    }
}

fn read_digests<K>(message: Option<&wire::Digests>) -> Result<Vec<Digest<K>>, SpeculationError> {
    let Some(message) = message else {
        return Ok(Vec::new());
    };
    let (hashes, rest) = message.hashes.as_chunks::<32>();
    if !rest.is_empty() || hashes.len() != message.sizes.len() {
        return Err(invalid("a list of digests is cut off"));
    }
    let pairs = hashes.iter().zip(&message.sizes);
    Ok(pairs
        .map(|(hash, size)| Digest::new(*hash, *size))
        .collect())
}

impl BaseAction {
    fn write(&self, place: u32, out: &mut Vec<u32>) {
        let failed = if self.failed { FAILED } else { 0 };
        let unusable = if self.usable { 0 } else { UNUSABLE };
        let guarded = if self.guards.is_empty() { 0 } else { GUARDED };
        out.push(failed | unusable | guarded);
        out.push(self.needs.len() as u32);
        out.extend(self.needs.iter().map(|needed| place - needed));
        out.push(self.named_trees.len() as u32);
        out.extend(&self.named_trees);
        if guarded != 0 {
            out.push(self.guards.len() as u32);
            out.extend(self.guards.iter().map(|guard| place - guard));
        }
    }
}

/// Collects strings and contents, each once, in order of first use.
#[derive(Default)]
struct Writer {
    strings: Vec<String>,
    places: HashMap<String, u32>,
    contents: Vec<headstart_merkle::BlobDigest>,
}

impl Writer {
    fn string(&mut self, text: &str) -> u32 {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        let place = self.strings.len() as u32;
        self.strings.push(text.to_owned());
        self.places.insert(text.to_owned(), place);
        place
    }

    fn rule(&mut self, rule: &Rule, out: &mut Vec<u32>) {
        out.push(rule.0.len() as u32);
        for candidate in &rule.0 {
            let (kind, action) = match candidate.kind {
                Kind::Source => (0, None),
                Kind::Artifact => (1, None),
                Kind::Action(place) => (2, Some(place)),
                Kind::Root => (3, None),
            };
            out.push(kind + if candidate.name.is_some() { 4 } else { 0 });
            out.push(candidate.element);
            out.extend(action);
            out.push(self.string(candidate.directory.as_str()));
            if let Some(name) = &candidate.name {
                out.push(self.string(name.as_str()));
            }
        }
    }

    fn table(&mut self, table: &Table) -> Vec<u32> {
        let mut out = Vec::new();
        let mut pending = vec![(TreePath::root(), Table::ROOT)];
        while let Some((path, at)) = pending.pop() {
            let directory = table.at(at);
            if directory.rule.is_some() || !directory.exceptions.is_empty() {
                out.push(self.string(path.as_str()));
                out.push(rule_number(directory.rule));
                out.push(directory.exceptions.len() as u32);
                for (name, exception) in &directory.exceptions {
                    self.exception(name, exception, &mut out);
                }
            }
            let below = directory.children.iter().rev();
            pending.extend(below.map(|(name, child)| (path.child(name), *child)));
        }
        out
    }

    fn exception(&mut self, name: &Name, exception: &Exception, out: &mut Vec<u32>) {
        let name = self.string(name.as_str());
        match exception {
            Exception::Always(rule) => out.extend([name * 2, rule_number(*rule)]),
            Exception::ByContent(rules) => {
                out.extend([name * 2 + 1, rules.len() as u32]);
                for (content, rule) in rules {
                    out.extend([self.contents.len() as u32, rule_number(*rule)]);
                    self.contents.push(*content);
                }
            }
        }
    }
}

fn rule_number(rule: Option<RuleId>) -> u32 {
    rule.map_or(0, |rule| rule + 1)
}

/// A list of numbers that may end too early.
struct Numbers<'a>(std::slice::Iter<'a, u32>);

impl Numbers<'_> {
    fn next_if_any(&mut self) -> Option<u32> {
        self.0.next().copied()
    }

    fn next(&mut self) -> Result<u32, SpeculationError> {
        self.next_if_any()
            .ok_or_else(|| invalid("a list of numbers is cut off"))
    }

    /// A list of places, each told as a distance back from `place`.
    fn places_before(&mut self, place: u32) -> Result<Vec<u32>, SpeculationError> {
        let mut places = Vec::new();
        for _ in 0..self.next()? {
            let before = place.checked_sub(self.next()?.max(1));
            places.push(before.ok_or_else(|| invalid("an action needs one before the first"))?);
        }
        Ok(places)
    }

    /// A number that must be below `end`.
    fn below(&mut self, end: usize) -> Result<u32, SpeculationError> {
        check(self.next()?, end)
    }
}

fn check(number: u32, end: usize) -> Result<u32, SpeculationError> {
    if (number as usize) < end {
        Ok(number)
    } else {
        Err(invalid("a number refers to nothing"))
    }
}

/// What numbers in a message refer to.
struct Reader {
    elements: Vec<ElementId>,
    actions: Vec<BaseAction>,
    others: Vec<headstart_merkle::ActionDigest>,
    named_trees: Vec<NamedTree>,
    trees: Trees,
    paths: Vec<Option<TreePath>>,
    names: Vec<Option<Name>>,
    contents: Vec<headstart_merkle::BlobDigest>,
}

impl Reader {
    fn of(message: &Wire) -> Result<Self, SpeculationError> {
        if message.elements.is_empty() {
            return Err(invalid("they name no element"));
        }
        let elements = message.elements.iter();
        let strings = &message.strings;
        let named_trees = message.named_trees.iter().map(|named| {
            Ok(NamedTree {
                name: named.name.clone(),
                tree: Digest::required(named.digest.as_ref())
                    .map_err(|error| invalid(&error.to_string()))?,
            })
        });
        Ok(Self {
            elements: elements
                .map(|e| ElementId::new(&e.project, &e.name))
                .collect(),
            actions: read_actions(message)?,
            others: read_digests(message.other_actions.as_ref())?,
            named_trees: named_trees.collect::<Result<_, SpeculationError>>()?,
            trees: read_trees(message)?,
            paths: strings.iter().map(|s| TreePath::new(s).ok()).collect(),
            names: strings.iter().map(|s| Name::new(s).ok()).collect(),
            contents: read_digests(message.contents.as_ref())?,
        })
    }

    fn path(&self, number: u32) -> Result<TreePath, SpeculationError> {
        let path = self.paths.get(number as usize).cloned().flatten();
        path.ok_or_else(|| invalid("a path is missing or leads out of its tree"))
    }

    fn name(&self, number: u32) -> Result<Name, SpeculationError> {
        let name = self.names.get(number as usize).cloned().flatten();
        name.ok_or_else(|| invalid("a name is missing or can't be used"))
    }

    fn rule(&self, count: u32, numbers: &mut Numbers<'_>) -> Result<Rule, SpeculationError> {
        let mut rule = Rule::default();
        for _ in 0..count {
            let form = numbers.below(8)?;
            let element = numbers.below(self.elements.len())?;
            let kind = match form % 4 {
                0 => Kind::Source,
                1 => Kind::Artifact,
                2 => Kind::Action(numbers.below(self.actions.len() + self.others.len())?),
                _ => Kind::Root,
            };
            let directory = self.path(numbers.next()?)?;
            let name = match form / 4 {
                0 => None,
                _ => Some(self.name(numbers.next()?)?),
            };
            rule.0.push(Candidate {
                kind,
                element,
                directory,
                name,
            });
        }
        Ok(rule)
    }

    fn table(&self, numbers: &[u32], rules: usize) -> Result<Table, SpeculationError> {
        let mut table = Table::default();
        let mut numbers = Numbers(numbers.iter());
        while let Some(path) = numbers.next_if_any() {
            let at = table.make(&self.path(path)?);
            let rule = read_rule(&mut numbers, rules)?;
            let exceptions = self.exceptions(&mut numbers, rules)?;
            let directory = &mut table.directories[at as usize];
            directory.rule = rule;
            directory.exceptions = exceptions;
        }
        Ok(table)
    }

    fn exceptions(
        &self,
        numbers: &mut Numbers<'_>,
        rules: usize,
    ) -> Result<BTreeMap<Name, Exception>, SpeculationError> {
        let mut exceptions = BTreeMap::new();
        for _ in 0..numbers.next()? {
            let form = numbers.next()?;
            let exception = if form % 2 == 0 {
                Exception::Always(read_rule(numbers, rules)?)
            } else {
                let mut by_content = BTreeMap::new();
                for _ in 0..numbers.next()? {
                    let content = numbers.below(self.contents.len())?;
                    let rule = read_rule(numbers, rules)?;
                    by_content.insert(self.contents[content as usize], rule);
                }
                Exception::ByContent(by_content)
            };
            exceptions.insert(self.name(form / 2)?, exception);
        }
        Ok(exceptions)
    }
}

fn read_rule(numbers: &mut Numbers<'_>, rules: usize) -> Result<Option<RuleId>, SpeculationError> {
    Ok(numbers.below(rules + 1)?.checked_sub(1))
}

fn read_trees(message: &Wire) -> Result<Trees, SpeculationError> {
    let digests = read_digests(message.trees.as_ref())?;
    if digests.len() != message.tree_owners.len() {
        return Err(invalid("there are not as many owners as trees"));
    }
    let mut trees = Trees::new();
    for (tree, owner) in digests.into_iter().zip(&message.tree_owners) {
        let element = check(owner / 2, message.elements.len())?;
        let owned = match owner % 2 {
            0 => Owned::Sources,
            _ => Owned::Artifact,
        };
        trees.insert((element, owned), tree);
    }
    if let Some(root) = &message.root {
        let root = Digest::try_from(root).map_err(|error| invalid(&error.to_string()))?;
        trees.insert((SELF, Owned::Root), root);
    }
    Ok(trees)
}

fn read_actions(message: &Wire) -> Result<Vec<BaseAction>, SpeculationError> {
    let digests = read_digests(message.base_actions.as_ref())?;
    if digests.len() != message.durations.len() {
        return Err(invalid("there are not as many durations as actions"));
    }
    // Older records have none.
    let mut kinds: HashMap<u32, Arc<str>> = HashMap::new();
    let mut kind = |place: usize| {
        let number = message.kinds.get(place)?.checked_sub(1)?;
        let text = message.strings.get(number as usize)?;
        let known = kinds.entry(number);
        Some(Arc::clone(known.or_insert_with(|| text.as_str().into())))
    };
    let mut actions = Vec::with_capacity(digests.len());
    let mut numbers = Numbers(message.needs.iter());
    for (place, (digest, micros)) in digests.into_iter().zip(&message.durations).enumerate() {
        let flags = numbers.next()?;
        let needs = numbers.places_before(place as u32)?;
        let mut named_trees = Vec::new();
        for _ in 0..numbers.next()? {
            named_trees.push(numbers.below(message.named_trees.len())?);
        }
        let guards = match flags & GUARDED {
            0 => Vec::new(),
            _ => numbers.places_before(place as u32)?,
        };
        actions.push(BaseAction {
            digest,
            duration: Duration::from_micros(*micros),
            failed: flags & FAILED != 0,
            kind: kind(place).unwrap_or_default(),
            usable: flags & UNUSABLE == 0,
            needs,
            guards,
            named_trees,
        });
    }
    Ok(actions)
}
