//! What came of predictions, for the next time.

use std::sync::Arc;

use headstart_execution::ActionSpec;

use super::Primer;
use super::jobs::Job;
use crate::odds::{Odds, kind_of};
use crate::origin::ElementId;
use crate::storage::Storage;

impl Primer {
    /// What predictions of an element came true, and which did not: learned into `odds`. To be asked
    /// once its real build has come to its end; from a failed one nothing can be learned.
    pub fn learn_odds(&self, element: &ElementId, odds: &mut Odds, store: &dyn Storage) {
        let number = self.knowledge.find(element);
        let known = number.and_then(|number| self.elements.get(&number));
        let jobs = known.map(|known| known.jobs.as_slice()).unwrap_or_default();
        for id in jobs {
            let job = &self.jobs[*id as usize];
            // A trial run that fails and is asked for is no hit, and none was promised.
            let predicted = job.predicted().filter(|_| !job.failed);
            let Some(predicted) = predicted else {
                continue;
            };
            // What can't be read is of no known kind.
            if let Some(kind) = kind(job, store) {
                let task = self.tasks.get(predicted);
                odds.learn(&kind, task.is_some_and(|task| task.asked));
            }
        }
    }

    /// How probable it is that a job's prediction comes true.
    pub(super) fn probability(&self, job: &Job, store: &dyn Storage) -> f64 {
        let known = self.elements.get(&job.element);
        let Some(odds) = known.map(|known| &known.odds).filter(|o| !o.is_empty()) else {
            return Odds::default().probability("");
        };
        odds.probability(&kind(job, store).unwrap_or_default())
    }
}

/// What kind of call a job is; older records do not tell.
fn kind(job: &Job, store: &dyn Storage) -> Option<Arc<str>> {
    if !job.kind.is_empty() {
        return Some(Arc::clone(&job.kind));
    }
    let spec = ActionSpec::read(job.base, store.blobs()).ok()?;
    Some(kind_of(&spec).into())
}
