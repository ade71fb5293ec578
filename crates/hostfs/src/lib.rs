//! Trees of the host's file system: taken into the store, and written out again.
//!
//! Everything below a folder is reached through descriptors of folders, never by a path that is looked
//! up again, and no symbolic link is followed on the way: whoever changes the tree meanwhile can't lead
//! out of it. [`Place`] looks up paths that clients name, inside a root if one is set.

mod capture;
mod error;
mod place;
mod write_out;

pub use capture::{Capture, Wanted};
pub use error::HostError;
pub use place::Place;
pub use write_out::write_out;
