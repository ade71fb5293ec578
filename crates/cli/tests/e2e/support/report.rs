//! What the program reports of a build.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// The report of a build.
#[derive(Debug)]
pub(crate) struct Report(Value);

/// What became of an element's compiler calls. All depends on no clock: a prediction counts as
/// foreseen whether it was executed before it was asked for, at the time, or not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Calls {
    pub(crate) asked: u64,
    /// Predicted to the last byte.
    pub(crate) foreseen: u64,
    /// Nobody predicted them, but the cache had them.
    pub(crate) found: u64,
    /// Nobody predicted them.
    pub(crate) missed: u64,
}

impl Calls {
    /// All foreseen.
    pub(crate) fn foreseen(asked: u64) -> Self {
        Self {
            asked,
            foreseen: asked,
            ..Self::default()
        }
    }

    /// None foreseen.
    pub(crate) fn missed(asked: u64) -> Self {
        Self {
            asked,
            missed: asked,
            ..Self::default()
        }
    }
}

impl Report {
    /// The report in a file, if there is one.
    pub(crate) fn read(file: &Path) -> Option<Self> {
        let text = fs::read_to_string(file).ok()?;
        Some(Self(serde_json::from_str(&text).unwrap()))
    }

    /// Speculation met no problem and executed nothing with a stale input, as the audit found.
    pub(crate) fn sound(self) -> Self {
        assert_eq!(self.0["problems"], Value::Array(Vec::new()));
        assert_eq!(self.0["total"]["stale"], 0);
        self
    }

    fn element(&self, name: &str) -> &Value {
        let elements = self.0["elements"].as_array().unwrap();
        let element = elements.iter().find(|element| element["name"] == name);
        element.unwrap_or_else(|| panic!("{name} is not in {:#}", self.0))
    }

    /// How an element's part of the build went.
    pub(crate) fn state(&self, name: &str) -> &str {
        self.element(name)["state"].as_str().unwrap()
    }

    /// An element's strict key.
    pub(crate) fn key(&self, name: &str) -> &str {
        self.element(name)["key"].as_str().unwrap()
    }

    /// A number of an element's account.
    pub(crate) fn account(&self, name: &str, number: &str) -> u64 {
        let account = &self.element(name)["speculation"];
        let number = account[number].as_u64();
        number.unwrap_or_else(|| panic!("{account:#}"))
    }

    /// What became of an element's compiler calls.
    pub(crate) fn calls(&self, name: &str) -> Calls {
        let calls = Calls {
            asked: self.account(name, "asked"),
            foreseen: ["hit", "joined", "promoted"]
                .iter()
                .map(|number| self.account(name, number))
                .sum(),
            found: self.account(name, "found"),
            missed: self.account(name, "missed"),
        };
        let failed = self.account(name, "unsuccessful");
        let counted = calls.foreseen + calls.found + calls.missed + failed;
        assert_eq!(calls.asked, counted, "{:#}", self.element(name));
        calls
    }

    /// The digest of each element's files.
    pub(crate) fn artifacts(&self) -> BTreeMap<String, String> {
        let elements = self.0["elements"].as_array().unwrap().iter();
        let artifacts = elements.map(|element| {
            let files = element["files"].as_str();
            let files = files.unwrap_or_else(|| panic!("{element:#} has no files"));
            (
                element["name"].as_str().unwrap().to_owned(),
                files.to_owned(),
            )
        });
        artifacts.collect()
    }
}
