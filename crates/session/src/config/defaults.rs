//! What holds where the user's configuration says nothing.

use headstart_yaml::{Error as YamlError, Mapping};

/// BuildStream's defaults of all keys that have one.
const DEFAULTS: &str = "
cachedir: ${XDG_CACHE_HOME}/buildstream
sourcedir: ${XDG_CACHE_HOME}/buildstream/sources
logdir: ${XDG_CACHE_HOME}/buildstream/logs
workspacedir: .
cache:
  quota: infinity
  reserved-disk-space: 5%
  low-watermark: 80%
  pull-buildtrees: false
  cache-buildtrees: auto
scheduler: {fetchers: 10, builders: 4, pushers: 4, network-retries: 2, on-error: quit}
build: {max-jobs: 0, retry-failed: false, dependencies: run}
fetch: {source: all}
track: {source: aliases}
logging: {key-length: 8, verbose: true, error-lines: 20, message-lines: 20, debug: false, throttle-ui-updates: true}
";

/// The defaults with the user's configuration laid over them, as BuildStream does it: what is said of a key
/// must be of the type that its default has.
pub(super) fn below(user: &Mapping) -> Result<Mapping, YamlError> {
    let mut all = headstart_yaml::parse("the defaults", DEFAULTS)?;
    user.compose(&mut all)?;
    Ok(all)
}
