//! Versions of Python packages, in the order of PEP 440.

use std::cmp::Ordering;
use std::fmt;

use regex_lite::Regex;

/// The expression in PEP 440's appendix B, for versions in lower case.
const PATTERN: &str = r"^v?(?:(\d+)!)?(\d+(?:\.\d+)*)(?:[-_.]?(alpha|a|beta|b|preview|pre|c|rc)[-_.]?(\d*))?(?:-(\d+)|[-_.]?(?:post|rev|r)[-_.]?(\d*))?(?:[-_.]?(dev)[-_.]?(\d*))?(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?$";

/// A version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    epoch: u64,
    release: Vec<u64>,
    /// `a`, `b` or `rc`, and a number.
    pre: Option<(&'static str, u64)>,
    post: Option<u64>,
    dev: Option<u64>,
    local: Option<String>,
}

impl Version {
    /// Reads a version; none if it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_lowercase();
        let parts = Regex::new(PATTERN).ok()?.captures(&text)?;
        let number = |text: &str| match text {
            "" => Some(0),
            text => text.parse().ok(),
        };
        let group = |index: usize| parts.get(index).map(|part| part.as_str());
        let release: Option<Vec<u64>> = group(2)?.split('.').map(number).collect();
        let pre = match (group(3), group(4)) {
            (Some(kind), digits) => {
                let kind = match kind {
                    "a" | "alpha" => "a",
                    "b" | "beta" => "b",
                    _ => "rc",
                };
                Some((kind, number(digits.unwrap_or_default())?))
            }
            _ => None,
        };
        let post = match group(5).or_else(|| group(6)) {
            Some(digits) => Some(number(digits)?),
            None => None,
        };
        let dev = match group(7) {
            Some(_) => Some(number(group(8).unwrap_or_default())?),
            None => None,
        };
        Some(Self {
            epoch: number(group(1).unwrap_or_default())?,
            release: release?,
            pre,
            post,
            dev,
            local: group(9).map(|local| local.replace(['-', '_'], ".")),
        })
    }

    /// Whether it comes before a release.
    pub(crate) fn is_prerelease(&self) -> bool {
        self.pre.is_some() || self.dev.is_some()
    }

    /// What is compared: a version for development comes first, then what comes before a release,
    /// then the release, then what comes after it.
    fn rank(&self) -> impl Ord + '_ {
        let zeros = self.release.iter().rev().take_while(|part| **part == 0);
        let release = &self.release[..self.release.len() - zeros.count()];
        let pre = match (self.pre, self.post, self.dev) {
            (Some((kind, number)), ..) => (1, kind, number),
            (None, None, Some(_)) => (0, "", 0),
            _ => (2, "", 0),
        };
        let dev = self.dev.unwrap_or(u64::MAX);
        (self.epoch, release, pre, self.post, dev)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let local = |version: &Self| {
            let parts = version.local.iter().flat_map(|local| local.split('.'));
            let parts = parts.map(|part| match part.parse::<u64>() {
                Ok(number) => (1, number, String::new()),
                Err(_) => (0, 0, part.to_owned()),
            });
            parts.collect::<Vec<_>>()
        };
        let ranks = self.rank().cmp(&other.rank());
        ranks.then_with(|| local(self).cmp(&local(other)))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.epoch != 0 {
            write!(f, "{}!", self.epoch)?;
        }
        let release: Vec<String> = self.release.iter().map(u64::to_string).collect();
        f.write_str(&release.join("."))?;
        if let Some((kind, number)) = self.pre {
            write!(f, "{kind}{number}")?;
        }
        if let Some(post) = self.post {
            write!(f, ".post{post}")?;
        }
        if let Some(dev) = self.dev {
            write!(f, ".dev{dev}")?;
        }
        if let Some(local) = &self.local {
            write!(f, "+{local}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_python_orders_them() {
        let ordered = [
            "0.9",
            "1.0.dev1",
            "1.0a1.dev1",
            "1.0a1",
            "1.0b2",
            "1.0rc1",
            "1.0",
            "1.0+local.1",
            "1.0.post1.dev2",
            "1.0.post1",
            "1.1",
            "1.10",
            "1!0.1",
        ];
        let versions = ordered.map(|text| Version::parse(text).unwrap());
        assert!(versions.is_sorted());
        assert_eq!(versions.map(|version| version.to_string()), ordered);
        assert_eq!(Version::parse("V1.0-ALPHA_2").unwrap().to_string(), "1.0a2");
        assert_eq!(Version::parse("1.0-3").unwrap().to_string(), "1.0.post3");
        assert_eq!(
            Version::parse("1.0")
                .unwrap()
                .cmp(&Version::parse("1.0.0").unwrap()),
            Ordering::Equal
        );
        for bad in ["", "x", "1.0-x", "1..0"] {
            assert_eq!(Version::parse(bad), None, "{bad}");
        }
    }
}
