//! Explanations as data, for people and programs. Digests are written as `HASH/SIZE`, times in
//! seconds.

use std::collections::BTreeMap;
use std::time::Duration;

use headstart_execution::ActionSpec;
use headstart_merkle::ActionDigest;
use headstart_speculation::{Difference, Explanation, Input, InputDifference, Note, Origin};
use serde::Serialize;

use crate::history::Header;
use crate::report::seconds;

/// What there is to be said of a session.
#[derive(Debug, Clone, Serialize)]
pub struct SessionExplanation {
    /// Its name.
    pub session: String,
    /// What it was about.
    pub header: Header,
    /// How long it took; nothing if it was broken off, or goes on.
    pub seconds: Option<f64>,
    /// Whether all of its history could be read.
    pub whole: bool,
    /// The elements that were asked about.
    pub elements: Vec<ElementExplanation>,
}

/// What there is to be said of an element's part of it.
#[derive(Debug, Clone, Serialize)]
pub struct ElementExplanation {
    /// The element, with its project.
    pub name: String,
    /// How its build went.
    pub state: BuildState,
    /// How often each thing happened to its actions.
    pub counts: BTreeMap<&'static str, usize>,
    /// Calls that were missed and predictions that nobody asked for; or all that was asked about.
    pub calls: Vec<Call>,
}

/// How an element's build went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildState {
    /// To its end.
    Built,
    /// It failed.
    Failed,
    /// The session was broken off, or goes on.
    BrokenOff,
    /// It was not come to.
    NotBuilt,
}

/// A call of the real build, or a prediction.
#[derive(Debug, Clone, Serialize)]
pub struct Call {
    /// The action.
    pub action: String,
    /// The recorded action that it was adapted from.
    pub base: Option<String>,
    /// What became of it.
    pub outcome: &'static str,
    /// When that was, since the session's beginning.
    pub at: f64,
    /// How long its command ran; zero if not known.
    pub took: f64,
    /// Its arguments; empty if the action is no longer stored.
    pub command: Vec<String>,
    /// What it makes.
    pub outputs: Vec<String>,
    /// Why.
    pub reason: Option<Reason>,
    /// All that happened to it, if it was asked about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<TimedEvent>,
}

/// Something that happened to an action.
#[derive(Debug, Clone, Serialize)]
pub struct TimedEvent {
    /// When, since the session's beginning.
    pub at: f64,
    /// What.
    pub what: &'static str,
    /// The action that it happened to.
    pub action: Option<String>,
    /// The recorded action that this was adapted from.
    pub base: Option<String>,
    /// How long its command ran; zero if not known.
    pub took: f64,
}

/// Why a call was missed, or a prediction not asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Reason {
    /// Nothing was stored of an earlier build of the element.
    NothingStored,
    /// No recorded action makes the same outputs.
    Unheard,
    /// The nearest recorded action can't be adapted at all.
    Unusable {
        /// The recorded action.
        base: String,
    },
    /// The nearest recorded action was not adapted: an input was not known in time, or is gone.
    NotAdapted {
        /// The recorded action.
        base: String,
        /// The first input that has changed.
        input: Option<InputData>,
    },
    /// What was predicted and what was asked for differ.
    Differs {
        /// The recorded action.
        base: String,
        /// What it was adapted to.
        predicted: String,
        /// What the real build asked for in its place.
        #[serde(skip_serializing_if = "Option::is_none")]
        asked: Option<String>,
        /// The first difference.
        difference: DifferenceData,
    },
    /// It was predicted this much too late.
    TooLate {
        /// How much.
        seconds: f64,
    },
    /// Something that explaining takes is no longer stored.
    Unreadable {
        /// What.
        error: String,
    },
    /// The execution ahead of need failed.
    ExecutionFailed,
    /// The prediction was corrected later.
    Corrected {
        /// To this.
        now: String,
    },
    /// An input turned out to be gone.
    Refuted,
    /// The element's build was not come to.
    NotBuilt,
    /// The element's build failed before.
    BuildFailed,
    /// The session was broken off before, or goes on.
    BrokenOff,
    /// The element's build did not call for anything that makes the same.
    NotCalled,
}

/// The first difference between a prediction and what was asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "in", rename_all = "kebab-case")]
pub enum DifferenceData {
    /// An argument.
    Argument {
        /// Its place; the program's is 0.
        place: usize,
        /// As predicted.
        predicted: Option<String>,
        /// As asked for.
        asked: Option<String>,
    },
    /// A variable of the environment.
    Variable {
        /// Its name.
        name: String,
        /// As predicted.
        predicted: Option<String>,
        /// As asked for.
        asked: Option<String>,
    },
    /// A platform property.
    Platform {
        /// Its name.
        name: String,
        /// As predicted.
        predicted: Option<String>,
        /// As asked for.
        asked: Option<String>,
    },
    /// An input.
    Input(InputData),
    /// Outputs, working directory or limits.
    Other,
}

