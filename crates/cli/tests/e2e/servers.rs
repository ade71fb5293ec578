//! Servers of artifacts and sources: ours, the real ones, and what both programs make of them.

mod conformance;
mod exchange;
mod farm;
mod gone;
mod proxies;
mod records;
mod secured;
