//! What happens to actions is noted, for whoever asks why.

use headstart_merkle::ActionDigest;

use super::Primer;
use super::shapes::JobId;
use crate::event::Effect;
use crate::note::{Note, NoteKind};

impl Primer {
    /// Notes that `kind` happened to a job, which is `action` today.
    pub(super) fn note_job(&mut self, kind: NoteKind, job: JobId, action: Option<ActionDigest>) {
        let job = &self.jobs[job as usize];
        self.notes.push(Note {
            kind,
            element: Some(self.knowledge.id(job.element).clone()),
            base: Some(job.base),
            action,
            took: job.duration,
        });
    }

    pub(super) fn take_notes(&mut self, effects: &mut Vec<Effect>) {
        effects.extend(self.notes.drain(..).map(Effect::Note));
    }

    /// What was executed and not asked for so far: [`NoteKind::Wasted`] if nobody wants it any more,
    /// else [`NoteKind::Left`]. In the order in which the actions were recorded.
    pub fn unasked(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        for job in &self.jobs {
            let actions = job.adapted().into_iter().chain(job.earlier.iter().copied());
            let mut actions: Vec<ActionDigest> = actions.collect();
            actions.sort_unstable();
            actions.dedup();
            for action in actions {
                let task = self.tasks.get(action);
                let Some(task) = task.filter(|task| task.executed && !task.asked) else {
                    continue;
                };
                let kind = match task.jobs.is_empty() {
                    true => NoteKind::Wasted,
                    false => NoteKind::Left,
                };
                notes.push(Note {
                    kind,
                    element: Some(self.knowledge.id(job.element).clone()),
                    base: Some(job.base),
                    action: Some(action),
                    took: task.took,
                });
            }
        }
        notes
    }
}
