//! Builds in virtual time: the real [`Primer`](headstart_speculation::Primer) and the real
//! [`Pipeline`](headstart_pipeline::Pipeline), with everything around them simulated.
//!
//! A [`Simulation`] plays one session, in which a project is built again after a change. The
//! project's compiler is a hash ([`headstart_speculation::testing`]), so that each action's result is
//! exact and takes no time to make. How long it takes in the simulation is up to the project.
//!
//! - [`Settings`] say how much there is of everything, and [`Disorder`] what goes wrong.
//! - [`random`](Case::random) cases are for finding mistakes, [`shaped`](Shape::case) ones for seeing
//!   what speculation gains.
//!
//! Invariant: all that happens follows from the case, the settings and their seed. There is no clock,
//! no thread and no IO. Times are counted from the beginning of the session.

mod agenda;
mod building;
mod case;
mod executor;
mod report;
mod rng;
mod settings;
mod shape;
mod simulation;

pub use case::Case;
pub use report::{ElementReport, Report};
pub use rng::Rng;
pub use settings::{Disorder, Settings};
pub use shape::{Edit, Shape};
pub use simulation::{Simulation, Step};
