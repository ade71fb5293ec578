//! Variables: `%{name}` in strings, expanded with detection of undefined and circular ones.

use std::collections::HashMap;
use std::sync::Arc;

use headstart_yaml::{Mapping, Node, Provenance, Scalar};
use indexmap::{IndexMap, IndexSet};

use crate::error::{LoadError, Problem};
use crate::nearest::nearest;

/// Bytes of one expanded string. Commands of real elements have some thousands.
const MAX_EXPANDED: usize = 1 << 20;

/// Bytes of all expanded strings of one element's part, or of all its variables.
const MAX_TOTAL: usize = 64 << 20;

/// Variables that are set by the program alone.
const PROTECTED: [&str; 3] = ["project-name", "element-name", "max-jobs"];

type Values = IndexMap<Arc<str>, Arc<str>>;

/// All variables of an element (or a project), each expanded; in BuildStream's order.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    /// Those that many elements share.
    base: Arc<Base>,
    /// Those that have no value in `base`, or another one than there.
    own: Values,
}

/// Variables that many elements share.
#[derive(Debug, Default)]
struct Base {
    /// The names of all, also of those that each element has another value of.
    order: IndexSet<Arc<str>>,
    /// The values that all elements have that do not change them.
    values: Values,
}

impl Variables {
    /// Expands all variables, used or not: a bad one is an error in any case.
    pub(crate) fn resolve(raw: &Mapping) -> Result<Self, LoadError> {
        let mut resolver = Resolver::new(raw)?;
        resolver.resolve_all()?;
        Ok(resolver.finish())
    }

    /// Expands what can be expanded. A project's variables need some that only elements have.
    pub(crate) fn resolve_possible(raw: &Mapping) -> Result<Self, LoadError> {
        let mut resolver = Resolver::new(raw)?;
        resolver.resolve_possible();
        Ok(resolver.finish())
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&Arc<str>> {
        self.own.get(name).or_else(|| self.base.values.get(name))
    }

    /// The value of a variable, if it is set and not empty.
    pub fn get_non_empty(&self, name: &str) -> Option<&Arc<str>> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// Whether any of these is the element's own, and not as in the [`Layer`] that it begins with.
    pub(crate) fn change_any(&self, names: &IndexSet<Arc<str>>) -> bool {
        self.own.keys().any(|name| names.contains(name))
    }

    /// All variables in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        let order = &self.base.order;
        let shared = order
            .iter()
            .filter_map(|name| Some((name, self.get(name)?)));
        let own = self.own.iter();
        shared.chain(own.filter(|(name, _)| !order.contains(*name)))
    }

    /// Replaces the variables in all strings of a mapping; its keys stay as they are.
    pub(crate) fn expand(&self, mapping: &mut Mapping) -> Result<(), LoadError> {
        let mut total = 0;
        mapping.try_map_scalars(&mut |scalar| {
            let expanded = self.expand_scalar(scalar)?;
            total += expanded.as_ref().map_or(0, |text| text.len());
            limit(total, MAX_TOTAL, &scalar.at, &scalar.value)?;
            Ok(expanded)
        })
    }

    /// The text with its variables replaced, or none if it has none.
    fn expand_scalar(&self, scalar: &Scalar) -> Result<Option<Arc<str>>, LoadError> {
        if !scalar.value.contains("%{") {
            return Ok(None);
        }
        let mut text = String::with_capacity(scalar.value.len() * 2);
        for part in parts(&scalar.value) {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Variable(name) => match self.get(name) {
                    Some(value) => text.push_str(value),
                    None => {
                        let names = self.iter().map(|(name, _)| &**name);
                        return Err(undefined(&scalar.at, name, names));
                    }
                },
            }
            limit(text.len(), MAX_EXPANDED, &scalar.at, &scalar.value)?;
        }
        Ok(Some(text.into()))
    }
}

enum Part<'a> {
    Text(&'a str),
    Variable(&'a str),
}

/// Splits a string at its `%{name}`; a name is a letter, then letters, digits, `_` and `-`.
fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut rest, mut from) = (text, 0);
    while let Some(start) = rest[from..].find("%{").map(|start| start + from) {
        let after = &rest[start + 2..];
        let end = after
            .find(|char: char| !(char.is_ascii_alphanumeric() || char == '_' || char == '-'))
            .unwrap_or(after.len());
        if after.starts_with(|char: char| char.is_ascii_alphabetic())
            && after[end..].starts_with('}')
        {
            if start > 0 {
                parts.push(Part::Text(&rest[..start]));
            }
            parts.push(Part::Variable(&after[..end]));
            rest = &after[end + 1..];
            from = 0;
        } else {
            from = start + 2;
        }
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    parts
}

