//! What a session came to.

use std::time::Duration;

use headstart_speculation::Account;

/// What a session came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// When the last real build ended.
    pub makespan: Duration,
    /// When the first action was executed ahead of need, if one was.
    pub first_execution: Option<Duration>,
    /// What became of all predictions and requests.
    pub total: Account,
    /// For each element.
    pub elements: Vec<ElementReport>,
}

/// What became of an element.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ElementReport {
    /// When its real build began.
    pub started: Option<Duration>,
    /// When it ended.
    pub ended: Option<Duration>,
    /// Whether it ended well.
    pub built: bool,
    /// When the first of what it asks for was executed ahead of need. What two elements ask for counts
    /// for the first.
    pub first_execution: Option<Duration>,
}

impl Report {
    /// How long before their real builds elements had their first actions executed ahead of need: the
    /// median of those that had any, and were built.
    pub fn median_lead(&self) -> Option<Duration> {
        let leads = self.elements.iter().filter_map(|element| {
            let (first, started) = (element.first_execution?, element.started?);
            Some(started.saturating_sub(first))
        });
        let mut leads: Vec<Duration> = leads.collect();
        leads.sort_unstable();
        leads.get(leads.len() / 2).copied()
    }
}
