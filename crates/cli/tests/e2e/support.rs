//! What all tests of the whole program share.

mod buildstream;
mod compiler;
mod http;
mod objects;
mod place;
mod projects;
mod record;
mod report;
mod server;
mod terminal;
mod upstream;
mod warm;

pub(crate) use buildstream::{BuildStream, COMMUNITY, earlier_plugins, plugins_of, python};
pub(crate) use compiler::{Compiler, copy_links};
pub(crate) use http::{Answer, Request, serve};
pub(crate) use objects::{object_in, sharded};
pub(crate) use place::{Place, WITHOUT_RECC, finish, headstart, said};
pub(crate) use projects::{CHAIN, GENERATED, VERSIONED};
pub(crate) use report::{Calls, Report};
pub(crate) use server::Server;
pub(crate) use terminal::{at_terminal, line};
pub(crate) use upstream::{Repository, Upstream};
pub(crate) use warm::{output, output_with};
