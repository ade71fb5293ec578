//! What stands in for buildbox-casd and buildbox-run.
//!
//! [`serve`] is the daemon: it opens a cache directory, and offers it with everything that
//! [`headstart_daemon`] serves to build tools on this machine and elsewhere. [`run_action`] is the
//! runner: one action in one sandbox, with the terminal of whoever started it; the daemon stages its
//! tree and answers what is asked for inside.

mod address;
mod casd;
mod foresight;
mod listen;
mod peer;
mod premises;
mod proxies;
mod runner;

pub use address::{Address, InvalidAddress};
pub use casd::{CasdError, CasdOptions, serve};
pub use headstart_daemon::Credentials;
pub use headstart_remote::{Pem, RemoteSettings, TokenFile};
pub use headstart_store_disk::Limits;
pub use proxies::{Behind, InvalidServers};
pub use runner::{BindMount, RunnerError, RunnerOptions, run_action};
