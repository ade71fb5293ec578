//! Servers of artifacts and sources: ours, the real ones, and what both programs make of them.

mod bazel;
mod buildtrees;
mod conformance;
mod exchange;
mod farm;
mod gone;
mod grpcurl;
mod proxies;
mod records;
mod secured;
mod storage;
