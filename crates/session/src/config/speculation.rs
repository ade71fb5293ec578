//! What the user wants of speculation: `speculation` in `headstart.conf`.

use std::collections::BTreeMap;
use std::time::Duration;

use headstart_speculation::{Limits, Mode};
use headstart_yaml::{Error as YamlError, Mapping, Scalar};

use crate::load::LoadLimits;

/// What the user wants of speculation.
#[derive(Debug, Clone, PartialEq)]
pub struct SpeculationConfig {
    /// How much is speculated, unless the command line says something else.
    pub mode: Mode,
    /// How much is speculated on elements of some projects at most.
    pub projects: BTreeMap<String, Mode>,
    /// And on some elements: `PROJECT:ELEMENT`.
    pub elements: BTreeMap<String, Mode>,
    /// What all executions ahead of need of a session may take.
    pub session: Limits,
    /// What those for one element may take.
    pub element: Limits,
    /// How many bytes of results that nobody has asked for may lie in the store.
    pub store_quota: u64,
    /// When other programs keep the machine too busy; `None` if they never do.
    pub load: Option<LoadLimits>,
}

impl Default for SpeculationConfig {
    fn default() -> Self {
        Self {
            mode: Mode::Full,
            projects: BTreeMap::new(),
            elements: BTreeMap::new(),
            session: Limits::default(),
            element: Limits::default(),
            store_quota: 10 << 30,
            load: Some(LoadLimits {
                pause_above: 0.6,
                resume_below: 0.4,
            }),
        }
    }
}

impl SpeculationConfig {
    pub(super) fn from_mapping(mapping: &Mapping) -> Result<Self, YamlError> {
        let mut config = Self::default();
        mapping.expect_keys(&[
            "mode",
            "projects",
            "elements",
            "session-limits",
            "element-limits",
            "store-quota",
            "pause-above",
            "resume-below",
        ])?;
        if let Some(mode) = mapping.scalar("mode")? {
            config.mode = mode_of(mode)?;
        }
        config.projects = modes(mapping, "projects")?;
        config.elements = modes(mapping, "elements")?;
        config.session = limits(mapping, "session-limits")?;
        config.element = limits(mapping, "element-limits")?;
        if let Some(quota) = mapping.scalar("store-quota")? {
            config.store_quota = bytes(quota)?;
        }
        config.load = load_limits(mapping, config.load)?;
        Ok(config)
    }

    /// The most that the user wants speculated on an element.
    pub(crate) fn most_for(&self, project: &str, element: &str) -> Mode {
        let of_project = self.projects.get(project).copied();
        let of_element = self.elements.get(&format!("{project}:{element}")).copied();
        // What is said of an element is meant for it.
        of_element.or(of_project).unwrap_or(Mode::Full)
    }
}

/// Reads a mode of speculation.
pub(crate) fn mode_of(scalar: &Scalar) -> Result<Mode, YamlError> {
    const EXPECTED: &str =
        "a mode of speculation: none, prime-only, source-artifact, intra-element or full";
    scalar.value.parse().map_err(|_| scalar.unlike(EXPECTED))
}

fn modes(mapping: &Mapping, key: &str) -> Result<BTreeMap<String, Mode>, YamlError> {
    let Some(modes) = mapping.mapping(key)? else {
        return Ok(BTreeMap::new());
    };
    let modes = modes.iter().map(|(name, _)| {
        let mode = mode_of(modes.required_scalar(&name.text)?)?;
        Ok((name.text.to_string(), mode))
    });
    modes.collect()
}

fn limits(mapping: &Mapping, key: &str) -> Result<Limits, YamlError> {
    let Some(mapping) = mapping.mapping(key)? else {
        return Ok(Limits::default());
    };
    mapping.expect_keys(&["actions", "bytes", "seconds"])?;
    let number = |key: &str| {
        let scalar = mapping.scalar(key)?;
        scalar.map(number_of).transpose()
    };
    Ok(Limits {
        actions: number("actions")?,
        bytes: mapping.scalar("bytes")?.map(bytes).transpose()?,
        time: number("seconds")?.map(Duration::from_secs),
    })
}

