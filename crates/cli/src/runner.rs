//! `headstart runner`: one action in a sandbox, with the command line of buildbox-run.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use headstart_casd::{BindMount, RunnerOptions, run_action};
use headstart_merkle::TreePath;

use crate::error::Failure;
use crate::terminal;

/// What this runner can do, in buildbox-run's words.
const CAPABILITIES: [&str; 7] = [
    "no-logs-capture",
    "bind-mount",
    "platform:OSFamily=linux",
    "platform:unixUID",
    "platform:unixGID",
    "platform:chrootRootDigest",
    "platform:remoteApisSocketPath",
];

/// What `--version` prints.
const VERSION: &str = concat!(
    "buildbox-run 1.4.25 (headstart ",
    env!("CARGO_PKG_VERSION"),
    ")"
);

/// Runs one action in a sandbox; it stands in for buildbox-run and takes its options
#[derive(Debug, Parser)]
#[command(name = "headstart runner", version = VERSION, max_term_width = 100)]
struct Arguments {
    /// Print what this runner can do, one capability a line
    #[arg(long)]
    capabilities: bool,
    /// Check the other arguments, and do nothing
    #[arg(long)]
    validate_parameters: bool,
    /// File with the Action message
    #[arg(long, value_name = "FILE", required_unless_present_any = ["capabilities", "validate_parameters"])]
    action: Option<PathBuf>,
    /// File to write the ActionResult message to
    #[arg(long, value_name = "FILE")]
    action_result: Option<PathBuf>,
    /// Address of the daemon
    #[arg(long, value_name = "ADDRESS", required_unless_present_any = ["capabilities", "validate_parameters"])]
    remote: Option<String>,
    /// Instance of the daemon
    #[arg(long, value_name = "NAME", default_value = "")]
    instance: String,
    /// Let those inside write to the action cache
    #[arg(long)]
    nested_ac_enable_update: bool,
    /// Leave what the command writes out of the result
    #[arg(long)]
    no_logs_capture: bool,
    /// File or folder of the host to be seen inside; may be repeated
    #[arg(long, value_name = "HOST:PATH", value_parser = bind_mount)]
    bind_mount: Vec<BindMount>,
    /// trace, debug, info, warning or error
    #[arg(long, value_name = "LEVEL", default_value = "warning")]
    log_level: String,
    /// The same as --log-level=debug
    #[arg(long)]
    verbose: bool,
}

fn bind_mount(text: &str) -> Result<BindMount, String> {
    let expected = || "expected HOST:PATH".to_owned();
    let (host, inside) = text.split_once(':').ok_or_else(expected)?;
    if host.is_empty() || inside.is_empty() {
        return Err(expected());
    }
    Ok(BindMount {
        host: host.into(),
        inside: TreePath::normalized(inside).map_err(|error| error.to_string())?,
    })
}

/// Runs what a command line says. `arguments` begin with the program's name.
pub(crate) fn run(arguments: Vec<OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    if arguments.capabilities {
        for capability in CAPABILITIES {
            println!("{capability}");
        }
        for architecture in architectures() {
            println!("platform:ISA={architecture}");
        }
        return ExitCode::SUCCESS;
    }
    if arguments.validate_parameters {
        return ExitCode::SUCCESS;
    }
    let level = match arguments.log_level.as_str() {
        _ if arguments.verbose => "debug",
        "warning" => "warn",
        level => level,
    };
    crate::messages::subscribe(level, None);
    let options = RunnerOptions {
        remote: arguments.remote.unwrap_or_default(),
        instance: arguments.instance,
        action: arguments.action.unwrap_or_default(),
        result: arguments.action_result,
        nested_cache_update: arguments.nested_ac_enable_update,
        binds: arguments.bind_mount,
        capture_streams: !arguments.no_logs_capture,
    };
    let ran = terminal::lend(|cancel| run_action(&options, cancel));
    match ran.and_then(|ran| ran.map_err(|error| Failure::new(error.to_string()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            anstream::eprintln!("{failure}");
            failure.exit_code()
        }
    }
}

/// The instruction sets that programs of this machine may have.
fn architectures() -> &'static [&'static str] {
    match std::env::consts::ARCH {
        "x86_64" => &["x86-64", "x86-32"],
        "aarch64" => &["aarch64", "aarch32"],
        other => match other {
            "x86" => &["x86-32"],
            "riscv64" => &["riscv-rv64g"],
            "powerpc64" => &["power-isa-le"],
            _ => &[],
        },
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_options_do_not_contradict_each_other() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn buildstreams_command_line_is_understood() {
        let line = "buildbox-run --remote=unix:/tmp/s --action=/tmp/a --action-result=/tmp/r \
                    --instance=x --nested-ac-enable-update --no-logs-capture \
                    --bind-mount=/etc/resolv.conf:/etc/resolv.conf --bind-mount=/dev:/dev";
        let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
        assert!(arguments.nested_ac_enable_update && arguments.no_logs_capture);
        let binds = arguments.bind_mount.iter();
        let binds: Vec<_> = binds.map(|bind| bind.inside.as_str()).collect();
        assert_eq!(binds, ["etc/resolv.conf", "dev"]);
    }

    #[test]
    fn bind_mounts_stay_inside() {
        assert!(bind_mount("/etc:../etc").is_err());
        assert!(bind_mount("/etc").is_err());
        assert!(bind_mount(":/etc").is_err());
    }
}
