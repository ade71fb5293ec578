//! How much may be spent on executions ahead of need.

use std::collections::HashMap;
use std::time::Duration;

use headstart_merkle::Digest;
use headstart_reapi::reapi;

use super::knowledge::ElementNo;

/// How much may be spent; nothing said is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Executions.
    pub actions: Option<u64>,
    /// Bytes that the executions write.
    pub bytes: Option<u64>,
    /// Time that their commands run, all of them together.
    pub time: Option<Duration>,
}

/// What was spent, and what may be: by the whole session, and for each element.
#[derive(Debug, Default)]
pub(super) struct Budget {
    session: Limits,
    element: Limits,
    spent: Spent,
    spent_on: HashMap<ElementNo, Spent>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    actions: u64,
    bytes: u64,
    /// What runs counts with the time that it is expected to take.
    time: Duration,
}

impl Limits {
    fn allow(&self, spent: &Spent, expected: Duration) -> bool {
        self.actions.is_none_or(|most| spent.actions < most)
            && self.bytes.is_none_or(|most| spent.bytes < most)
            && self.time.is_none_or(|most| spent.time + expected <= most)
    }
}

impl Budget {
    pub(super) fn set_limits(&mut self, session: Limits, element: Limits) {
        self.session = session;
        self.element = element;
    }

    /// Whether an execution that is expected to take so long may be begun for an element.
    pub(super) fn allows(&self, element: ElementNo, expected: Duration) -> bool {
        let on_element = self.spent_on.get(&element).copied().unwrap_or_default();
        self.session.allow(&self.spent, expected) && self.element.allow(&on_element, expected)
    }

    /// An execution is begun.
    pub(super) fn begin(&mut self, element: ElementNo, expected: Duration) {
        self.on_both(element, |spent| {
            spent.actions += 1;
            spent.time += expected;
        });
    }

    /// It has ended, for which `reserved` was counted when it began.
    pub(super) fn end(
        &mut self,
        element: ElementNo,
        reserved: Duration,
        took: Duration,
        result: Option<&reapi::ActionResult>,
    ) {
        let bytes = result.map_or(0, written_bytes);
        self.on_both(element, |spent| {
            spent.time = spent.time.saturating_sub(reserved) + took;
            spent.bytes += bytes;
        });
    }

    fn on_both(&mut self, element: ElementNo, change: impl Fn(&mut Spent)) {
        change(&mut self.spent);
        change(self.spent_on.entry(element).or_default());
    }
}

/// How many bytes the files that a result names have; of directories that of their listings.
fn written_bytes(result: &reapi::ActionResult) -> u64 {
    let files = result.output_files.iter().map(|file| &file.digest);
    let directories = result.output_directories.iter();
    let directories = directories.flat_map(|d| [&d.tree_digest, &d.root_directory_digest]);
    let streams = [&result.stdout_digest, &result.stderr_digest];
    let all = files.chain(directories).chain(streams).flatten();
    all.filter_map(|digest| Some(Digest::<()>::try_from(digest).ok()?.size()))
        .sum()
}
