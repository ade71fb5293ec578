//! A client and servers that are not always kind to it.

#![allow(clippy::unwrap_used)]

mod execution;
mod security;
mod support;
mod transfers;
