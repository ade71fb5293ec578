//! The settings, from variables named `RECC_…`.
//!
//! A boolean is true when its variable is set to anything but nothing. Variables that are set win
//! over the files `recc.conf`.

use std::collections::BTreeMap;

use regex_lite::Regex;

use crate::failure::Failure;

/// All that can be set.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// Where actions are executed, and all else where nothing else is said.
    pub(crate) server: Option<String>,
    pub(crate) cas_server: Option<String>,
    pub(crate) action_cache_server: Option<String>,
    pub(crate) instance: String,
    pub(crate) cas_instance: Option<String>,
    pub(crate) action_cache_instance: Option<String>,
    /// How often a call is tried again that failed for lack of a server.
    pub(crate) retry_limit: u32,
    /// The first pause before that, in milliseconds; each further one is twice as long.
    pub(crate) retry_delay: Option<u32>,
    /// Whether input files outside the project are sent too.
    pub(crate) global_paths: bool,
    /// Whether the input root is the whole file system, paths left as they are.
    pub(crate) whole_paths: bool,
    /// Run everything here, without a word.
    pub(crate) passthrough: bool,
    /// Look results up, but run here what has none.
    pub(crate) cache_only: bool,
    pub(crate) compile_cache_only: bool,
    pub(crate) link_cache_only: bool,
    /// Store what was run here even if it failed.
    pub(crate) upload_failed: bool,
    /// Leave what an action wrote in the cache.
    pub(crate) no_outputs: bool,
    /// Under `cache_only`, store the results of what was run here.
    pub(crate) upload_local: bool,
    pub(crate) skip_cache: bool,
    pub(crate) uncacheable: bool,
    pub(crate) salt: String,
    /// Whether calls that link are sent away.
    pub(crate) link: bool,
    /// Whether any command is sent away, its inputs and outputs given by the overrides.
    pub(crate) force_remote: bool,
    pub(crate) inputs_override: Vec<String>,
    pub(crate) output_files_override: Vec<String>,
    pub(crate) output_directories_override: Vec<String>,
    /// Inputs below these are not sent.
    pub(crate) excluded: Vec<String>,
    /// A call with an input that matches one of these is run here.
    pub(crate) invalid_inputs: Vec<Regex>,
    pub(crate) project_root: Option<String>,
    pub(crate) working_dir_prefix: String,
    pub(crate) preserve_environment: bool,
    /// Variables to send instead of those that compilers are known to read.
    pub(crate) environment_to_read: Option<Vec<String>>,
    pub(crate) remote_environment: BTreeMap<String, String>,
    pub(crate) platform: BTreeMap<String, String>,
    pub(crate) compile_platform: BTreeMap<String, String>,
    pub(crate) link_platform: BTreeMap<String, String>,
    pub(crate) log_level: Level,
    /// Where to log to, instead of standard error.
    pub(crate) log_directory: Option<String>,
    pub(crate) correlated_invocations: String,
}

/// How much is logged.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    #[default]
    Error,
    Warning,
    Info,
    Debug,
}