/// The names of the variables that a mapping's strings refer to, each once.
pub(crate) fn names_in(mapping: &Mapping) -> IndexSet<Arc<str>> {
    fn add(node: &Node, names: &mut IndexSet<Arc<str>>) {
        match node {
            Node::Scalar(scalar) => names.extend(references(&scalar.value).map(Arc::from)),
            Node::Sequence(sequence) => sequence.items.iter().for_each(|node| add(node, names)),
            Node::Mapping(mapping) => mapping.iter().for_each(|(_, node)| add(node, names)),
        }
    }
    let mut names = IndexSet::new();
    mapping.iter().for_each(|(_, node)| add(node, &mut names));
    names
}

/// The variables that a text refers to.
fn references(text: &str) -> impl Iterator<Item = &str> {
    parts(text).into_iter().filter_map(|part| match part {
        Part::Variable(name) => Some(name),
        Part::Text(_) => None,
    })
}

/// Variables that many elements begin with, expanded as far as they can be without an element.
///
/// An element changes few of them, so just those are expanded anew that refer to what it changes.
pub(crate) struct Layer {
    raw: Mapping,
    base: Arc<Base>,
    /// Whether all are strings and none is protected.
    sound: bool,
    /// For each name those variables that refer to it.
    referring: HashMap<Arc<str>, Vec<Arc<str>>>,
    /// Those that need something that is not there.
    open: Vec<Arc<str>>,
}

impl Layer {
    pub(crate) fn new(raw: Mapping) -> Self {
        let mut referring: HashMap<Arc<str>, Vec<Arc<str>>> = HashMap::new();
        for (key, node) in raw.iter() {
            if let Node::Scalar(scalar) = node {
                for name in references(&scalar.value) {
                    let list = referring.entry(name.into()).or_default();
                    list.push(key.text.clone());
                }
            }
        }
        let is_ours = |name| raw.get(name).is_none_or(|node| node.at().is_synthetic());
        let resolved = Variables::resolve_possible(&raw);
        let sound = resolved.is_ok() && PROTECTED.into_iter().all(is_ours);
        let values = resolved.unwrap_or_default().own;
        let order: IndexSet<Arc<str>> = raw.iter().map(|(key, _)| key.text.clone()).collect();
        let names = order.iter();
        Self {
            open: names
                .filter(|name| !values.contains_key(*name))
                .cloned()
                .collect(),
            base: Arc::new(Base { order, values }),
            sound,
            referring,
            raw,
        }
    }

    /// The variables of an element. Those of a junction are expanded as far as they can be.
    pub(crate) fn resolve(
        &self,
        element: &Mapping,
        name: &Arc<str>,
        is_junction: bool,
    ) -> Result<Variables, LoadError> {
        if !is_junction && let Some(variables) = self.resolve_changed(element, name)? {
            return Ok(variables);
        }
        // Slowly, with all errors.
        let mut raw = self.raw.clone();
        if let Some(own) = element.mapping("variables")? {
            own.compose(&mut raw)?;
        }
        raw.expect_composed()?;
        for name in PROTECTED {
            if let Some(node) = raw.get(name).filter(|node| !node.at().is_synthetic()) {
                return Err(LoadError::at(node.at(), Problem::ProtectedVariable(name)));
            }
        }
        raw.insert("element-name", Scalar::synthetic(name.clone()));
        if raw.boolean("notparallel")?.unwrap_or(false) {
            raw.insert("max-jobs", Scalar::synthetic("1"));
        }
        match is_junction {
            true => Variables::resolve_possible(&raw),
            false => Variables::resolve(&raw),
        }
    }

