//! The command line of buildbox-casd, whose options keep their names and meanings.

use std::ffi::OsString;
use std::path::PathBuf;
use std::thread::available_parallelism;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command, Error};
use headstart_casd::{Address, CasdOptions, Limits};

use super::{behind, credentials};

/// What `--version` prints: the version of buildbox-casd that is stood in for, and our own.
pub(crate) const VERSION: &str = concat!(
    "buildbox-casd 1.4.25 (headstart ",
    env!("CARGO_PKG_VERSION"),
    ")"
);

/// What a command line says.
pub(crate) enum Parsed {
    /// Print the version.
    Version,
    /// Serve, with messages of this level.
    Serve(Box<CasdOptions>, String),
}

/// Options that are taken, and change nothing here.
const WITHOUT_EFFECT: [&str; 9] = [
    "runner-arg",
    "num-digest-threads",
    "num-io-threads",
    "permit-keepalive-time",
    "shutdown-deadline",
    "metrics-mode",
    "metrics-publish-interval",
    "metrics-prefix",
    "unix-socket-group",
];
/// The same, without a value.
const FLAGS_WITHOUT_EFFECT: [&str; 3] = [
    "capture-allow-file-moves",
    "store-writable-objects",
    "fail-fast-during-cleanup",
];

fn command() -> Command {
    let value = |name: &'static str, text: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(text).help(help)
    };
    Command::new("headstart casd")
        .about(
            "Serves a cache directory to build tools, and executes for them; it stands in for \
             buildbox-casd and takes its options",
        )
        .max_term_width(100)
        .disable_version_flag(true)
        .arg(
            Arg::new("version")
                .long("version")
                .action(ArgAction::SetTrue)
                .help("Print the version"),
        )
        .arg(
            value(
                "bind",
                "ADDRESS",
                "Where to listen: unix:PATH or HOST:PORT; may be repeated",
            )
            .action(ArgAction::Append),
        )
        .args(credentials::arguments())
        .arg(value(
            "unix-socket-mode",
            "OCTAL",
            "The mode of unix sockets",
        ))
        .arg(value(
            "jobs",
            "NUMBER",
            "Number of actions that are executed at a time [default: one for each processor]",
        ))
        .arg(value(
            "buildbox-run",
            "PATH",
            "Taken and not needed: actions are executed by this program itself",
        ))
        .arg(value(
            "quota-high",
            "BYTES",
            "How much may be stored; K, M, G and T are understood",
        ))
        .arg(value(
            "quota-low",
            "BYTES|N%",
            "How much is left when something has to go [default: 65%]",
        ))
        .arg(value(
            "reserved",
            "BYTES",
            "Disk space that is left free [default: 2G]",
        ))
        .arg(
            Arg::new("protect-session-blobs")
                .long("protect-session-blobs")
                .action(ArgAction::SetTrue)
                .help("Remove nothing that was stored or used since the start"),
        )
        .arg(
            value(
                "speculation",
                "BOOL",
                "Execute actions ahead of need [default: true]",
            )
            .value_parser(clap::value_parser!(bool)),
        )
        .arg(
            value(
                "cache-failures",
                "BOOL",
                "Must be false: results of failures are not kept",
            )
            .num_args(0..=1)
            .require_equals(true),
        )
        .arg(value(
            "log-level",
            "LEVEL",
            "trace, debug, info, warning or error [default: error]",
        ))
        .arg(
            Arg::new("verbose")
                .long("verbose")
                .action(ArgAction::SetTrue)
                .help("The same as --log-level=debug"),
        )
        .args(behind::arguments())
        .args(WITHOUT_EFFECT.map(|name| {
            Arg::new(name)
                .long(name)
                .hide(true)
                .action(ArgAction::Append)
        }))
        .args(FLAGS_WITHOUT_EFFECT.map(|name| {
            Arg::new(name)
                .long(name)
                .hide(true)
                .action(ArgAction::SetTrue)
        }))
        .arg(
            Arg::new("directory")
                .value_name("CACHE")
                .value_parser(clap::value_parser!(PathBuf))
                .required_unless_present("version")
                .help("The cache directory"),
        )
}

/// Reads a command line.
pub(crate) fn parse(arguments: Vec<OsString>) -> Result<Parsed, Error> {
    let matches = command().try_get_matches_from(arguments)?;
    if matches.get_flag("version") {
        return Ok(Parsed::Version);
    }
    let addresses = addresses(&matches)?;
    let options = CasdOptions {
        directory: matches
            .get_one::<PathBuf>("directory")
            .cloned()
            .unwrap_or_default(),
        credentials: credentials::files(&matches, &addresses)?,
        addresses,
        socket_mode: read(&matches, "unix-socket-mode", "an octal mode", |text| {
            u32::from_str_radix(text, 8).ok()
        })?,
        jobs: match read(&matches, "jobs", "a number above 0", |text| {
            text.parse().ok()
        })? {
            Some(0) => return Err(invalid("jobs", "0", "a number above 0")),
            Some(jobs) => jobs,
            None => available_parallelism().map_or(1, usize::from),
        },
        limits: limits(&matches)?,
        speculation: matches.get_one("speculation").copied().unwrap_or(true),
        behind: behind::servers(&matches)?,
    };
    let level = match matches.get_one::<String>("log-level").map(String::as_str) {
        _ if matches.get_flag("verbose") => "debug",
        None | Some("error") => "error",
        Some("warning") => "warn",
        Some(level @ ("info" | "debug" | "trace")) => level,
        Some(other) => {
            return Err(invalid(
                "log-level",
                other,
                "trace, debug, info, warning or error",
            ));
        }
    };
    Ok(Parsed::Serve(options.into(), level.to_owned()))
}