impl Settings {
    /// Reads the settings from `variables`: names without `RECC_`, and their values.
    pub(crate) fn read(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Failure> {
        let mut settings = Self::default();
        for (name, value) in variables {
            settings.set(&name, value)?;
        }
        Ok(settings)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), Failure> {
        let is_true = !value.is_empty();
        match name {
            "SERVER" => self.server = some(value),
            "CAS_SERVER" => self.cas_server = some(value),
            "ACTION_CACHE_SERVER" => self.action_cache_server = some(value),
            "INSTANCE" => self.instance = value,
            "CAS_INSTANCE" => self.cas_instance = some(value),
            "ACTION_CACHE_INSTANCE" => self.action_cache_instance = some(value),
            "RETRY_DELAY" if is_true => self.retry_delay = Some(number(name, &value)?),
            "RETRY_LIMIT" if is_true => self.retry_limit = number(name, &value)?,
            "DEPS_GLOBAL_PATHS" => self.global_paths = is_true,
            "NO_PATH_REWRITE" => self.whole_paths = is_true,
            "PASSTHROUGH" => self.passthrough = is_true,
            "CACHE_ONLY" => self.cache_only = is_true,
            "CACHE_UPLOAD_LOCAL_BUILD" => self.upload_local = is_true,
            "COMPILE_CACHE_ONLY" => self.compile_cache_only = is_true,
            "LINK_CACHE_ONLY" => self.link_cache_only = is_true,
            "CACHE_UPLOAD_FAILED_BUILD" => self.upload_failed = is_true,
            "DONT_SAVE_OUTPUT" => self.no_outputs = is_true,
            "SKIP_CACHE" => self.skip_cache = is_true,
            "ACTION_UNCACHEABLE" => self.uncacheable = is_true,
            "ACTION_SALT" => self.salt = value,
            "LINK" => self.link = is_true,
            "FORCE_REMOTE" => self.force_remote = is_true,
            "DEPS_OVERRIDE" => self.inputs_override.extend(list(&value)),
            "DEPS_DIRECTORY_OVERRIDE" => self.inputs_override.extend(some(value)),
            "OUTPUT_FILES_OVERRIDE" => self.output_files_override = list(&value),
            "OUTPUT_DIRECTORIES_OVERRIDE" => self.output_directories_override = list(&value),
            "DEPS_EXCLUDE_PATHS" => self.excluded = list(&value),
            "INVALID_INPUT_PATHS_REGEX" => {
                self.invalid_inputs = list(&value)
                    .iter()
                    .map(|pattern| expression(name, pattern))
                    .collect::<Result<_, _>>()?;
            }
            "PROJECT_ROOT" => self.project_root = some(value),
            "WORKING_DIR_PREFIX" => self.working_dir_prefix = value,
            "PRESERVE_ENV" => self.preserve_environment = is_true,
            "ENV_TO_READ" if is_true => self.environment_to_read = Some(list(&value)),
            "CORRELATED_INVOCATIONS_ID" => self.correlated_invocations = value,
            "LOG_LEVEL" if is_true => self.log_level = self.log_level.max(level(name, &value)?),
            "LOG_DIRECTORY" => self.log_directory = some(value),
            "VERBOSE" if is_true => self.log_level = Level::Debug,
            _ => self.set_named(name, value),
        }
        Ok(())
    }

    /// Variables whose names end in a name of their own. Unknown ones are somebody else's.
    fn set_named(&mut self, name: &str, value: String) {
        let maps = [
            ("REMOTE_ENV_", &mut self.remote_environment),
            ("REMOTE_PLATFORM_", &mut self.platform),
            ("COMPILE_REMOTE_PLATFORM_", &mut self.compile_platform),
            ("LINK_REMOTE_PLATFORM_", &mut self.link_platform),
        ];
        for (prefix, map) in maps {
            if let Some(rest) = name.strip_prefix(prefix).filter(|rest| !rest.is_empty()) {
                map.insert(rest.to_owned(), value);
                return;
            }
        }
    }
}

fn some(value: String) -> Option<String> {
    Some(value).filter(|value| !value.is_empty())
}

fn list(value: &str) -> Vec<String> {
    let items = value.split(',').filter(|item| !item.is_empty());
    items.map(str::to_owned).collect()
}

fn number(name: &str, value: &str) -> Result<u32, Failure> {
    value
        .parse()
        .map_err(|_| Failure::Usage(format!("RECC_{name}: {value:?} is not a number")))
}

fn expression(name: &str, pattern: &str) -> Result<Regex, Failure> {
    Regex::new(pattern)
        .map_err(|error| Failure::Usage(format!("RECC_{name}: {pattern:?}: {error}")))
}

fn level(name: &str, value: &str) -> Result<Level, Failure> {
    match value {
        "error" => Ok(Level::Error),
        "warning" => Ok(Level::Warning),
        "info" => Ok(Level::Info),
        "debug" | "trace" => Ok(Level::Debug),
        _ => Err(Failure::Usage(format!(
            "RECC_{name}: {value:?} is not one of error, warning, info, debug, trace"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, Failure> {
        let owned = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::read(owned)
    }

    #[test]
    fn what_is_set_is_read() {
        let settings = read(&[
            ("SERVER", "unix:/tmp/casd.sock"),
            ("NO_PATH_REWRITE", "false"),
            ("LINK", ""),
            ("REMOTE_PLATFORM_OSFamily", "linux"),
            ("LINK_REMOTE_PLATFORM_kind", "big"),
            ("DEPS_OVERRIDE", "a.o,b.o,"),
            ("SOMETHING_ELSE", "x"),
        ])
        .unwrap();
        assert_eq!(settings.server.as_deref(), Some("unix:/tmp/casd.sock"));
        assert!(settings.whole_paths, "anything but nothing is true");
        assert!(!settings.link);
        assert_eq!(settings.platform["OSFamily"], "linux");
        assert_eq!(settings.link_platform["kind"], "big");
        assert_eq!(settings.inputs_override, ["a.o", "b.o"]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [
            ("RETRY_LIMIT", "x"),
            ("LOG_LEVEL", "loud"),
            ("INVALID_INPUT_PATHS_REGEX", "a("),
        ] {
            let error = read(&[wrong]).unwrap_err();
            assert_eq!(error.exit_code(), 100);
            assert!(
                error
                    .to_string()
                    .starts_with(&format!("RECC_{}: ", wrong.0)),
                "{error}"
            );
        }
    }
}
