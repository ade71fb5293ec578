//! The launcher: the small static program that sandboxes know as `recc`.
//!
//! It takes a compiler's command line, finds out what the call reads and writes, and has it
//! executed by the server that `RECC_SERVER` names. Calls that it does not fully understand are run
//! where they are. Invariant: whatever happens, the caller sees what the command itself would have
//! written and said, or an exit code from 100 upward that no compiler uses.

mod action;
mod arguments;
mod client;
mod conf;
mod environment;
mod failure;
mod inputs;
mod layout;
mod link;
mod local;
mod log;
mod outputs;
mod rewrite;
mod rules;
mod run;
mod scan;
mod settings;
mod store;
mod work;

use std::process::ExitCode;

use crate::failure::Failure;
use crate::log::Level;
use crate::settings::Settings;

const USAGE: &str = "\
Usage: recc COMMAND [ARGUMENT...]

Has calls of C and C++ compilers executed by a remote execution server, or answered from its cache,
and runs all other commands as they are.

  --help     Show this text
  --version  Show the version

Settings are variables of the environment. A boolean is true when it is not empty.
  RECC_SERVER                      unix:PATH or http://HOST:PORT
  RECC_CAS_SERVER, RECC_ACTION_CACHE_SERVER, RECC_INSTANCE, RECC_RETRY_LIMIT
  RECC_DEPS_GLOBAL_PATHS           Send files outside the project too
  RECC_NO_PATH_REWRITE             Leave all paths as they are
  RECC_PROJECT_ROOT, RECC_WORKING_DIR_PREFIX, RECC_DEPS_EXCLUDE_PATHS
  RECC_INVALID_INPUT_PATHS_REGEX   Run calls here that read such files
  RECC_LINK                        Send calls that link too
  RECC_FORCE_REMOTE                Send any command, with RECC_DEPS_OVERRIDE,
                                   RECC_OUTPUT_FILES_OVERRIDE, RECC_OUTPUT_DIRECTORIES_OVERRIDE
  RECC_CACHE_ONLY                  Use results that are known, run all else here
  RECC_CACHE_UPLOAD_LOCAL_BUILD    Store the results of what was run here
  RECC_PASSTHROUGH                 Run everything here
  RECC_SKIP_CACHE, RECC_ACTION_UNCACHEABLE, RECC_ACTION_SALT
  RECC_REMOTE_PLATFORM_NAME, RECC_COMPILE_REMOTE_PLATFORM_NAME, RECC_LINK_REMOTE_PLATFORM_NAME
  RECC_REMOTE_ENV_NAME, RECC_ENV_TO_READ, RECC_PRESERVE_ENV
  RECC_LOG_LEVEL                   error, warning, info or debug
  RECC_VERBOSE                     The same as RECC_LOG_LEVEL=debug
  RECC_LOG_DIRECTORY               Log to files in this folder

They may also stand in files recc.conf, as lines name=value, names without RECC_: in ./recc, in
RECC_CONFIG_DIRECTORY, in ~/.recc.

Exit codes: the command's own; 100 wrong usage, 101 failure, 102 failure of the server, 130 cancelled.
";

fn main() -> ExitCode {
    match start() {
        Ok(code) => code,
        Err(failure) => {
            log::write(Level::Error, &failure.to_string());
            ExitCode::from(failure.exit_code())
        }
    }
}

fn start() -> Result<ExitCode, Failure> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.first().and_then(|first| first.to_str()) {
        None if arguments.is_empty() => {
            return Err(Failure::Usage("no command is given; see --help".to_owned()));
        }
        Some("--help" | "-h") => {
            print(USAGE);
            return Ok(ExitCode::SUCCESS);
        }
        Some("--version" | "-v") => {
            print(concat!(
                "recc (Headstart) ",
                env!("CARGO_PKG_VERSION"),
                "\n"
            ));
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    // Variables that are no UTF-8 can't be sent, and none of ours needs it.
    let variables: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let settings = Settings::read(conf::gather(&variables)?)?;
    run::run(settings, variables, arguments)
}

fn print(text: &str) {
    use std::io::Write;
    // A reader that has gone is nothing to fail for.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