fn limits(matches: &ArgMatches) -> Result<Limits, Error> {
    let default = Limits::default();
    let high = read(matches, "quota-high", "a size like 50G", size)?;
    let low = read(
        matches,
        "quota-low",
        "a size, or a percentage like 50%",
        |text| match (text.strip_suffix('%'), high) {
            (Some(percent), _) => percent
                .parse()
                .ok()
                .filter(|low| *low <= 100)
                .map(|low: u64| low * 10),
            (None, Some(high)) => Some(size(text)?.min(high).saturating_mul(1000) / high.max(1)),
            (None, None) => None,
        },
    )?;
    Ok(Limits {
        high,
        low: low.unwrap_or(default.low),
        reserved: read(matches, "reserved", "a size like 2G", size)?.unwrap_or(default.reserved),
        protect_session: matches.get_flag("protect-session-blobs"),
    })
}

fn addresses(matches: &ArgMatches) -> Result<Vec<Address>, Error> {
    let given = matches.get_many::<String>("bind").into_iter().flatten();
    let addresses = given.map(|text| {
        text.parse()
            .map_err(|_| invalid("bind", text, "unix:PATH or HOST:PORT"))
    });
    let addresses: Vec<Address> = addresses.collect::<Result<_, _>>()?;
    if addresses.is_empty() {
        return Ok(vec![Address::Tcp("127.0.0.1:50011".to_owned())]);
    }
    Ok(addresses)
}

pub(super) fn read<T>(
    matches: &ArgMatches,
    name: &str,
    expected: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Error> {
    let Some(text) = matches.get_one::<String>(name) else {
        return Ok(None);
    };
    match read(text) {
        Some(value) => Ok(Some(value)),
        None => Err(invalid(name, text, expected)),
    }
}

pub(super) fn invalid(name: &str, text: &str, expected: &str) -> Error {
    let message = format!("--{name}: {text:?} can't be used: expected {expected}\n");
    wrong(ErrorKind::InvalidValue, message)
}

pub(super) fn wrong(kind: ErrorKind, message: impl std::fmt::Display) -> Error {
    command().error(kind, message)
}

/// A number of bytes; K, M, G and T stand for powers of 1000, as in buildbox-casd.
fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let unit: u64 = match &text[digits.len()..] {
        "" => 1,
        "K" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Parsed, Error> {
        parse(line.split(' ').map(OsString::from).collect())
    }

    #[test]
    fn the_options_do_not_contradict_each_other() {
        command().debug_assert();
    }

    #[test]
    fn buildstreams_command_line_is_understood() {
        let line = "buildbox-casd --bind=unix:/tmp/s.sock --log-level=warning --cache-failures=false \
                    --quota-high=20000000 --quota-low=50% --reserved=2000 --protect-session-blobs \
                    --buildbox-run=/usr/bin/buildbox-run --jobs=3 --speculation=false /var/cache";
        let Ok(Parsed::Serve(options, level)) = parsed(line) else {
            panic!("{line}");
        };
        assert_eq!(options.addresses, [Address::Unix("/tmp/s.sock".into())]);
        let limits = Limits {
            high: Some(20_000_000),
            low: 500,
            reserved: 2000,
            protect_session: true,
        };
        assert_eq!((options.jobs, options.limits), (3, limits));
        assert!(!options.speculation);
        assert_eq!(options.directory, PathBuf::from("/var/cache"));
        assert_eq!(level, "warn");
        let line = "buildbox-casd --cas-remote=https://h:1 --cas-instance=i --cas-server-cert=/s \
                    --cas-access-token=/t --cas-token-reload-interval=2 --cas-keepalive-time=3 \
                    --cas-retry-limit=4 --cas-retry-delay=5 --cas-request-timeout=6 /c";
        let Ok(Parsed::Serve(options, _)) = parsed(line) else {
            panic!("{line}");
        };
        let storage = options.behind.storage.unwrap();
        assert_eq!((&*storage.url, &*storage.instance), ("https://h:1", "i"));
        assert_eq!((storage.retries, storage.retry_delay.as_millis()), (4, 5));
        let token = storage.token.unwrap();
        assert_eq!(token.reload.unwrap().as_secs(), 120);
        assert!(options.behind.names.is_none());
        let Ok(Parsed::Serve(options, _)) =
            parsed("casd --remote=http://h:1 --ac-remote=unix:/s /c")
        else {
            panic!("all services");
        };
        assert_eq!(options.behind.names.unwrap().url, "http://h:1");
        assert_eq!(options.behind.results.unwrap().url, "unix:/s");
        assert!(matches!(
            parsed("buildbox-casd --version /"),
            Ok(Parsed::Version)
        ));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, expected) in [
            ("casd --bind=nowhere /c", "unix:PATH"),
            ("casd --jobs=0 /c", "above 0"),
            ("casd --quota-high=much /c", "50G"),
            ("casd --cas-remote=nowhere /c", "--cas-remote"),
            (
                "casd --remote=http://h --retry-limit=few /c",
                "--retry-limit",
            ),
            ("casd --bind-tls-cert=/c /c", "--bind-tls-key"),
            ("casd --bind=unix:/s --bind-tokens=/t /c", "none is bound"),
            ("casd --no-such /c", "--no-such"),
            ("casd", "CACHE"),
        ] {
            let Err(error) = parsed(line) else {
                panic!("{line} was taken");
            };
            assert!(error.to_string().contains(expected), "{line}: {error}");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("50G"), Some(50_000_000_000));
        assert_eq!(size("7"), Some(7));
        assert_eq!(size("7X"), None);
        assert_eq!(size("G"), None);
    }
}
