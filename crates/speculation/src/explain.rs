//! Why a request was not a hit: the prediction that came nearest, and the first difference.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use headstart_execution::ActionSpec;
use headstart_merkle::{ActionDigest, BlobDigest, TreePath, diff};

use crate::message::SpeculativeActions;
use crate::origin::Origin;
use crate::storage::{SpeculationError, Storage, content};

/// Why a request was not predicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Explanation {
    /// Nothing is stored of the element.
    NothingStored,
    /// No recorded action makes the same outputs.
    Unheard,
    /// The nearest recorded action can't be adapted at all.
    Unusable {
        /// The recorded action.
        base: ActionDigest,
    },
    /// The nearest recorded action was not adapted: some input was not known in time, or is gone.
    NotAdapted {
        /// The recorded action.
        base: ActionDigest,
        /// The first input, by path, that is not what it was when the action was recorded, and
        /// where it came from.
        input: Option<(TreePath, Vec<Origin>)>,
    },
    /// The nearest recorded action was adapted to something else.
    Differs {
        /// The recorded action.
        base: ActionDigest,
        /// What it was adapted to.
        predicted: ActionDigest,
        /// The first difference to what was asked for.
        difference: Difference,
    },
    /// It was predicted.
    Predicted,
}

/// The first difference between two actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// An argument.
    Argument {
        /// Its place; the program's is 0.
        place: usize,
        /// As predicted, if there is one.
        predicted: Option<String>,
        /// As asked for, if there is one.
        asked: Option<String>,
    },
    /// A variable of the environment.
    Variable {
        /// Its name.
        name: String,
        /// As predicted, if it is set.
        predicted: Option<String>,
        /// As asked for, if it is set.
        asked: Option<String>,
    },
    /// A platform property.
    Platform {
        /// Its name.
        name: String,
        /// As predicted, if it is set.
        predicted: Option<String>,
        /// As asked for, if it is set.
        asked: Option<String>,
    },
    /// An input.
    Input {
        /// Where in the input tree.
        path: TreePath,
        /// What was there when the action was recorded.
        old: Option<BlobDigest>,
        /// What was predicted to be there.
        predicted: Option<BlobDigest>,
        /// What is there.
        asked: Option<BlobDigest>,
        /// Where it was thought to come from; nowhere, if it was taken for constant.
        origins: Vec<Origin>,
    },
    /// Something else: outputs, working directory, timeout, salt.
    Other,
}

/// Explains requests of one element's build by what was predicted of it.
pub struct Explainer<'a> {
    message: &'a SpeculativeActions,
    store: &'a dyn Storage,
    predicted: HashMap<ActionDigest, ActionDigest>,
    all_predicted: HashSet<ActionDigest>,
    /// Recorded actions by what they make.
    by_outputs: HashMap<Vec<TreePath>, Vec<(usize, ActionSpec)>>,
}

impl<'a> Explainer<'a> {
    /// `message` is what was stored, `predictions` what it was adapted to (see
    /// [`Primer::predictions`](crate::Primer::predictions)).
    pub fn new(
        message: &'a SpeculativeActions,
        predictions: &[(ActionDigest, Option<ActionDigest>)],
        store: &'a dyn Storage,
    ) -> Self {
        let mut by_outputs: HashMap<_, Vec<_>> = HashMap::new();
        for (place, action) in message.actions.iter().enumerate() {
            // What can't be read can't be near.
            if let Ok(spec) = ActionSpec::read(action.digest, store.blobs()) {
                by_outputs
                    .entry(outputs(&spec))
                    .or_default()
                    .push((place, spec));
            }
        }
        let adapted = predictions.iter();
        let adapted = adapted.filter_map(|(base, today)| Some((*base, (*today)?)));
        let predicted: HashMap<_, _> = adapted.collect();
        Self {
            message,
            store,
            all_predicted: predicted.values().copied().collect(),
            predicted,
            by_outputs,
        }
    }

    /// Why `asked` was not predicted.
    pub fn explain(&self, asked: ActionDigest) -> Result<Explanation, SpeculationError> {
        if self.all_predicted.contains(&asked) {
            return Ok(Explanation::Predicted);
        }
        if self.message.actions.is_empty() {
            return Ok(Explanation::NothingStored);
        }
        let asked = ActionSpec::read(asked, self.store.blobs())?;
        let Some((place, base)) = self.nearest(&asked) else {
            return Ok(Explanation::Unheard);
        };
        if !self.message.actions[place].usable {
            return Ok(Explanation::Unusable { base: base.digest });
        }
        let Some(predicted) = self.predicted.get(&base.digest) else {
            return Ok(Explanation::NotAdapted {
                base: base.digest,
                input: self.first_changed(base, &asked)?,
            });
        };
        let predicted = ActionSpec::read(*predicted, self.store.blobs())?;
        Ok(Explanation::Differs {
            base: base.digest,
            predicted: predicted.digest,
            difference: self.difference(base, &predicted, &asked)?,
        })
    }

    /// The recorded action with the same outputs, of several the one with the most arguments alike.
    fn nearest(&self, asked: &ActionSpec) -> Option<(usize, &ActionSpec)> {
        let same = self.by_outputs.get(&outputs(asked))?;
        let alike = |spec: &ActionSpec| {
            let pairs = spec.arguments.iter().zip(&asked.arguments);
            pairs.filter(|(a, b)| a == b).count()
        };
        // Of those equally alike the first.
        let nearest = same.iter().rev().max_by_key(|(_, spec)| alike(spec));
        nearest.map(|(place, spec)| (*place, spec))
    }

