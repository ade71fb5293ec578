//! What a `go.mod` asks for, as far as BuildStream's plugin reads it.

use std::collections::{HashMap, HashSet};

use crate::error::SourceError;

/// A module and a version of it.
type Versioned<'a> = (&'a str, &'a str);

/// What sources ask for.
#[derive(Debug, Default)]
pub(super) struct Requirements<'a> {
    /// The modules that they name with a version.
    pub(super) explicit: HashSet<&'a str>,
    /// By the module that takes the place of another, that other one.
    replaced: HashMap<Versioned<'a>, Versioned<'a>>,
}

impl<'a> Requirements<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, SourceError> {
        let mut requirements = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let [name, version, ..] = *words
                && version.starts_with('v')
            {
                requirements.explicit.insert(name);
            }
            match *words {
                ["replace", old, old_version, _, new, new_version] => {
                    let replaced = &mut requirements.replaced;
                    replaced.insert((new, new_version), (old, old_version));
                }
                ["replace", _, _, _, ..] => {
                    return Err(SourceError::Tool {
                        doing: "the go.mod of the sources can't be followed".to_owned(),
                        said: format!(
                            "expected 'replace MODULE VERSION => MODULE VERSION', found '{}'",
                            line.trim()
                        ),
                    });
                }
                _ => {}
            }
        }
        Ok(requirements)
    }

    /// What a module takes the place of: itself, if nothing else.
    pub(super) fn original(&self, module: Versioned<'a>) -> Versioned<'a> {
        self.replaced.get(&module).copied().unwrap_or(module)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_with_versions_and_replacements_are_found() {
        let text = "module a\n\ngo 1.20\nrequire (\n\tb/c v1.0.0\n\td v2.0.0 // indirect\n)\n\
            replace e v1.0.0 => f/g v1.1.0\nreplace (\n\th v1.0.0 => i v1.0.0\n)\n";
        let read = Requirements::parse(text).unwrap();
        let mut explicit: Vec<_> = read.explicit.iter().copied().collect();
        explicit.sort_unstable();
        assert_eq!(explicit, ["b/c", "d", "h"]);
        assert_eq!(read.original(("f/g", "v1.1.0")), ("e", "v1.0.0"));
        assert_eq!(read.original(("f/g", "v1.2.0")), ("f/g", "v1.2.0"));
        let error = Requirements::parse("replace a => ../here\n").unwrap_err();
        assert!(error.to_string().contains("'replace a => ../here'"));
        assert!(Requirements::parse("replace (\n").is_ok());
    }
}
