//! Project options: their declarations, values and what conditions make of them.

use std::sync::Arc;

use headstart_yaml::{Key, Mapping, Node, Provenance, Scalar, Sequence};
use indexmap::IndexMap;

use crate::error::{LoadError, Problem};
use crate::expression::{self, Value};
use crate::host::{Host, canonical_arch};
use crate::nearest::nearest;

pub(crate) const CONDITIONS: &str = "(?)";
pub(crate) const ASSERTION: &str = "(!)";

/// The type of an option, with the values that it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionType {
    /// `true` or `false`.
    Bool,
    /// One of the values.
    Enum(Vec<Arc<str>>),
    /// Any of the values.
    Flags(Vec<Arc<str>>),
    /// One of the values, by default the one that names the host's machine.
    Arch(Vec<Arc<str>>),
    /// One of the values, by default the host's operating system.
    Os(Vec<Arc<str>>),
    /// Any of the project's elements.
    ElementMask(Vec<Arc<str>>),
}

/// The value of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionValue {
    /// Of a boolean.
    Bool(bool),
    /// Of an enumeration, architecture or operating system.
    One(Arc<str>),
    /// Of flags and element masks.
    Many(Vec<Arc<str>>),
}

impl OptionValue {
    /// The text that a variable gets from the option.
    pub fn to_text(&self) -> String {
        match self {
            Self::Bool(value) => if *value { "1" } else { "0" }.to_owned(),
            Self::One(value) => value.to_string(),
            Self::Many(values) => values.join(","),
        }
    }
}

/// One option of a project.
#[derive(Clone, Debug)]
pub struct ProjectOption {
    /// What it is for.
    pub description: Arc<str>,
    /// The variable that is set from it.
    pub variable: Option<Arc<str>>,
    /// Its type.
    pub option_type: OptionType,
    /// Its value.
    pub value: OptionValue,
}

/// The options of a project.
#[derive(Clone, Debug, Default)]
pub struct Options {
    options: IndexMap<Arc<str>, ProjectOption>,
}

impl Options {
    /// Reads the declarations. `elements` lists the project's elements, for element masks.
    pub(crate) fn load(
        declarations: &Mapping,
        host: &Host,
        elements: &dyn Fn() -> Result<Vec<Arc<str>>, LoadError>,
    ) -> Result<Self, LoadError> {
        let mut options = IndexMap::new();
        for (key, _) in declarations.iter() {
            check_symbol(&key.text, "name of an option", false, &key.at)?;
            let declaration = declarations
                .mapping(&key.text)?
                .ok_or_else(|| declarations.missing(&key.text))?;
            let option = load_option(&key.text, declaration, host, elements)?;
            options.insert(key.text.clone(), option);
        }
        Ok(Self { options })
    }

    /// Takes values from a configuration file: a mapping of option names.
    pub(crate) fn set_from(&mut self, values: &Mapping) -> Result<(), LoadError> {
        for (key, value) in values.iter() {
            if !self.options.contains_key(&key.text) {
                return Err(LoadError::at(&key.at, self.unknown(&key.text)));
            }
            let Some(option) = self.options.get_mut(&key.text) else {
                continue;
            };
            option.value = match (&option.option_type, value) {
                (OptionType::Bool, Node::Scalar(scalar)) => OptionValue::Bool(scalar.as_bool()?),
                (OptionType::Flags(_) | OptionType::ElementMask(_), _) => {
                    let mut chosen = values.strings(&key.text)?;
                    chosen.sort();
                    OptionValue::Many(chosen)
                }
                _ => OptionValue::One(values.required_scalar(&key.text)?.value.clone()),
            };
            option.check(&key.text, Some(value.at()))?;
        }
        Ok(())
    }

    /// Takes values from the command line.
    pub(crate) fn set_from_command_line(
        &mut self,
        values: &[(String, String)],
        ignore_unknown: bool,
    ) -> Result<(), LoadError> {
        for (name, text) in values {
            if !self.options.contains_key(name.as_str()) && !ignore_unknown {
                return Err(LoadError::nowhere(self.unknown(name)));
            }
            let Some(option) = self.options.get_mut(name.as_str()) else {
                continue;
            };
            option.value = match (&option.option_type, text.as_str()) {
                (OptionType::Bool, "True" | "true") => OptionValue::Bool(true),
                (OptionType::Bool, "False" | "false") => OptionValue::Bool(false),
                (OptionType::Bool, _) => return Err(option.refuse(name, text, None)),
                (OptionType::Flags(_) | OptionType::ElementMask(_), _) => {
                    let text: String = text.split_whitespace().collect();
                    let mut chosen: Vec<Arc<str>> = text.split(',').map(Arc::from).collect();
                    chosen.sort();
                    OptionValue::Many(chosen)
                }
                _ => OptionValue::One(text.as_str().into()),
            };
            option.check(name, None)?;
        }
        Ok(())
    }

