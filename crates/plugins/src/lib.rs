//! Other people's Python plugins, run by the BuildStream package that the user has.
//!
//! A plugin is code against BuildStream's classes `Element` and `Source`, and what it may do with
//! those has no end. So it gets the real ones: a process of the user's Python imports `buildstream`,
//! makes the plugin's objects, and calls what BuildStream calls, in the same order. What BuildStream
//! itself would do around them (loading a project, caches, a daemon for contents, sandboxes) is not
//! started a second time: small stand-ins hand it on to this program. They are the files in `host/`,
//! which are a part of this program and are written nowhere.
//!
//! Alternatives were weighed. To let the real BuildStream load the whole project would give the
//! same keys, but load everything twice, need its daemon beside our own, and leave speculation out.
//! To imitate the classes would need no package, but never be complete.
//!
//! # The protocol
//!
//! One JSON object a line, over the process's standard input (to the host) and output (from it).
//! The host answers one request at a time; hosts are as many as requests at the same time.
//!
//! 1. The first line is the settings: `store` (the directory of contents), `temporary`,
//!    `source-directory`. The host answers as to a request, with `buildstream`, its version.
//! 2. A request is `{"do": NAME, …}`; it ends with `{"done": VALUE}` or
//!    `{"failed": {"message", "domain", "reason"}}`.
//! 3. In between the host may ask, `{"ask": NAME, …}`, and is given `{"answer": VALUE}` or
//!    `{"refused": TEXT}`; or tell something, `{"note": NAME, …}`.
//!
//! | request | with | gives |
//! | --- | --- | --- |
//! | `element-class`, `source-class` | `plugin` | what the class says (`BST_…`), an element's defaults |
//! | `element-key` | `element` | the JSON that is hashed into its key |
//! | `build-script` | `element` | the commands that build it without a sandbox, or `null` |
//! | `source` | `source` | `key`, `reference`: the keys that it is written to |
//! | `fetch`, `track` | `source`, `previous` (a directory) | for `track` as `reference` |
//! | `stage` | `source`, `directory`, `before` (a tree) | a tree, if not staged into the directory |
//! | `mirror` | `mirror` | what its class says (`deprecated`), once it is made |
//! | `mirrored` | `mirror`, `alias`, `alias-url`, `rest` (of an address) | where the mirror has it: `url`, `http-auth` |
//! | `source-info` | `sources` | what they say of their provenance, as YAML |
//! | `build` | `element`, `sources`, `log`, `keep`, `workspace`, `only-stage` | `files`, `failure`, `environment`, `public`, `kept` |
//!
//! | asked for | with | answer |
//! | --- | --- | --- |
//! | `alias` | `alias`, `project` (its directory) | `own`, `translated`, `fetch`, `track`; or `null` |
//! | `element` | `index` | all that is known of a dependency |
//! | `keep`, `keep-file`, `keep-directory` | `content` or `path` | its digest, as `hash/size` |
//! | `write-out` | `tree`, `path` | `null` |
//! | `run` | `action` | the `ActionResult`, in base64 |
//!
//! What an alias stands for is a text, or a `mirror` with what the `alias` is called there.
//!
//! Notes: `warning` with `text`; `staged` with `index`, `tree`, `at`; `sources-staged` with `at`.
//! Nodes have places (`host/nodes.py`), so that what a plugin says of them names file and line.

#![warn(missing_docs)]

mod conversation;
mod host;
mod hosts;
mod model;
mod python;
mod wire;

pub use conversation::{Conversation, Said};
pub use hosts::{Answers, Hosts, Settings, unknown};
pub use model::reference;
pub use wire::{Describe, Others, ProjectFacts};
