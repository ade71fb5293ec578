//! Where a server listens.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A unix socket: only for this machine.
    Unix(PathBuf),
    /// A host and a port.
    Tcp(String),
}

/// An address that is not one.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no address: expected unix:PATH or HOST:PORT")]
pub struct InvalidAddress(String);

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let invalid = || InvalidAddress(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path {
                "" => Err(invalid()),
                path => Ok(Self::Unix(path.into())),
            };
        }
        match text.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(Self::Tcp(text.to_owned()))
            }
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => f.write_str(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        let unix = |path: &str| Ok(Address::Unix(path.into()));
        assert_eq!("unix:/run/s".parse(), unix("/run/s"));
        assert_eq!("unix:///run/s".parse(), unix("/run/s"));
        assert_eq!("unix:s".parse(), unix("s"));
        let tcp = |text: &str| Ok(Address::Tcp(text.to_owned()));
        assert_eq!("localhost:8980".parse(), tcp("localhost:8980"));
        assert_eq!("[::1]:8980".parse(), tcp("[::1]:8980"));
        for bad in ["", "unix:", ":80", "localhost", "localhost:none", "/run/s"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
