//! Whole builds, driven by a world in which each job ends in the order the test chooses.

use std::collections::{BTreeSet, VecDeque};

use headstart_pipeline::{Decision, Effect, Event, Found, Graph, Limits, OnError, Pipeline, State};
use headstart_project::ElementId;

/// Builds `targets` in a graph given as `build dependencies / runtime dependencies` of each
/// element, and gives what was done, in order.
struct World {
    pipeline: Pipeline,
    cached: BTreeSet<usize>,
    failing: BTreeSet<usize>,
    /// What is decided of failures, in order; after a retry nothing fails any more.
    decisions: VecDeque<Decision>,
    running: VecDeque<Effect>,
    done: Vec<String>,
    most_builds: usize,
}

impl World {
    fn new(graph: &[(&[usize], &[usize])], on_error: OnError) -> Self {
        let ids = |list: &[usize]| list.iter().map(|i| ElementId::from_index(*i)).collect();
        let graph = Graph::new(graph.iter().map(|(build, run)| (ids(build), ids(run))));
        let limits = Limits {
            fetchers: 2,
            builders: 2,
        };
        Self {
            pipeline: Pipeline::new(graph, limits, on_error, false),
            cached: BTreeSet::new(),
            failing: BTreeSet::new(),
            decisions: VecDeque::new(),
            running: VecDeque::new(),
            done: Vec::new(),
            most_builds: 0,
        }
    }

    fn tell(&mut self, event: Event) {
        let effects = self.pipeline.handle(event);
        self.running.extend(effects);
        let builds = self
            .running
            .iter()
            .filter(|e| matches!(e, Effect::Build(_)))
            .count();
        self.most_builds = self.most_builds.max(builds);
    }

    fn build(&mut self, target: usize) {
        self.tell(Event::Target {
            element: ElementId::from_index(target),
            closure: true,
        });
        while let Some(effect) = self.running.pop_front() {
            let event = match effect {
                Effect::LookUp(element) => Event::LookedUp {
                    element,
                    found: if self.cached.contains(&element.index()) {
                        Found::Cached
                    } else {
                        Found::Nothing
                    },
                },
                Effect::Fetch(element) => {
                    self.done.push(format!("fetch {}", element.index()));
                    Event::Fetched { element, ok: true }
                }
                Effect::Build(element) => {
                    self.done.push(format!("build {}", element.index()));
                    Event::Built {
                        element,
                        ok: !self.failing.contains(&element.index()),
                    }
                }
                Effect::Ask(element) => {
                    let decision = self.decisions.pop_front().unwrap_or(Decision::Quit);
                    if decision == Decision::Retry {
                        self.failing.clear();
                    }
                    Event::Decided { element, decision }
                }
                Effect::Cancel(_) => continue,
            };
            self.tell(event);
        }
        assert!(self.pipeline.is_idle());
    }

    fn builds(&self) -> Vec<usize> {
        self.done
            .iter()
            .filter_map(|job| job.strip_prefix("build ")?.parse().ok())
            .collect()
    }

    fn state(&self, element: usize) -> State {
        self.pipeline.state(ElementId::from_index(element))
    }
}

/// 0 ← 1 ← 2 by build dependencies; 3 is a runtime dependency of 1.
const CHAIN: &[(&[usize], &[usize])] = &[(&[], &[]), (&[0], &[3]), (&[1], &[]), (&[], &[])];

#[test]
fn dependencies_are_built_first_and_with_what_they_need_to_run() {
    let mut world = World::new(CHAIN, OnError::Quit);
    world.build(2);
    let order = world.builds();
    let position = |element| order.iter().position(|e| *e == element).unwrap();
    assert!(position(0) < position(1) && position(1) < position(2) && position(3) < position(2));
    assert_eq!(world.pipeline.progress().built, 4);
}

#[test]
fn what_is_cached_is_not_built_and_hides_what_it_was_built_from() {
    let mut world = World::new(CHAIN, OnError::Quit);
    world.cached = [1].into();
    world.build(2);
    assert_eq!(world.builds(), [3, 2]);
    assert_eq!(world.state(0), State::NotNeeded);
}

#[test]
fn nothing_is_done_when_the_target_is_cached() {
    let mut world = World::new(CHAIN, OnError::Quit);
    world.cached = [2].into();
    world.build(2);
    assert_eq!(world.done, Vec::<String>::new());
}

/// 0 and 1 are free, 2 needs 0, 3 needs 1, 4 needs 2 and 3.
const DIAMOND: &[(&[usize], &[usize])] = &[
    (&[], &[]),
    (&[], &[]),
    (&[0], &[]),
    (&[1], &[]),
    (&[2, 3], &[]),
];

#[test]
fn a_failure_stops_or_is_built_around() {
    let mut world = World::new(DIAMOND, OnError::Continue);
    world.failing = [2].into();
    world.build(4);
    assert!(world.builds().contains(&3));
    assert_eq!(
        (world.state(2), world.state(4)),
        (State::Failed, State::Waiting)
    );

    let mut world = World::new(DIAMOND, OnError::Quit);
    world.failing = [0].into();
    world.build(4);
    assert!(!world.builds().contains(&4) && !world.builds().contains(&2));
}

