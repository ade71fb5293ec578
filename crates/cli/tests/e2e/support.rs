//! What all tests of the whole program share.

mod compiler;
mod place;
mod projects;
mod record;
mod report;

pub(crate) use place::{Place, said};
pub(crate) use projects::{CHAIN, GENERATED};
pub(crate) use report::{Calls, Report};
