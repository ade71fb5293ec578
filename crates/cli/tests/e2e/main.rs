//! The whole program, as its users run it: real compilers in real sandboxes, and nothing but its
//! command line, its report and its cache directory to judge it by.

#![allow(clippy::unwrap_used)]

mod artifacts;
mod asking;
mod collected;
mod configured;
mod damage;
mod economy;
mod endings;
mod explain;
mod failures;
mod go;
mod headers;
mod inspect;
mod joined;
mod metadata;
mod modes;
mod names;
mod nonstrict;
mod options;
mod plugins;
mod quota;
mod rebuilds;
mod refusals;
mod scenarios;
mod scripts;
mod scrub;
mod servers;
mod shell;
mod sources;
mod standin;
mod stored;
mod support;
mod turns;
mod workspaces;
