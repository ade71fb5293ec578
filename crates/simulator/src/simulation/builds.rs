//! Real builds: what they do, and what they tell.

use std::time::Duration;

use headstart_execution::{Answered, Outcome, Subaction};
use headstart_merkle::ActionDigest;
use headstart_pipeline::Event as PipelineEvent;
use headstart_project::ElementId;
use headstart_speculation::testing::world::{Built, COST, id};
use headstart_speculation::{Event, Unavailable};

use super::{Happening, Simulation};
use crate::building::{Building, Taken};
use crate::executor::Who;

impl Simulation<'_> {
    pub(super) fn start_build(&mut self, place: usize) {
        if self.settings.disorder.held == Some(place) {
            return;
        }
        self.report.elements[place].started = Some(self.agenda.now());
        let mut build = Building::new(&self.case.project[place], self.built(place));
        let configured = Happening::Configured(place);
        build.next = Some(self.agenda.after(self.settings.configure, configured));
        self.builds.insert(place, build);
        let element = id(place);
        self.tell_in_order(place, Event::ElementStarted { element });
    }

    pub(super) fn configured(&mut self, place: usize) {
        if let Some(build) = self.builds.get_mut(&place) {
            build.configured = true;
            build.next = None;
        }
        self.go_on(place);
    }

    /// A build begins what it can begin.
    pub(super) fn go_on(&mut self, place: usize) {
        let jobs = self.settings.jobs;
        while let Some(build) = self.builds.get_mut(&place) {
            if build.is_done() {
                let installed = Happening::Installed(place);
                build.next = Some(self.agenda.after(self.settings.install, installed));
                return;
            }
            let Some((step, taken)) = build.begin(jobs) else {
                return;
            };
            match taken {
                Taken::Action(action) => self.ask(place, step, action),
                Taken::Local => {
                    let millis = match self.case.project[place].steps[step].millis {
                        0 => COST,
                        millis => millis,
                    };
                    let ended = Happening::StepEnded(place, step);
                    let cost = Duration::from_millis(millis.into());
                    let ticket = self.agenda.after(cost, ended);
                    build.running.insert(step, Some(ticket));
                }
            }
        }
    }

    /// A real build asks for an action.
    pub(super) fn ask(&mut self, place: usize, step: usize, action: ActionDigest) {
        if let Some(result) = self.results.get(&action).cloned() {
            let outcome = self.outcome(action, result, Answered::Cached);
            return self.answered(place, step, action, outcome);
        }
        let element = id(place);
        self.tell_in_order(place, Event::Wanted { element, action });
        let cost = self.case.change.fixture.cost(action);
        self.executor
            .request(action, Who::Build { place, step }, cost);
    }

    /// A real build has its answer.
    pub(super) fn answered(
        &mut self,
        place: usize,
        step: usize,
        action: ActionDigest,
        outcome: Outcome,
    ) {
        let subaction = Subaction {
            action,
            result: outcome.result,
            answered: outcome.answered,
            duration: outcome.duration,
        };
        let element = id(place);
        self.tell_in_order(place, Event::Asked { element, subaction });
        let happening = Happening::StepEnded(place, step);
        let ticket = self.agenda.after(Duration::ZERO, happening);
        if let Some(build) = self.builds.get_mut(&place) {
            build.running.insert(step, Some(ticket));
        }
    }

    pub(super) fn step_ended(&mut self, place: usize, step: usize) {
        if let Some(build) = self.builds.get_mut(&place) {
            build.end(step);
        }
        self.go_on(place);
    }

    pub(super) fn installed(&mut self, place: usize) {
        let tree = self.built(place).artifact;
        let element = id(place);
        self.tell_in_order(place, Event::Artifact { element, tree });
        self.end_build(place, true);
    }

    /// The real build of an element ends at once, if it is under way.
    pub(super) fn fail(&mut self, place: usize) {
        let Some(build) = self.builds.get(&place) else {
            return;
        };
        for ticket in build.running.values().chain([&build.next]).flatten() {
            self.agenda.cancel(*ticket);
        }
        let running = build.running.keys();
        let asked: Vec<_> = running
            .filter_map(|step| Some((*step, build.action(*step)?)))
            .collect();
        for (step, action) in asked {
            let who = Who::Build { place, step };
            self.executor.leave(action, who, &mut self.agenda);
        }
        self.end_build(place, false);
    }

    pub(super) fn end_build(&mut self, place: usize, ok: bool) {
        self.builds.remove(&place);
        let now = self.agenda.now();
        self.report.makespan = now;
        let report = &mut self.report.elements[place];
        (report.ended, report.built) = (Some(now), ok);
        let element = id(place);
        self.tell_in_order(
            place,
            Event::ElementBuilt {
                element: element.clone(),
            },
        );
        if !ok {
            let what = Unavailable::Artifact;
            self.tell_in_order(place, Event::Unavailable { element, what });
        }
        self.pipeline_event(PipelineEvent::Built {
            element: ElementId::from_index(place),
            ok,
        });
    }

    pub(super) fn built(&self, place: usize) -> &Built {
        &self.case.change.after[place]
    }
}