    /// Expands what the element changes and what refers to that; none if something is wrong.
    fn resolve_changed(
        &self,
        element: &Mapping,
        name: &Arc<str>,
    ) -> Result<Option<Variables>, LoadError> {
        let none = Mapping::default();
        let own = element.mapping("variables")?.unwrap_or(&none);
        let name = Scalar::synthetic(name.clone());
        let one = Scalar::synthetic("1");
        let mut changed: IndexMap<Arc<str>, &Scalar> = IndexMap::new();
        for (key, node) in own.iter() {
            match node {
                Node::Scalar(scalar) if !PROTECTED.contains(&&*key.text) => {
                    changed.insert(key.text.clone(), scalar);
                }
                _ => return Ok(None),
            }
        }
        changed.insert("element-name".into(), &name);
        let notparallel = match changed.get("notparallel") {
            Some(scalar) => scalar.as_bool()?,
            None => self.raw.boolean("notparallel")?.unwrap_or(false),
        };
        if notparallel {
            changed.insert("max-jobs".into(), &one);
        }
        let mut position = 0;
        while let Some((name, _)) = changed.get_index(position) {
            position += 1;
            for name in self.referring.get(name).into_iter().flatten() {
                if let (false, Some(Node::Scalar(raw))) =
                    (changed.contains_key(name), self.raw.get(name))
                {
                    changed.insert(name.clone(), raw);
                }
            }
        }
        let is_closed = self.open.iter().all(|name| changed.contains_key(name));
        if !self.sound || !is_closed {
            return Ok(None);
        }
        let mut resolver = Resolver::changed(changed, &self.base.values);
        Ok(match resolver.resolve_all() {
            Ok(()) => Some(Variables {
                base: self.base.clone(),
                ..resolver.finish()
            }),
            Err(_) => None,
        })
    }
}

struct Resolver<'a> {
    names: IndexMap<Arc<str>, (&'a Scalar, Vec<Part<'a>>)>,
    /// The values of further names.
    others: Option<&'a Values>,
    done: Vec<Option<Arc<str>>>,
    open: Vec<bool>,
    /// Bytes of all values so far.
    total: usize,
    /// Whether nobody is told of errors, so that there is no need to look for names that may be meant.
    tries: bool,
}

impl<'a> Resolver<'a> {
    fn new(raw: &'a Mapping) -> Result<Self, LoadError> {
        let mut names = IndexMap::with_capacity(raw.len());
        for (key, _) in raw.iter() {
            let scalar = raw.required_scalar(&key.text)?;
            names.insert(key.text.clone(), (scalar, parts(&scalar.value)));
        }
        Ok(Self::of(names, None))
    }

    fn changed(changed: IndexMap<Arc<str>, &'a Scalar>, others: &'a Values) -> Self {
        let names = changed
            .into_iter()
            .map(|(name, scalar)| (name, (scalar, parts(&scalar.value))));
        Self::of(names.collect(), Some(others))
    }

    fn of(
        names: IndexMap<Arc<str>, (&'a Scalar, Vec<Part<'a>>)>,
        others: Option<&'a Values>,
    ) -> Self {
        Self {
            done: vec![None; names.len()],
            open: vec![false; names.len()],
            total: 0,
            tries: false,
            others,
            names,
        }
    }

    fn finish(self) -> Variables {
        let values = self.names.into_keys().zip(self.done);
        let values = values.filter_map(|(name, value)| Some((name, value?)));
        Variables {
            base: Arc::default(),
            own: values.collect(),
        }
    }

    fn resolve_all(&mut self) -> Result<(), LoadError> {
        (0..self.names.len()).try_for_each(|index| self.resolve(index))
    }

    fn resolve_possible(&mut self) {
        self.tries = true;
        for index in 0..self.names.len() {
            if self.resolve(index).is_err() {
                self.open.fill(false);
            }
        }
    }

    /// Expands one variable and all it refers to. Iterative, as a chain can be of any length.
    fn resolve(&mut self, index: usize) -> Result<(), LoadError> {
        let mut stack = vec![(index, 0, String::new())];
        while let Some((current, position, mut text)) = stack.pop() {
            if self.done[current].is_some() {
                continue;
            }
            self.open[current] = true;
            let (scalar, parts) = &self.names[current];
            let mut waits_for = None;
            let mut position = position;
            while let Some(part) = parts.get(position) {
                match part {
                    Part::Text(part) => text.push_str(part),
                    Part::Variable(name) => {
                        let Some(next) = self.names.get_index_of(*name) else {
                            match self.others.and_then(|others| others.get(*name)) {
                                Some(value) => text.push_str(value),
                                None => return Err(self.undefined(&scalar.at, name)),
                            }
                            position += 1;
                            continue;
                        };
                        match &self.done[next] {
                            Some(value) => text.push_str(value),
                            None => {
                                waits_for = Some(next);
                                break;
                            }
                        }
                    }
                }
                position += 1;
                limit(text.len(), MAX_EXPANDED, &scalar.at, self.name(current))?;
            }
            match waits_for {
                None => {
                    self.open[current] = false;
                    self.total += text.len();
                    limit(self.total, MAX_TOTAL, &scalar.at, self.name(current))?;
                    // Most values have no variables in them: those are shared, not copied.
                    let shared = matches!(parts[..], [] | [Part::Text(_)]);
                    let value = if shared {
                        scalar.value.clone()
                    } else {
                        text.into()
                    };
                    self.done[current] = Some(value);
                }
                Some(next) => {
                    stack.push((current, position, text));
                    if self.open[next] {
                        let chain: Vec<usize> = stack.iter().map(|entry| entry.0).collect();
                        return Err(self.circular(&chain, next));
                    }
                    stack.push((next, 0, String::new()));
                }
            }
        }
        Ok(())
    }

