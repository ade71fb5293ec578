//! Options that say who may use the addresses that other machines reach.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Error};
use headstart_casd::{Address, Credentials};

use super::options::wrong;

const CERTIFICATE: &str = "bind-tls-cert";
const KEY: &str = "bind-tls-key";
const CLIENT_CA: &str = "bind-tls-client-ca";
const TOKENS: &str = "bind-tokens";

/// The options. buildbox-casd has none like them.
pub(super) fn arguments() -> impl Iterator<Item = Arg> {
    [
        (
            CERTIFICATE,
            "Certificate of this server (PEM): connections to HOST:PORT are encrypted",
        ),
        (KEY, "Key to that certificate (PEM)"),
        (
            CLIENT_CA,
            "Certificates that those of clients must be signed by (PEM)",
        ),
        (
            TOKENS,
            "Tokens, one a line, of which clients at HOST:PORT must send one as a bearer token; the file \
             may be changed while the daemon runs",
        ),
    ]
    .into_iter()
    .map(|(name, help)| {
        let argument = Arg::new(name).long(name).value_name("FILE").help(help);
        argument.value_parser(clap::value_parser!(PathBuf))
    })
    .map(|argument| match argument.get_id().as_str() {
        CERTIFICATE => argument.requires(KEY),
        KEY | CLIENT_CA => argument.requires(CERTIFICATE),
        _ => argument,
    })
}

/// The files that a command line names.
pub(super) fn files(matches: &ArgMatches, addresses: &[Address]) -> Result<Credentials, Error> {
    let file = |name: &str| matches.get_one::<PathBuf>(name).cloned();
    let files = Credentials {
        identity: file(CERTIFICATE).zip(file(KEY)),
        client_ca: file(CLIENT_CA),
        tokens: file(TOKENS),
    };
    let tcp = |address: &Address| matches!(address, Address::Tcp(_));
    if files != Credentials::default() && !addresses.iter().any(tcp) {
        return Err(wrong(
            ErrorKind::ArgumentConflict,
            "certificates and tokens are for HOST:PORT, and none is bound: who may use a unix socket is said \
             by --unix-socket-mode\n",
        ));
    }
    Ok(files)
}
