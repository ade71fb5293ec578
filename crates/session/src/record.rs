//! Who is told of an element's subactions while it is built.

use std::sync::{Mutex, PoisonError};

use headstart_execution::{Subaction, SubactionRecorder};
use headstart_merkle::ActionDigest;
use headstart_speculation::{ElementId, Event};

use crate::speculator::Speculator;

/// Keeps an element's subactions in order, and passes each on to the primer.
pub(crate) struct Recorder {
    element: ElementId,
    speculator: Speculator,
    subactions: Mutex<Vec<Subaction>>,
}

impl Recorder {
    pub(crate) fn new(element: ElementId, speculator: Speculator) -> Self {
        Self {
            element,
            speculator,
            subactions: Mutex::default(),
        }
    }

    /// All subactions so far, in order.
    pub(crate) fn take(&self) -> Vec<Subaction> {
        std::mem::take(
            &mut self
                .subactions
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

impl SubactionRecorder for Recorder {
    fn answered(&self, subaction: Subaction) {
        self.subactions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(subaction.clone());
        self.speculator.tell(Event::Asked {
            element: self.element.clone(),
            subaction,
        });
    }

    fn missed(&self, action: ActionDigest) {
        self.speculator.tell(Event::Wanted {
            element: self.element.clone(),
            action,
        });
    }
}
