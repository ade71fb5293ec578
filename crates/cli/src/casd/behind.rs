//! Options of buildbox-casd that name servers to stand behind it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Error};
use headstart_casd::{Behind, Pem, RemoteSettings, TokenFile};

use super::options::{invalid, read};

/// The options of one service, in the order that [`settings`] reads them.
macro_rules! service {
    ($prefix:literal) => {
        [
            concat!($prefix, "remote"),
            concat!($prefix, "instance"),
            concat!($prefix, "server-cert"),
            concat!($prefix, "client-cert"),
            concat!($prefix, "client-key"),
            concat!($prefix, "access-token"),
            concat!($prefix, "token-reload-interval"),
            concat!($prefix, "keepalive-time"),
            concat!($prefix, "retry-limit"),
            concat!($prefix, "retry-delay"),
            concat!($prefix, "request-timeout"),
        ]
    };
}

type Names = [&'static str; 11];

/// The options that hold for all services, and those that hold for one.
const ALL: Names = service!("");
const STORAGE: Names = service!("cas-");
const NAMES: Names = service!("ra-");
const RESULTS: Names = service!("ac-");
const EXECUTION: Names = service!("exec-");

const HELP: [&str; 11] = [
    "URL of a server behind this one, for all services",
    "Its instance",
    "Certificate that its own must be signed by (PEM)",
    "Certificate to show it (PEM)",
    "Key to that certificate (PEM)",
    "File with a token to send with each request",
    "Minutes after which the token is read again",
    "Seconds between probes of the connection",
    "Number of times a call is tried again",
    "Milliseconds before the first of these",
    "Seconds that an answer may take; 0 for the default",
];

/// The options. Those of single services are explained by those of all.
pub(super) fn arguments() -> impl Iterator<Item = Arg> {
    let all = ALL
        .into_iter()
        .zip(HELP)
        .map(|(name, help)| Arg::new(name).long(name).value_name("VALUE").help(help));
    let single = [STORAGE, NAMES, RESULTS, EXECUTION].into_iter().flatten();
    let single = single.map(|name| {
        let help = "The same for one service: contents, names, results or execution";
        let argument = Arg::new(name).long(name).value_name("VALUE");
        argument.help(help).hide(!name.ends_with("-remote"))
    });
    let read_only = Arg::new("read-only-remote")
        .long("read-only-remote")
        .action(ArgAction::SetTrue)
        .help("Write nothing to the server behind this one");
    all.chain(single).chain([read_only])
}

/// The servers that a command line puts behind the daemon.
pub(super) fn servers(matches: &ArgMatches) -> Result<Behind, Error> {
    let read_only = matches.get_flag("read-only-remote");
    Ok(Behind {
        storage: settings(matches, &STORAGE)?,
        names: settings(matches, &NAMES)?,
        results: settings(matches, &RESULTS)?,
        execution: settings(matches, &EXECUTION)?,
        storage_read_only: read_only,
        results_read_only: read_only,
    })
}

fn settings(matches: &ArgMatches, names: &Names) -> Result<Option<RemoteSettings>, Error> {
    // What is said of one service counts more than what is said of all.
    let named = |place: usize| match matches.contains_id(names[place]) {
        true => names[place],
        false => ALL[place],
    };
    let text = |place: usize| {
        matches
            .get_one::<String>(named(place))
            .filter(|it| !it.is_empty())
    };
    let number = |place: usize| {
        let read = read(matches, named(place), "a number", |text| {
            match text.is_empty() {
                true => Some(None),
                false => text.parse::<u64>().ok().map(Some),
            }
        });
        read.map(Option::flatten)
    };
    let Some(url) = text(0) else {
        return Ok(None);
    };
    let mut settings = RemoteSettings::new(url);
    if !settings.is_address() {
        return Err(invalid(
            named(0),
            url,
            "http://HOST:PORT, https://HOST:PORT or unix:PATH",
        ));
    }
    settings.instance = text(1).cloned().unwrap_or_default();
    let pem = |place: usize| text(place).map(|path| Pem::File(PathBuf::from(path)));
    (settings.tls.server_cert, settings.tls.client_cert) = (pem(2), pem(3));
    settings.tls.client_key = pem(4);
    let minutes = number(6)?;
    settings.token = text(5).map(|path| TokenFile {
        path: path.into(),
        reload: minutes.map(|minutes| Duration::from_secs(minutes.saturating_mul(60))),
    });
    settings.keepalive = number(7)?.filter(|it| *it > 0).map(Duration::from_secs);
    if let Some(retries) = number(8)? {
        settings.retries = u32::try_from(retries).unwrap_or(u32::MAX);
    }
    if let Some(delay) = number(9)? {
        settings.retry_delay = Duration::from_millis(delay);
    }
    if let Some(seconds) = number(10)?.filter(|seconds| *seconds > 0) {
        settings.request_timeout = Duration::from_secs(seconds);
    }
    Ok(Some(settings))
}
