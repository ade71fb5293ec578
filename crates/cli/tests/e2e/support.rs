//! What all tests of the whole program share.

mod buildstream;
mod compiler;
mod place;
mod projects;
mod record;
mod report;
mod upstream;

pub(crate) use buildstream::{BuildStream, python};
pub(crate) use place::{Place, finish, headstart, said};
pub(crate) use projects::{CHAIN, GENERATED};
pub(crate) use report::{Calls, Report};
pub(crate) use upstream::{Repository, Upstream};