    fn undefined(&self, at: &Provenance, name: &str) -> LoadError {
        let others = self.others.iter().flat_map(|it| it.iter());
        let names = self.names.keys().map(|name| &**name);
        let names = names.chain(others.map(|(name, _)| &**name));
        undefined(at, name, names.filter(|_| !self.tries))
    }

    fn name(&self, index: usize) -> &str {
        self.names.get_index(index).map_or("", |(name, _)| name)
    }

    fn circular(&self, open: &[usize], again: usize) -> LoadError {
        let from = open.iter().position(|&index| index == again).unwrap_or(0);
        let mut chain: Vec<&str> = open[from..].iter().map(|&index| self.name(index)).collect();
        chain.push(self.name(again));
        LoadError::at(
            &self.names[again].0.at,
            Problem::CircularVariable {
                name: self.name(again).to_owned(),
                chain: chain.join(" -> "),
            },
        )
    }
}

fn undefined<'a>(at: &Provenance, name: &str, names: impl Iterator<Item = &'a str>) -> LoadError {
    let problem = Problem::UndefinedVariable {
        name: name.to_owned(),
        suggestion: nearest(name, names).map(str::to_owned),
    };
    LoadError::at(at, problem)
}

fn limit(len: usize, limit: usize, at: &Provenance, name: &str) -> Result<(), LoadError> {
    if len <= limit {
        return Ok(());
    }
    let name = name.chars().take(40).collect();
    Err(LoadError::at(at, Problem::LongVariable { name, limit }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, text: &str, expected: &str) {
        let raw = headstart_yaml::parse("v", raw).unwrap();
        let result = Variables::resolve(&raw).and_then(|variables| {
            let mut mapping = Mapping::default();
            mapping.insert("text", Scalar::synthetic(text));
            variables.expand(&mut mapping)?;
            Ok(mapping.required_string("text")?.to_owned())
        });
        assert_eq!(
            result.unwrap_or_else(|error| error.to_string()),
            expected,
            "{text}"
        );
    }

    #[test]
    fn names_are_replaced_and_nothing_else() {
        check("{a: x, b-c: '%{a}y'}", "%{a}%{b-c}-%{", "xxy-%{");
        check(
            "{a: x}",
            "%{%{a}} %{1} %{} %{a b} %%{a}",
            "%{x} %{1} %{} %{a b} %x",
        );
        check("{a: '%{b}', b: '%{c} %{c}', c: d}", "[%{a}]", "[d d]");
    }

    #[test]
    fn bad_variables_are_named_with_their_place() {
        check(
            "{a: x}",
            "%{no}",
            "(built in): the variable 'no' is not defined",
        );
        check(
            "{a: '%{no}'}",
            "",
            "v:1:5: the variable 'no' is not defined",
        );
        check(
            "a: '%{b}'\nb: 'x %{c}'\nc: '%{b}'",
            "",
            "v:2:4: the variable 'b' refers to itself: b -> c -> b",
        );
        check(
            "{a: '%{a}'}",
            "",
            "v:1:5: the variable 'a' refers to itself: a -> a",
        );
    }

    #[test]
    fn multiplying_variables_are_stopped() {
        let mut raw = String::from("v0: xxxxxxxxxx\n");
        for index in 1..40 {
            raw += &format!("v{index}: '%{{v{0}}}%{{v{0}}}'\n", index - 1);
        }
        check(&raw, "", "v:18:6: 'v17' expands to more than 1048576 bytes");
    }

    #[test]
    fn long_chains_do_not_recurse() {
        let mut raw = String::new();
        for index in 0..100_000 {
            raw += &format!("v{index}: '%{{v{}}}'\n", index + 1);
        }
        raw += "v100000: end\n";
        check(&raw, "%{v0}", "end");
    }
}
