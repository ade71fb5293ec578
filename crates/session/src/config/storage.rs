//! How much may be stored: `cache`.

use std::path::Path;

use headstart_store_disk::Limits;
use headstart_yaml::{Error as YamlError, Mapping, Scalar};
use rustix::fs::statvfs;

/// How much may be stored, as BuildStream's `quota`, `reserved-disk-space` and `low-watermark` say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StorageConfig {
    /// How much may be stored; `None` for as much as there is room for.
    pub quota: Option<Amount>,
    /// How much of the disk is left free.
    pub reserved: Amount,
    /// How much of what may be stored is left when something has to go, in parts of a thousand.
    pub low_watermark: u64,
}

/// An amount of storage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// So many bytes.
    Bytes(u64),
    /// So many percent of the disk.
    Percent(f64),
}

const KEYS: &[&str] = &[
    "quota",
    "reserved-disk-space",
    "low-watermark",
    "storage-service",
    "pull-buildtrees",
    "cache-buildtrees",
];

impl StorageConfig {
    /// What the section `cache` of a user's configuration says.
    pub(super) fn read(cache: &Mapping) -> Result<Self, YamlError> {
        cache.expect_keys(KEYS)?;
        let wrong = |scalar: &Scalar| {
            scalar.unlike("a size like 800M, 10G or 1T, or a share of the disk like 5%")
        };
        let amount = |scalar: &Scalar| Amount::parse(&scalar.value).ok_or_else(|| wrong(scalar));
        let quota = cache.required_scalar("quota")?;
        let watermark = cache.required_scalar("low-watermark")?;
        Ok(Self {
            quota: match &*quota.value {
                "infinity" => None,
                _ => Some(amount(quota)?),
            },
            reserved: amount(cache.required_scalar("reserved-disk-space")?)?,
            low_watermark: percentage(&watermark.value)
                .map(|percent| (percent * 10.0) as u64)
                .ok_or_else(|| watermark.unlike("a share of the quota like 80%"))?,
        })
    }

    /// The limits on the disk that has `folder`.
    pub(crate) fn limits(&self, folder: &Path) -> Limits {
        let disk = statvfs(folder).map(|disk| disk.f_blocks.saturating_mul(disk.f_frsize));
        let bytes = |amount: Amount| match (amount, disk) {
            (Amount::Bytes(bytes), _) => Some(bytes),
            (Amount::Percent(percent), Ok(disk)) => Some((disk as f64 * percent / 100.0) as u64),
            (Amount::Percent(_), Err(_)) => None,
        };
        Limits {
            high: self.quota.and_then(bytes),
            low: self.low_watermark,
            reserved: bytes(self.reserved).unwrap_or(0),
            protect_session: true,
        }
    }
}

impl Amount {
    /// A number with one of BuildStream's units, powers of 1024, or a percentage.
    fn parse(text: &str) -> Option<Self> {
        if text.ends_with('%') {
            return percentage(text).map(Self::Percent);
        }
        let digits = text.trim_end_matches(['K', 'M', 'G', 'T']);
        let power = match &text[digits.len()..] {
            "" => 0,
            "K" => 1,
            "M" => 2,
            "G" => 3,
            "T" => 4,
            _ => return None,
        };
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        // More than can be counted is more than there is.
        let number = digits.parse().unwrap_or(u64::MAX);
        Some(Self::Bytes(number.saturating_mul(1024_u64.pow(power))))
    }
}

fn percentage(text: &str) -> Option<f64> {
    let percent: f64 = text.strip_suffix('%')?.trim_end().parse().ok()?;
    (0.0..=100.0).contains(&percent).then_some(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<StorageConfig, YamlError> {
        let mut cache = Mapping::default();
        cache.insert(
            "cache",
            headstart_yaml::parse("buildstream.conf", text).unwrap(),
        );
        let all = crate::config::defaults::below(&cache)?;
        StorageConfig::read(all.mapping("cache")?.unwrap())
    }

    #[test]
    fn amounts_are_buildstreams() {
        let default = StorageConfig {
            quota: None,
            reserved: Amount::Percent(5.0),
            low_watermark: 800,
        };
        assert_eq!(read("{}").unwrap(), default);
        let read_all = read("quota: 2K\nreserved-disk-space: 2.5%\nlow-watermark: 50%\n").unwrap();
        let expected = StorageConfig {
            quota: Some(Amount::Bytes(2048)),
            reserved: Amount::Percent(2.5),
            low_watermark: 500,
        };
        assert_eq!(read_all, expected);
        assert_eq!(read("quota: infinity\n").unwrap().quota, None);
        assert_eq!(read("quota: 7\n").unwrap().quota, Some(Amount::Bytes(7)));
        let most = read("quota: 99999999999T\n").unwrap().quota;
        assert_eq!(most, Some(Amount::Bytes(u64::MAX)));
        let limits = read_all.limits(Path::new("/"));
        assert_eq!((limits.high, limits.low), (Some(2048), 500));
        assert!(limits.reserved > 0 && limits.protect_session);
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        for (text, expected) in [
            ("quota: much\n", "buildstream.conf:1:8"),
            ("quota: 120%\n", "10G"),
            ("quota: -1\n", "10G"),
            ("quota: 1KK\n", "10G"),
            ("reserved-disk-space: infinity\n", "5%"),
            ("low-watermark: 3G\n", "80%"),
            ("quotas: 3G\n", "quotas"),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
