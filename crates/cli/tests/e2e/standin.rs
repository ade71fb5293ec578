//! The program in place of buildbox-casd and buildbox-run: under unmodified BuildStream, and side by
//! side with the real ones.

mod adverse;
mod behind;
mod buildstream;
mod calls;
pub(crate) mod daemon;
mod fuzzed;
mod hostile;
mod killed;
mod left;
mod limits;
mod localcas;
mod nested;
mod seeded;
mod shell;
