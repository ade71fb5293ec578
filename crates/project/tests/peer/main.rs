//! What projects are loaded to, compared with what the real BuildStream makes of them.

// The library is pure, its tests are not; and the lints' exception for tests does not see helpers.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod buildstream;
mod compare;
#[path = "../../../yaml/tests/support/dice.rs"]
mod dice;
#[path = "../support/disk.rs"]
mod disk;
mod documents;
mod fixture;
mod generated;
mod junctions;
mod keys;
mod kinds;
mod reasons;
