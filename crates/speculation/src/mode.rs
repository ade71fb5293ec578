//! How much speculation is wanted.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// How much is speculated; each mode includes those before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Mode {
    /// Nothing.
    #[default]
    None,
    /// What is stored is used; nothing new is stored.
    PrimeOnly,
    /// Inputs are traced to sources and artifacts.
    SourceArtifact,
    /// And to the outputs of earlier actions of the same element.
    IntraElement,
    /// And to the outputs of actions of other elements.
    Full,
}

/// A text that names no mode.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error(
    "{0:?} is no mode of speculation: expected none, prime-only, source-artifact, intra-element or full"
)]
pub struct UnknownMode(String);

impl Mode {
    /// All modes, least first.
    pub const ALL: [Self; 5] = [
        Self::None,
        Self::PrimeOnly,
        Self::SourceArtifact,
        Self::IntraElement,
        Self::Full,
    ];

    /// The mode's name in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::PrimeOnly => "prime-only",
            Self::SourceArtifact => "source-artifact",
            Self::IntraElement => "intra-element",
            Self::Full => "full",
        }
    }

    /// Whether stored actions are primed.
    pub fn primes(self) -> bool {
        self >= Self::PrimeOnly
    }

    /// Whether new actions are generated and stored.
    pub fn generates(self) -> bool {
        self >= Self::SourceArtifact
    }
}

impl FromStr for Mode {
    type Err = UnknownMode;

    /// Besides the names, booleans are accepted: true is full, false is none.
    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Ok(Self::Full),
            "false" | "no" | "off" => Ok(Self::None),
            name => Self::ALL
                .into_iter()
                .find(|mode| mode.name() == name)
                .ok_or_else(|| UnknownMode(text.to_owned())),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_booleans_are_modes() {
        for mode in Mode::ALL {
            assert_eq!(mode.name().parse(), Ok(mode));
        }
        assert_eq!("True".parse(), Ok(Mode::Full));
        assert_eq!("false".parse(), Ok(Mode::None));
        assert!("sometimes".parse::<Mode>().is_err());
        assert!(!Mode::PrimeOnly.generates() && Mode::PrimeOnly.primes());
    }
}
