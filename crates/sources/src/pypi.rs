//! `pypi`: a source package of the Python package index.

mod track;
mod version;

pub(crate) use track::{reference, track};
