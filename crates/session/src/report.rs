//! What a build did, for people and programs.

use std::time::Duration;

use headstart_artifacts::Artifact;
use headstart_merkle::ActionDigest;
use headstart_pipeline::State;
use headstart_speculation::{Account, Explainer, Explanation, Mode};
use serde::Serialize;

use crate::board::{Board, subject};
use crate::latency::Latency;
use crate::session::{Loaded, Session, artifact_name};
use crate::speculator::Balance;

/// What a build did.
#[derive(Debug, Clone, Serialize)]
pub struct BuildReport {
    /// How much was speculated.
    pub mode: Mode,
    /// Whether all that was wanted is there.
    pub success: bool,
    /// From the first look-up to the last artifact, in seconds.
    pub seconds: f64,
    /// The most memory that this process has had resident, in bytes; zero if not known.
    pub peak_memory: u64,
    /// Each element that was needed, in the order of the project's graph.
    pub elements: Vec<ElementReport>,
    /// All elements together.
    pub total: Account,
    /// How soon what was known was executed ahead of need.
    pub latency: Latency,
    /// How long nothing was executed ahead of need because other programs kept the machine busy, in
    /// seconds.
    pub paused: f64,
    /// Why speculation could not go on with something. It never concerns the build.
    pub problems: Vec<String>,
}

/// What became of an element.
#[derive(Debug, Clone, Serialize)]
pub struct ElementReport {
    /// Its full name.
    pub name: String,
    /// The strong key of its artifact, or its strict key if it has none.
    pub key: String,
    /// How it went.
    pub state: ElementState,
    /// Whether its artifact has come from a server.
    pub pulled: bool,
    /// Whether a server has been given its artifact or sources, which it did not have.
    pub pushed: bool,
    /// Why a server did not take them.
    pub push_error: Option<String>,
    /// How long its build took, in seconds; zero if it was not built.
    pub seconds: f64,
    /// The digest of its artifact's files, if there are any.
    pub files: Option<String>,
    /// What speculation was worth to it.
    pub speculation: Account,
    /// Why it failed.
    pub error: Option<String>,
    /// For each missed request the first thing in which it differed from its nearest prediction.
    pub misses: Vec<String>,
}

/// How an element's part of a build went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ElementState {
    /// Its artifact was there.
    Cached,
    /// It was built.
    Built,
    /// Fetching or building it failed.
    Failed,
    /// It was not come to.
    Skipped,
}

impl Session {
    /// Puts together what is known at the end of a build.
    pub(crate) fn report(
        &self,
        loaded: &Loaded,
        mode: Mode,
        board: &Board,
        states: &[State],
        balance: Balance,
        wall: f64,
    ) -> BuildReport {
        let mut elements = Vec::new();
        for (id, element) in loaded.graph.iter() {
            let state = match states[id.index()] {
                State::NotNeeded => continue,
                State::Cached => ElementState::Cached,
                State::Built => ElementState::Built,
                State::Failed => ElementState::Failed,
                _ => ElementState::Skipped,
            };
            let fact = board.get(id);
            let subject = subject(&loaded.graph, id);
            if let Some(odds) = balance
                .odds
                .get(&subject)
                .filter(|_| state == ElementState::Built)
            {
                self.keep_odds(element, &artifact_name(&loaded.graph, id), odds);
            }
            let account = balance.accounts.get(&subject).cloned().unwrap_or_default();
            let predictions = balance
                .predictions
                .get(&subject)
                .map_or(&[][..], Vec::as_slice);
            let messages = fact
                .earlier
                .iter()
                .filter_map(|record| board.records.get(*record, &subject, None));
            let messages: Vec<_> = messages.collect();
            let explainers = messages
                .iter()
                .map(|message| Explainer::new(message, predictions, &*self.directories));
            let explainers: Vec<_> = explainers.collect();
            let misses = account.misses.iter();
            let misses = misses.map(|miss| format!("{miss}: {}", explain(&explainers, *miss)));
            let misses = misses.collect();
            elements.push(ElementReport {
                name: element.full_name.to_string(),
                key: board
                    .strong(id)
                    .or_else(|| Some(loaded.keys.get(id)?.strict))
                    .map(|key| key.hex())
                    .unwrap_or_default(),
                state,
                pulled: fact.pulled,
                pushed: fact.pushed,
                push_error: fact.push_error.clone(),
                seconds: seconds(fact.seconds),
                files: fact
                    .artifact
                    .as_ref()
                    .and_then(Artifact::files)
                    .map(|tree| tree.to_string()),
                speculation: account,
                error: fact.error,
                misses,
            });
        }
        let failed = |element: &ElementReport| {
            matches!(element.state, ElementState::Failed | ElementState::Skipped)
                || element.push_error.is_some()
        };
        BuildReport {
            mode,
            success: !elements.iter().any(failed),
            seconds: wall,
            peak_memory: peak_memory(),
            elements,
            total: balance.total,
            latency: balance.latency,
            paused: seconds(balance.paused),
            problems: balance.problems,
        }
    }
}

/// Why a request was not predicted, by the newest record that has heard of such a thing.
fn explain(explainers: &[Explainer<'_>], missed: ActionDigest) -> String {
    let mut unheard = Explanation::NothingStored;
    for explainer in explainers {
        match explainer.explain(missed) {
            Ok(Explanation::Unheard) => unheard = Explanation::Unheard,
            Ok(explanation) => return explanation.to_string(),
            Err(error) => return error.to_string(),
        }
    }
    unheard.to_string()
}

/// The most memory that this process has had resident, in bytes.
pub(crate) fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

pub(crate) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
