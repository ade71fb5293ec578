//! Why a request was not a hit: the prediction that came nearest, and the first difference. And the
//! other way round: why a prediction was not asked for.

mod calls;
mod today;
mod words;

use std::collections::{BTreeMap, HashMap, HashSet};

use headstart_execution::ActionSpec;
use headstart_merkle::{ActionDigest, BlobDigest, TreePath, diff};

use crate::message::SpeculativeActions;
use crate::origin::Origin;
use crate::storage::{SpeculationError, Storage, content, lookup};
pub use calls::Calls;
pub use today::Today;

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
        /// The first input, by path, that is not what it was when the action was recorded.
        input: Option<InputDifference>,
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
    Input(InputDifference),
    /// Something else: outputs, working directory, timeout, salt.
    Other,
}

/// An input that is not what it was predicted to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputDifference {
    /// Where in the input tree.
    pub path: TreePath,
    /// What was there when the action was recorded.
    pub old: Input,
    /// What was predicted to be there.
    pub predicted: Input,
    /// What is there.
    pub asked: Input,
}

/// What is at a path, and where it came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Input {
    /// The content of the file, or of the link's target; `None` if nothing is there.
    pub content: Option<BlobDigest>,
    /// Where it came from, best first, as far as is known; nowhere, if it was taken for constant.
    pub origins: Vec<Origin>,
}

/// Explains requests of one element's build by what was predicted of it.
pub struct Explainer<'a> {
    message: &'a SpeculativeActions,
    store: &'a dyn Storage,
    today: Option<&'a dyn Today>,
    /// What today's build of the element has left.
    newest: Option<&'a SpeculativeActions>,
    predicted: HashMap<ActionDigest, ActionDigest>,
    all_predicted: HashSet<ActionDigest>,
    /// Recorded actions by what they make.
    recorded: Calls,
}

impl<'a> Explainer<'a> {
    /// `message` is what was stored, `predictions` what it was adapted to (see
    /// [`Primer::predictions`](crate::Primer::predictions)).
    pub fn new(
        message: &'a SpeculativeActions,
        predictions: &[(ActionDigest, Option<ActionDigest>)],
        store: &'a dyn Storage,
    ) -> Self {
        let adapted = predictions.iter();
        let adapted = adapted.filter_map(|(base, today)| Some((*base, (*today)?)));
        let predicted: HashMap<_, _> = adapted.collect();
        let recorded = message.actions.iter().map(|action| action.digest);
        Self {
            message,
            store,
            today: None,
            newest: None,
            all_predicted: predicted.values().copied().collect(),
            predicted,
            recorded: Calls::read(recorded, store),
        }
    }

    /// Tells what is known of today's trees and results: where a predicted input came from.
    #[must_use]
    pub fn with_today(mut self, today: &'a dyn Today) -> Self {
        self.today = Some(today);
        self
    }

    /// Tells what today's build of the element has left: where an input asked for came from.
    #[must_use]
    pub fn with_newest(mut self, newest: Option<&'a SpeculativeActions>) -> Self {
        self.newest = newest;
        self
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
        let Some(base) = self.recorded.nearest(&asked) else {
            return Ok(Explanation::Unheard);
        };
        let mut recorded = self.message.actions.iter();
        if !recorded.any(|action| action.digest == base.digest && action.usable) {
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

    /// What of the `calls` of the real build makes the same as `predicted`, to which `base` was
    /// adapted, and the first difference; `None` if none does.
    pub fn explain_unasked(
        &self,
        base: ActionDigest,
        predicted: ActionDigest,
        calls: &Calls,
    ) -> Result<Option<(ActionDigest, Difference)>, SpeculationError> {
        let predicted = ActionSpec::read(predicted, self.store.blobs())?;
        let Some(asked) = calls.nearest(&predicted) else {
            return Ok(None);
        };
        let base = ActionSpec::read(base, self.store.blobs())?;
        let difference = self.difference(&base, &predicted, asked)?;
        Ok(Some((asked.digest, difference)))
    }

    /// The first input that has changed since the action was recorded.
    fn first_changed(
        &self,
        base: &ActionSpec,
        asked: &ActionSpec,
    ) -> Result<Option<InputDifference>, SpeculationError> {
        let differences = diff(self.store, base.input_root, asked.input_root)?;
        let Some(first) = differences.into_iter().next() else {
            return Ok(None);
        };
        let old = first.before.as_ref().and_then(content);
        let asked = first.after.as_ref().and_then(content);
        Ok(Some(self.input(first.path, old, None, asked)))
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
        let old = lookup(self.store, base.input_root, &first.path, false)?;
        Ok(Difference::Input(self.input(
            first.path,
            old.as_ref().and_then(content),
            first.before.as_ref().and_then(content),
            first.after.as_ref().and_then(content),
        )))
    }

    /// An input as it was, as it was predicted and as it is, each with where it came from.
    fn input(
        &self,
        path: TreePath,
        old: Option<BlobDigest>,
        predicted: Option<BlobDigest>,
        asked: Option<BlobDigest>,
    ) -> InputDifference {
        let candidates = self.message.input_origins(&path, old);
        let those_with = |content: Option<BlobDigest>| -> Vec<Origin> {
            let (Some(content), Some(today)) = (content, self.today) else {
                return Vec::new();
            };
            let has = |origin: &&Origin| {
                today::content_of(today, origin, self.store).is_some_and(|has| has == content)
            };
            candidates.iter().filter(has).cloned().collect()
        };
        let recorded_today = self
            .newest
            .map(|newest| newest.input_origins(&path, asked))
            .filter(|origins| !origins.is_empty());
        let asked = Input {
            content: asked,
            origins: recorded_today.unwrap_or_else(|| those_with(asked)),
        };
        let predicted = Input {
            content: predicted,
            origins: those_with(predicted),
        };
        let old = Input {
            content: old,
            origins: candidates,
        };
        InputDifference {
            path,
            old,
            predicted,
            asked,
        }
    }
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
