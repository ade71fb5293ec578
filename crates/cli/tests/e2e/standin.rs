//! The program in place of buildbox-casd and buildbox-run: under unmodified BuildStream, and side by
//! side with the real ones.

mod buildstream;
pub(crate) mod daemon;
mod localcas;
