//! What a build did, for people and programs.

use std::time::Duration;

use headstart_speculation::{Account, Mode};
use serde::Serialize;

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
    /// Why speculation could not go on with something. It never concerns the build.
    pub problems: Vec<String>,
}

/// What became of an element.
#[derive(Debug, Clone, Serialize)]
pub struct ElementReport {
    /// Its full name.
    pub name: String,
    /// Its strict key.
    pub key: String,
    /// How it went.
    pub state: ElementState,
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