    fn unknown(&self, name: &str) -> Problem {
        let suggestion = nearest(name, self.options.keys().map(|name| &**name));
        Problem::UnknownOption {
            name: name.to_owned(),
            suggestion: suggestion.map(str::to_owned),
        }
    }

    /// Checks what is only known now: whether the host is among the values.
    pub(crate) fn finish(&self, declarations: &Mapping) -> Result<(), LoadError> {
        self.options
            .iter()
            .try_for_each(|(name, option)| option.check(name, declarations.key_at(name)))
    }

    /// The options in the order of their declaration.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &ProjectOption)> {
        self.options.iter()
    }

    /// Sets the variables that options are exported to.
    pub(crate) fn export(&self, variables: &mut Mapping) {
        for option in self.options.values() {
            if let Some(name) = &option.variable {
                variables.insert(&**name, Scalar::synthetic(option.value.to_text()));
            }
        }
    }

    fn lookup(&self, name: &str) -> Option<Value> {
        Some(match &self.options.get(name)?.value {
            OptionValue::Bool(value) => Value::Bool(*value),
            OptionValue::One(value) => Value::Str(value.clone()),
            OptionValue::Many(values) => {
                Value::List(values.iter().cloned().map(Value::Str).collect())
            }
        })
    }

    /// Resolves all conditions and assertions in a mapping. What is in `unconditional` can't be set
    /// by a condition at its top level.
    pub(crate) fn process(
        &self,
        mapping: &mut Mapping,
        unconditional: &[&str],
    ) -> Result<(), LoadError> {
        loop {
            if let Some(assertion) = mapping.scalar(ASSERTION)? {
                let problem = Problem::Assertion(assertion.value.to_string());
                return Err(LoadError::at(&assertion.at, problem));
            }
            let Some(conditions) = mapping.take_sequence(CONDITIONS)? else {
                break;
            };
            for condition in conditions.mappings()? {
                self.apply(condition, mapping, unconditional)?;
            }
        }
        mapping
            .values_mut()
            .try_for_each(|value| self.process_value(value))
    }

    fn process_value(&self, value: &mut Node) -> Result<(), LoadError> {
        match value {
            Node::Scalar(_) => Ok(()),
            Node::Sequence(Sequence { items, .. }) => items
                .iter_mut()
                .try_for_each(|item| self.process_value(item)),
            Node::Mapping(mapping) => self.process(mapping, &[]),
        }
    }

    /// Lays what a condition holds over the mapping, if the condition is true.
    fn apply(
        &self,
        condition: &Mapping,
        mapping: &mut Mapping,
        unconditional: &[&str],
    ) -> Result<(), LoadError> {
        let mut entries = condition.iter();
        let (Some((Key { text, at }, _)), None) = (entries.next(), entries.next()) else {
            return Err(LoadError::at(&condition.at, Problem::Condition));
        };
        let holds = expression::evaluate(text, &|name| self.lookup(name)).map_err(|problem| {
            let expression = text.to_string();
            LoadError::at(
                at,
                Problem::Expression {
                    expression,
                    problem,
                },
            )
        })?;
        let Some(fragment) = condition.mapping(text)? else {
            return Ok(());
        };
        if let Some(name) = unconditional.iter().find(|name| fragment.contains(name)) {
            let at = fragment.key_at(name).unwrap_or(at);
            return Err(LoadError::at(
                at,
                Problem::Unconditional((*name).to_owned()),
            ));
        }
        if holds {
            fragment.compose(mapping)?;
        }
        Ok(())
    }
}

impl ProjectOption {
    fn check(&self, name: &str, at: Option<&Provenance>) -> Result<(), LoadError> {
        let refused = match (&self.value, &self.option_type) {
            (
                OptionValue::One(value),
                OptionType::Enum(values) | OptionType::Arch(values) | OptionType::Os(values),
            ) => (!values.contains(value)).then_some(value),
            (
                OptionValue::Many(chosen),
                OptionType::Flags(values) | OptionType::ElementMask(values),
            ) => chosen.iter().find(|value| !values.contains(value)),
            _ => None,
        };
        refused.map_or(Ok(()), |value| Err(self.refuse(name, value, at)))
    }