    fn first_changed(
        &self,
        base: &ActionSpec,
        asked: &ActionSpec,
    ) -> Result<Option<(TreePath, Vec<Origin>)>, SpeculationError> {
        let differences = diff(self.store, base.input_root, asked.input_root)?;
        let first = differences.into_iter().next();
        Ok(first.map(|first| {
            let content = first.before.as_ref().and_then(content);
            let origins = self.message.input_origins(&first.path, content);
            (first.path, origins)
        }))
    }

    fn difference(
        &self,
        base: &ActionSpec,
        predicted: &ActionSpec,
        asked: &ActionSpec,
    ) -> Result<Difference, SpeculationError> {
        let count = predicted.arguments.len().max(asked.arguments.len());
        for place in 0..count {
            let (a, b) = (predicted.arguments.get(place), asked.arguments.get(place));
            if a != b {
                return Ok(Difference::Argument {
                    place,
                    predicted: a.cloned(),
                    asked: b.cloned(),
                });
            }
        }
        if let Some((name, predicted, asked)) =
            first_pair(&predicted.environment, &asked.environment)
        {
            return Ok(Difference::Variable {
                name,
                predicted,
                asked,
            });
        }
        if let Some((name, predicted, asked)) = first_pair(&predicted.platform, &asked.platform) {
            return Ok(Difference::Platform {
                name,
                predicted,
                asked,
            });
        }
        let differences = diff(self.store, predicted.input_root, asked.input_root)?;
        let Some(first) = differences.into_iter().next() else {
            return Ok(Difference::Other);
        };
        let old = crate::storage::lookup(self.store, base.input_root, &first.path, false)?;
        let old = old.as_ref().and_then(content);
        Ok(Difference::Input {
            origins: self.message.input_origins(&first.path, old),
            old,
            predicted: first.before.as_ref().and_then(content),
            asked: first.after.as_ref().and_then(content),
            path: first.path,
        })
    }
}

fn outputs(spec: &ActionSpec) -> Vec<TreePath> {
    let paths = spec.outputs.paths.iter().filter_map(|path| {
        TreePath::normalized(&format!("{}/{path}", spec.working_directory.as_str())).ok()
    });
    let mut paths: Vec<TreePath> = paths.collect();
    paths.sort();
    paths
}

/// The first name, in order, whose values differ.
fn first_pair(
    predicted: &[(String, String)],
    asked: &[(String, String)],
) -> Option<(String, Option<String>, Option<String>)> {
    let mut both: BTreeMap<&String, (Option<&String>, Option<&String>)> = BTreeMap::new();
    for (name, value) in predicted {
        both.entry(name).or_default().0 = Some(value);
    }
    for (name, value) in asked {
        both.entry(name).or_default().1 = Some(value);
    }
    let mut pairs = both.into_iter();
    let (name, (a, b)) = pairs.find(|(_, (a, b))| a != b)?;
    Some((name.clone(), a.cloned(), b.cloned()))
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingStored => f.write_str("nothing is stored of an earlier build"),
            Self::Unheard => f.write_str("no recorded action makes these outputs"),
            Self::Unusable { base } => write!(f, "the recorded action {base} can't be adapted"),
            Self::NotAdapted { base, input } => {
                write!(f, "the recorded action {base} was not adapted")?;
                match input {
                    Some((path, origins)) => {
                        write!(f, ": {path} is another, from {}", Listed(origins))
                    }
                    None => f.write_str(" in time"),
                }
            }
            Self::Differs {
                base, difference, ..
            } => write!(
                f,
                "the recorded action {base} was adapted otherwise: {difference}"
            ),
            Self::Predicted => f.write_str("it was predicted"),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<String>| match value {
            Some(value) => format!("{value:?}"),
            None => "none".to_owned(),
        };
        match self {
            Self::Argument {
                place,
                predicted,
                asked,
            } => {
                let (predicted, asked) = (text(predicted), text(asked));
                write!(f, "argument {place} is {asked}, predicted {predicted}")
            }
            Self::Variable {
                name,
                predicted,
                asked,
            } => {
                let (predicted, asked) = (text(predicted), text(asked));
                write!(f, "the variable {name} is {asked}, predicted {predicted}")
            }
            Self::Platform {
                name,
                predicted,
                asked,
            } => {
                let (predicted, asked) = (text(predicted), text(asked));
                write!(f, "the platform's {name} is {asked}, predicted {predicted}")
            }
            Self::Input {
                path,
                old,
                predicted,
                asked,
                origins,
            } => {
                let text = |digest: &Option<BlobDigest>| match digest {
                    Some(digest) => digest.to_string(),
                    None => "none".to_owned(),
                };
                let (old, predicted, asked) = (text(old), text(predicted), text(asked));
                write!(f, "{path} is {asked}, predicted {predicted}, was {old}, ")?;
                write!(f, "from {}", Listed(origins))
            }
            Self::Other => f.write_str("outputs, working directory or limits"),
        }
    }
}

struct Listed<'a>(&'a [Origin]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nowhere known");
        }
        for (place, origin) in self.0.iter().enumerate() {
            let before = if place == 0 { "" } else { ", or " };
            write!(f, "{before}{origin}")?;
        }
        Ok(())
    }
}
