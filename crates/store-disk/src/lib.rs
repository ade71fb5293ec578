//! Blobs and action results on disk, in a cache directory shared with BuildStream.
//!
//! Objects lie where `buildbox-casd` keeps them, as plain files named by their hash, so that both
//! programs can use one cache directory. What is only ours lies below `headstart/`.
//!
//! Promises: an object is written without a name, checked, and then given its own, so that
//! nothing half-written is ever seen, whenever the process is killed. A blob that `write` or
//! `finish` has acknowledged survives `kill -9`. Power loss may cost the blobs of the last seconds:
//! a file that came out of it with a wrong size is not taken for the object, and one with wrong
//! content is found out when it is read, set aside, and from then on is missing.

mod action_cache;
mod assets;
mod blobs;
mod departures;
mod guesses;
mod in_use;
mod keeper;
mod layout;
mod lookups;
mod processes;
mod scrub;
mod temporary;
mod verified;
mod writer;

pub use action_cache::DiskActionCache;
pub use assets::DiskAssets;
pub use blobs::DiskBlobs;
pub use guesses::{Guess, Guesses};
pub use keeper::{Limits, make_room, time_of_files};
pub use layout::Layout;
pub use processes::{is_running, process_name};
pub use scrub::{Finding, ScrubWatcher, Scrubbed, scrub};
