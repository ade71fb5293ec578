//! Messages and services of the Remote Execution API (REAPI) and of BuildStream's caches.
//!
//! Generated from our own `.proto` files, which hold the field numbers and nothing of the prose of
//! the originals. `bytes` fields are [`bytes::Bytes`]. prost drops fields it does not know: bytes
//! that somebody else wrote are stored and passed on as they came, never decoded and encoded again.

mod generated {
    #![allow(unreachable_pub, clippy::all, rust_2018_idioms)]
    include!(concat!(env!("OUT_DIR"), "/protos.rs"));
}

pub mod resource;

/// `build.bazel.remote.asset.v1`: content by name.
pub use generated::build::bazel::remote::asset::v1 as asset;
/// `build.bazel.remote.execution.v2`, with its clients (and servers, under the feature `server`).
pub use generated::build::bazel::remote::execution::v2 as reapi;
/// `build.bazel.semver`.
pub use generated::build::bazel::semver;
/// `build.buildgrid`: what a cache on the same machine does for its clients.
pub use generated::build::buildgrid as localcas;
/// `buildstream.v2`: artifacts, sources and speculative actions.
pub use generated::buildstream::v2 as buildstream;
/// `google.bytestream`.
pub use generated::google::bytestream;
/// `google.longrunning`.
pub use generated::google::longrunning;
/// `google.rpc`.
pub use generated::google::rpc;

pub use prost::{Message, encode_length_delimiter, length_delimiter_len};

/// All messages and services, as an encoded FileDescriptorSet: what servers tell of themselves.
#[cfg(feature = "server")]
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