fn number_of(scalar: &Scalar) -> Result<u64, YamlError> {
    let number = u64::try_from(scalar.as_integer()?);
    number.map_err(|_| scalar.unlike("a number of zero or more"))
}

/// Reads a number of bytes, which may end with K, M, G or T as BuildStream's quotas do.
fn bytes(scalar: &Scalar) -> Result<u64, YamlError> {
    let text = &*scalar.value;
    let units = [("K", 10), ("M", 20), ("G", 30), ("T", 40)];
    let unit = units
        .iter()
        .find_map(|(unit, bits)| Some((text.strip_suffix(unit)?, *bits)));
    let (digits, bits) = unit.unwrap_or((text, 0));
    let number: Option<u64> = digits.parse().ok();
    let bytes = number.and_then(|number| number.checked_mul(1 << bits));
    bytes.ok_or_else(|| scalar.unlike("a number of bytes, such as 500M or 10G"))
}

fn load_limits(
    mapping: &Mapping,
    default: Option<LoadLimits>,
) -> Result<Option<LoadLimits>, YamlError> {
    let percent = |scalar: &Scalar| match number_of(scalar)? {
        percent @ 0..=100 => Ok(percent as f64 / 100.0),
        _ => Err(scalar.unlike("a percentage between 0 and 100")),
    };
    let pause = mapping.scalar("pause-above")?;
    let resume = mapping.scalar("resume-below")?;
    let Some(mut limits) = default else {
        return Ok(None);
    };
    if let Some(pause) = pause {
        limits.pause_above = percent(pause)?;
        limits.resume_below = limits.resume_below.min(limits.pause_above);
    }
    if let Some(resume) = resume {
        limits.resume_below = percent(resume)?;
        if limits.resume_below > limits.pause_above {
            return Err(resume.unlike("no more than `pause-above`"));
        }
    }
    // Nothing is busier than this.
    Ok(Some(limits).filter(|limits| limits.pause_above < 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::own::OwnConfig;

    fn load(text: &str) -> Result<SpeculationConfig, YamlError> {
        let mapping = headstart_yaml::parse("headstart.conf", text).unwrap();
        Ok(OwnConfig::from_mapping(&mapping)?.speculation)
    }

    #[test]
    fn what_is_said_is_read_and_the_rest_is_as_it_was() {
        assert_eq!(load("{}").unwrap(), SpeculationConfig::default());
        let config = load(
            "speculation:\n  mode: intra-element\n  projects: {sdk: none}\n  \
             elements: {'sdk:gcc.bst': prime-only}\n  session-limits: {actions: 10, bytes: 2G}\n  \
             element-limits: {seconds: 60}\n  store-quota: 500M\n  pause-above: 30\n",
        )
        .unwrap();
        assert_eq!(config.mode, Mode::IntraElement);
        assert_eq!(config.most_for("sdk", "zlib.bst"), Mode::None);
        assert_eq!(config.most_for("sdk", "gcc.bst"), Mode::PrimeOnly);
        assert_eq!(config.most_for("other", "gcc.bst"), Mode::Full);
        assert_eq!(config.session.actions, Some(10));
        assert_eq!(config.session.bytes, Some(2 << 30));
        assert_eq!(config.element.time, Some(Duration::from_secs(60)));
        assert_eq!(config.store_quota, 500 << 20);
        let load = config.load.unwrap();
        assert_eq!((load.pause_above, load.resume_below), (0.3, 0.3));
        assert_eq!(load_of("pause-above: 100"), None);
    }

    fn load_of(text: &str) -> Option<LoadLimits> {
        load(&format!("speculation: {{{text}}}")).unwrap().load
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        for (text, expected) in [
            ("speculation: {mode: maybe}", "headstart.conf:1:21"),
            ("speculation: {store-quota: lots}", "such as 500M or 10G"),
            ("speculation: {pause-above: 120}", "between 0 and 100"),
            (
                "speculation: {pause-above: 50, resume-below: 60}",
                "no more than `pause-above`",
            ),
            ("speculation: {quota: 1}", "quota"),
            ("cachedir: /c", "cachedir"),
        ] {
            let message = load(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