    fn refuse(&self, name: &str, value: &str, at: Option<&Provenance>) -> LoadError {
        let expected = match &self.option_type {
            OptionType::Bool => "'true' or 'false'".to_owned(),
            OptionType::ElementMask(_) => "names of elements".to_owned(),
            OptionType::Enum(values)
            | OptionType::Flags(values)
            | OptionType::Arch(values)
            | OptionType::Os(values) => format!("one of '{}'", values.join("', '")),
        };
        let problem = Problem::OptionValue {
            option: name.to_owned(),
            value: value.to_owned(),
            expected,
        };
        match at {
            Some(at) => LoadError::at(at, problem),
            None => LoadError::nowhere(problem),
        }
    }
}

fn load_option(
    name: &str,
    node: &Mapping,
    host: &Host,
    elements: &dyn Fn() -> Result<Vec<Arc<str>>, LoadError>,
) -> Result<ProjectOption, LoadError> {
    let kind = node.required_scalar("type")?;
    let keys: &[&str] = match &*kind.value {
        "bool" | "element-mask" => &["type", "description", "variable", "default"],
        "enum" | "flags" => &["type", "description", "variable", "default", "values"],
        "arch" | "os" => &["type", "description", "variable", "values"],
        _ => {
            let expected = "'bool', 'enum', 'flags', 'arch', 'os' or 'element-mask'";
            return Err(kind.unlike(expected).into());
        }
    };
    node.expect_keys(keys)?;
    let description = node.required_scalar("description")?.value.clone();
    let variable = node.scalar("variable")?;
    if let Some(variable) = variable {
        check_symbol(&variable.value, "name of a variable", true, &variable.at)?;
    }
    let values = || match node.strings("values")? {
        values if values.is_empty() => Err(node.missing("values").into()),
        values => Ok::<_, LoadError>(values),
    };
    let (option_type, value) = match &*kind.value {
        "bool" => {
            let default = node.boolean("default")?;
            let default = default.ok_or_else(|| node.missing("default"))?;
            (OptionType::Bool, OptionValue::Bool(default))
        }
        "enum" => {
            let default = node.required_scalar("default")?.value.clone();
            (OptionType::Enum(values()?), OptionValue::One(default))
        }
        // A default is taken in its own order, unlike what is chosen later.
        "flags" => (
            OptionType::Flags(values()?),
            OptionValue::Many(node.strings("default")?),
        ),
        "element-mask" => (
            OptionType::ElementMask(elements()?),
            OptionValue::Many(node.strings("default")?),
        ),
        "arch" => {
            let values = values()?;
            let value = OptionValue::One(arch_default(node, &values, host)?);
            (OptionType::Arch(values), value)
        }
        _ => {
            let system = OptionValue::One(host.system.as_str().into());
            (OptionType::Os(values()?), system)
        }
    };
    let option = ProjectOption {
        description,
        variable: variable.map(|variable| variable.value.clone()),
        option_type,
        value,
    };
    if !matches!(option.option_type, OptionType::Arch(_) | OptionType::Os(_)) {
        let at = node.get("default").map_or(&node.at, Node::at);
        option.check(name, Some(at))?;
    }
    Ok(option)
}

/// The first value that names the host's machine, else the machine's canonical name.
fn arch_default(node: &Mapping, values: &[Arc<str>], host: &Host) -> Result<Arc<str>, LoadError> {
    let unknown = || LoadError::at(&node.at, Problem::UnknownArch(host.machine.clone()));
    let arch = host.arch().ok_or_else(unknown)?;
    let mut default = None;
    for value in values {
        let unknown = || LoadError::at(&node.at, Problem::UnknownArchValue(value.to_string()));
        let canonical = canonical_arch(value).ok_or_else(unknown)?;
        if canonical == arch && default.is_none() {
            default = Some(value.clone());
        }
    }
    Ok(default.unwrap_or_else(|| arch.into()))
}

/// Whether something can be called so: letters, digits and underscores, and dashes if those are allowed;
/// no digit first.
pub fn is_symbol(name: &str, dashes: bool) -> bool {
    let fits = |char: char| char.is_ascii_alphanumeric() || char == '_' || dashes && char == '-';
    !name.is_empty() && name.chars().all(fits) && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// Checks a name of BuildStream's: letters, digits and underscores, some with dashes, no digit
/// first.
pub(crate) fn check_symbol(
    name: &str,
    what: &'static str,
    dashes: bool,
    at: &Provenance,
) -> Result<(), LoadError> {
    if is_symbol(name, dashes) {
        return Ok(());
    }
    let allowed = if dashes {
        "letters, digits, underscores and dashes"
    } else {
        "letters, digits and underscores"
    };
    let name = name.to_owned();
    Err(LoadError::at(
        at,
        Problem::Symbol {
            what,
            name,
            allowed,
        },
    ))
}
