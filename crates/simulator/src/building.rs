//! The real build of one element: it configures itself, takes its steps, so many at a time, and installs
//! what came of them.

use std::collections::{BTreeMap, BTreeSet};

use headstart_merkle::ActionDigest;
use headstart_speculation::testing::world::{Built, ElementSpec};

use crate::agenda::Ticket;

/// What a step of a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It asks for this.
    Action(ActionDigest),
    /// It is done in the sandbox itself.
    Local,
}

/// A build that is under way.
#[derive(Debug)]
pub(crate) struct Building {
    /// Places of steps that have not begun, each with those that it waits for.
    left: BTreeMap<usize, BTreeSet<usize>>,
    /// What has begun and not ended, with when it ends if nobody else tells.
    pub(crate) running: BTreeMap<usize, Option<Ticket>>,
    /// What happens next, before the first step and after the last.
    pub(crate) next: Option<Ticket>,
    taken: Vec<Option<Taken>>,
    pub(crate) configured: bool,
}

impl Building {
    pub(crate) fn new(element: &ElementSpec, built: &Built) -> Self {
        let taken: Vec<Option<Taken>> = std::iter::zip(&element.steps, &built.steps)
            .map(|(step, action)| match (action, step.local) {
                (Some(action), _) => Some(Taken::Action(*action)),
                (None, local) => local.then_some(Taken::Local),
            })
            .collect();
        let steps = element.steps.iter().enumerate();
        let left = steps.filter(|(place, _)| taken[*place].is_some());
        let left = left.map(|(place, step)| {
            let inputs: BTreeSet<&String> = step.main.iter().chain(&step.own).collect();
            let before = (0..place).filter(|other| {
                taken[*other].is_some() && inputs.contains(&element.steps[*other].output)
            });
            (place, before.collect())
        });
        Self {
            left: left.collect(),
            running: BTreeMap::new(),
            next: None,
            configured: false,
            taken,
        }
    }

    /// The next step to begin, if one may while no more than `jobs` are under way.
    pub(crate) fn begin(&mut self, jobs: usize) -> Option<(usize, Taken)> {
        if !self.configured || self.running.len() >= jobs.max(1) {
            return None;
        }
        let ready = self.left.iter().find(|(_, before)| before.is_empty());
        let place = *ready?.0;
        self.left.remove(&place);
        self.running.insert(place, None);
        Some((place, self.taken[place]?))
    }

    /// A step has ended. Says whether it was the last.
    pub(crate) fn end(&mut self, place: usize) -> bool {
        self.running.remove(&place);
        for before in self.left.values_mut() {
            before.remove(&place);
        }
        self.is_done()
    }

    /// Whether all steps have ended.
    pub(crate) fn is_done(&self) -> bool {
        self.left.is_empty() && self.running.is_empty()
    }

    /// What a step asks for.
    pub(crate) fn action(&self, step: usize) -> Option<ActionDigest> {
        match self.taken.get(step)? {
            Some(Taken::Action(action)) => Some(*action),
            _ => None,
        }
    }
}