/// An input that is not what it was predicted to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InputData {
    /// Where in the input tree.
    pub path: String,
    /// When the action was recorded.
    pub old: SideData,
    /// As predicted.
    pub predicted: SideData,
    /// As asked for.
    pub asked: SideData,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SideData {
    /// The content; nothing if nothing is there.
    pub content: Option<String>,
    /// Where it came from, best first, as far as is known.
    pub origins: Vec<OriginData>,
}

/// Where a file came from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OriginData {
    /// `source`, `action`, `artifact` or `root`.
    pub kind: &'static str,
    /// Whose, with its project.
    pub element: String,
    /// The path there.
    pub path: String,
    /// The action that it is an output of, as it was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
}

impl Call {
    pub(super) fn new(
        at: Duration,
        note: &Note,
        action: ActionDigest,
        spec: Option<&ActionSpec>,
        reason: Option<Reason>,
        events: Vec<TimedEvent>,
    ) -> Self {
        Self {
            action: action.to_string(),
            base: note.base.map(|base| base.to_string()),
            outcome: note.kind.name(),
            at: seconds(at),
            took: seconds(note.took),
            command: spec.map(|spec| spec.arguments.clone()).unwrap_or_default(),
            outputs: spec.map(|s| s.outputs.paths.clone()).unwrap_or_default(),
            reason,
            events,
        }
    }
}

impl TimedEvent {
    pub(super) fn new(at: Duration, note: &Note) -> Self {
        Self {
            at: seconds(at),
            what: note.kind.name(),
            action: note.action.map(|action| action.to_string()),
            base: note.base.map(|base| base.to_string()),
            took: seconds(note.took),
        }
    }
}

impl Reason {
    /// The real build asked for something else that makes the same.
    pub(super) fn called(
        base: ActionDigest,
        predicted: ActionDigest,
        asked: ActionDigest,
        difference: &Difference,
    ) -> Self {
        Self::Differs {
            base: base.to_string(),
            predicted: predicted.to_string(),
            asked: Some(asked.to_string()),
            difference: difference.into(),
        }
    }
}

impl From<Explanation> for Reason {
    fn from(explanation: Explanation) -> Self {
        match explanation {
            Explanation::NothingStored => Self::NothingStored,
            Explanation::Unheard => Self::Unheard,
            Explanation::Unusable { base } => Self::Unusable {
                base: base.to_string(),
            },
            Explanation::NotAdapted { base, input } => Self::NotAdapted {
                base: base.to_string(),
                input: input.as_ref().map(Into::into),
            },
            Explanation::Differs {
                base,
                predicted,
                difference,
            } => Self::Differs {
                base: base.to_string(),
                predicted: predicted.to_string(),
                asked: None,
                difference: (&difference).into(),
            },
            Explanation::Predicted => Self::TooLate { seconds: 0.0 },
        }
    }
}

impl From<&Difference> for DifferenceData {
    fn from(difference: &Difference) -> Self {
        match difference.clone() {
            Difference::Argument {
                place,
                predicted,
                asked,
            } => Self::Argument {
                place,
                predicted,
                asked,
            },
            Difference::Variable {
                name,
                predicted,
                asked,
            } => Self::Variable {
                name,
                predicted,
                asked,
            },
            Difference::Platform {
                name,
                predicted,
                asked,
            } => Self::Platform {
                name,
                predicted,
                asked,
            },
            Difference::Input(input) => Self::Input((&input).into()),
            Difference::Other => Self::Other,
        }
    }
}

impl From<&InputDifference> for InputData {
    fn from(input: &InputDifference) -> Self {
        Self {
            path: input.path.to_string(),
            old: (&input.old).into(),
            predicted: (&input.predicted).into(),
            asked: (&input.asked).into(),
        }
    }
}

impl From<&Input> for SideData {
    fn from(input: &Input) -> Self {
        Self {
            content: input.content.map(|content| content.to_string()),
            origins: input.origins.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Origin> for OriginData {
    fn from(origin: &Origin) -> Self {
        let (kind, element, path, action) = match origin {
            Origin::Source { element, path } => ("source", element, path, None),
            Origin::Artifact { element, path } => ("artifact", element, path, None),
            Origin::Root { element, path } => ("root", element, path, None),
            Origin::Action {
                element,
                action,
                path,
            } => ("action", element, path, Some(action)),
        };
        Self {
            kind,
            element: element.to_string(),
            path: path.to_string(),
            action: action.map(ToString::to_string),
        }
    }
}
