//! Who is told of an element's subactions while it is built.

use headstart_execution::{AskedFor, Subaction, SubactionRecorder};
use headstart_merkle::ActionDigest;
use headstart_speculation::{ElementId, Event};

use crate::speculator::Speculator;

/// Keeps an element's subactions in order, and passes each on to the primer.
pub(crate) struct Recorder {
    element: ElementId,
    speculator: Speculator,
    subactions: AskedFor<Subaction>,
}

impl Recorder {
    pub(crate) fn new(element: ElementId, speculator: Speculator) -> Self {
        Self {
            element,
            speculator,
            subactions: AskedFor::default(),
        }
    }

    /// All subactions so far, in the order in which they were asked for.
    pub(crate) fn take(&self) -> Vec<Subaction> {
        self.subactions.take()
    }
}

impl SubactionRecorder for Recorder {
    fn answered(&self, subaction: Subaction) {
        self.subactions
            .answered(subaction.action, subaction.clone());
        self.speculator.tell(Event::Asked {
            element: self.element.clone(),
            subaction,
        });
    }

    fn missed(&self, action: ActionDigest) {
        self.subactions.missed(action);
        self.speculator.tell(Event::Wanted {
            element: self.element.clone(),
            action,
        });
    }
}
