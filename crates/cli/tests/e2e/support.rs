//! What all tests of the whole program share.

mod compiler;
mod place;
mod report;

pub(crate) use place::Place;
pub(crate) use report::Calls;
