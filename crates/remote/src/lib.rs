//! Other people's servers: the Remote Execution API and the Remote Asset API, as a client.
//!
//! A [`Remote`] is one server. What comes from it is checked: nothing is kept whose digest is not the
//! one asked for. Whatever it does, nobody waits for ever: answers and the pieces of streams have to
//! come in time, calls that fail for a reason that may pass are tried again a number of times, and a
//! server that can't be reached is then left alone for a while. Streams go on where they broke off.
//!
//! Calls block whoever makes them, and may be made from any thread: connections live in threads of
//! their own ([`Wire`]).

mod assets;
mod backed;
mod blobs;
mod cas;
mod channel;
mod download;
mod error;
mod execution;
mod remote;
mod results;
mod retry;
mod settings;
mod token;
mod tree;
mod upload;
mod wire;

pub use assets::References;
pub use backed::BackedBlobs;
pub use blobs::RemoteBlobs;
pub use error::RemoteError;
pub use execution::{Farm, RemoteExecutor};
pub use remote::{Abilities, Remote};
pub use results::RemoteActionCache;
pub use settings::{Pem, RemoteSettings, Tls, TokenFile};
pub use tonic::Code;
pub use tree::Part;
pub use upload::Uploaded;
pub use wire::Wire;