#[test]
fn what_is_decided_of_a_failure_is_done() {
    for (decision, built, state) in [
        (Decision::Continue, true, State::Waiting),
        (Decision::Quit, false, State::Waiting),
        (Decision::Terminate, false, State::Waiting),
        (Decision::Retry, true, State::Built),
    ] {
        let mut world = World::new(DIAMOND, OnError::Ask);
        world.failing = [0].into();
        world.decisions = [decision].into();
        world.build(4);
        assert!(world.decisions.is_empty());
        assert_eq!(
            (world.builds().contains(&3), world.state(4)),
            (built, state),
            "{decision:?}"
        );
    }
    // Two failures, and the second decision is the one that counts.
    let mut world = World::new(DIAMOND, OnError::Ask);
    world.failing = [0, 1].into();
    world.decisions = [Decision::Continue, Decision::Retry].into();
    world.build(4);
    assert_eq!(world.builds().len(), 4);
}

#[test]
fn nothing_is_started_while_something_is_to_be_decided() {
    let graph = Graph::new([(vec![], vec![]), (vec![], vec![])]);
    let limits = Limits {
        fetchers: 2,
        builders: 1,
    };
    let mut pipeline = Pipeline::new(graph, limits, OnError::Ask, false);
    let (one, two) = (ElementId::from_index(0), ElementId::from_index(1));
    for element in [one, two] {
        pipeline.handle(Event::Target {
            element,
            closure: false,
        });
        let found = Found::Nothing;
        pipeline.handle(Event::LookedUp { element, found });
        pipeline.handle(Event::Fetched { element, ok: true });
    }
    let failed = Event::Built {
        element: one,
        ok: false,
    };
    assert_eq!(pipeline.handle(failed), [Effect::Ask(one)]);
    assert!(!pipeline.is_idle());
    let decided = Event::Decided {
        element: one,
        decision: Decision::Continue,
    };
    assert_eq!(pipeline.handle(decided), [Effect::Build(two)]);
    assert_eq!(pipeline.handle(Event::Interrupted), [Effect::Cancel(two)]);
    let failed = Event::Built {
        element: two,
        ok: false,
    };
    assert_eq!(pipeline.handle(failed), [], "nobody is asked at the end");
    assert!(pipeline.is_idle());
}

#[test]
fn a_cached_failure_counts_unless_it_is_to_be_retried() {
    for (retry, expected) in [(false, State::Failed), (true, State::Waiting)] {
        let graph = Graph::new([(vec![], vec![])]);
        let limits = Limits {
            fetchers: 1,
            builders: 0,
        };
        let mut pipeline = Pipeline::new(graph, limits, OnError::Quit, retry);
        let element = ElementId::from_index(0);
        pipeline.handle(Event::Target {
            element,
            closure: false,
        });
        let effects = pipeline.handle(Event::LookedUp {
            element,
            found: Found::CachedFailure,
        });
        if retry {
            assert_eq!(effects, [Effect::Fetch(element)]);
            let effects = pipeline.handle(Event::Fetched { element, ok: true });
            assert_eq!(effects, [Effect::Build(element)], "no builders means one");
        } else {
            assert_eq!((effects, pipeline.state(element)), (vec![], expected));
        }
    }
}

#[test]
fn an_interrupt_cancels_what_runs_and_starts_nothing() {
    let graph = Graph::new([(vec![], vec![]), (vec![ElementId::from_index(0)], vec![])]);
    let limits = Limits {
        fetchers: 1,
        builders: 1,
    };
    let mut pipeline = Pipeline::new(graph, limits, OnError::Quit, false);
    let (low, high) = (ElementId::from_index(0), ElementId::from_index(1));
    pipeline.handle(Event::Target {
        element: high,
        closure: true,
    });
    pipeline.handle(Event::LookedUp {
        element: high,
        found: Found::Nothing,
    });
    pipeline.handle(Event::LookedUp {
        element: low,
        found: Found::Nothing,
    });
    pipeline.handle(Event::Fetched {
        element: high,
        ok: true,
    });
    assert_eq!(
        pipeline.handle(Event::Fetched {
            element: low,
            ok: true
        }),
        [Effect::Build(low)]
    );
    assert_eq!(pipeline.handle(Event::Interrupted), [Effect::Cancel(low)]);
    assert_eq!(
        pipeline.handle(Event::Built {
            element: low,
            ok: true
        }),
        []
    );
    assert!(pipeline.is_idle());
}

#[test]
fn builders_are_limited_and_all_of_a_wide_graph_is_built() {
    let free: (&[usize], &[usize]) = (&[], &[]);
    let mut graph = vec![free; 20];
    let all: Vec<usize> = (0..20).collect();
    graph.push((&all, &[]));
    let mut world = World::new(&graph, OnError::Quit);
    world.build(20);
    assert_eq!(world.builds().len(), 21);
    assert_eq!(world.most_builds, 2);
}
