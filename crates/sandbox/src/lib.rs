//! Runs one command in one tree, in namespaces of its own: no network, no processes and no files of
//! the host, user id 0 inside without being root outside.
//!
//! The input tree is staged as hard links to the store's files ([`stage`]) and only ever used as the
//! lower layer of an overlay, so that nothing a command does can reach the store. A small program
//! ([`headstart_sandbox_init`]) makes the namespaces and mounts, runs the command and reaps what it
//! leaves.
//! Afterwards the overlay's upper layer holds exactly what changed, and only that is read to capture
//! the outputs ([`capture`]).
//!
//! Works as root and as any user who may make user namespaces. When the command ends, or this
//! process does, however it ends, the kernel removes the mounts and all processes inside.

mod available;
mod capture;
mod folders;
mod links;
mod modes;
mod nursery;
mod prepare;
mod program;
mod runner;
mod scratch;
mod shown;
mod stage;
mod streams;
mod survey;
mod terminal;

pub use available::check_available;
pub use folders::remove as remove_tree;
pub use runner::NativeSandbox;
pub use stage::StagedTree;
