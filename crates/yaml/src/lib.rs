//! YAML as BuildStream reads it: nodes that know where they came from, and composing them.
//!
//! A loaded file is a mapping whose scalars are all strings, with their surrounding white space
//! removed; anchors, foreign tags and repeated keys are errors. Every [`Node`] has a
//! [`Provenance`] (file, line, column), so that every error can point at its cause.
//! [`Mapping::compose`] lays one mapping over another and obeys the list directives `(>)`, `(<)`
//! and `(=)`; includes, conditions and assertions belong to the model of projects above.
//!
//! The crate is pure: it takes text and gives values. Hostile text is an error, never a panic:
//! depth and size are limited, so walking the nodes recursively is safe.

#![warn(missing_docs)]

mod access;
mod compose;
mod edit;
mod entries;
mod error;
mod node;
mod parse;
mod provenance;
mod write;

pub use edit::{EditError, set_keys};
pub use error::{Error, Problem};
pub use node::{Key, Mapping, Node, Scalar, Sequence};
pub use parse::{MAX_DEPTH, MAX_SIZE, parse, strip};
pub use provenance::{Provenance, SourceFile};
pub use write::{quoted, to_text};
