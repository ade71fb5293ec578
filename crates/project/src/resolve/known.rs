//! Which plugins make the keys that the built-in kinds make, by their code.
//!
//! A project may have a plugin in any release, or one of its own of the same name. Nothing but its code says
//! what it puts into keys. What else it does is of no account where it makes the same keys: what has the same
//! key is the same to BuildStream too.

use sha2::{Digest as _, Sha256};

use crate::kinds::ElementKind;
use crate::source::{ExplicitIn, SourceKind};

/// Beginnings of the SHA-256 of the code of elements' plugins that make the keys and artifacts that the
/// built-in kinds make: of the package buildstream-plugins-community 2.0 to 2.4, of GNOME's project, and of
/// freedesktop-sdk 22.08 to 26.08.
const ELEMENTS: [(&str, &[&str]); 6] = [
    (
        "collect_manifest",
        &[
            "bceb2cfa5af682a1",
            "3291f763e7c379b1",
            "e15c6367ce5a580d",
            "ffbe461945fdd866",
        ],
    ),
    (
        "collect_integration",
        &["3bc25fe5bf8259d2", "16d869a18fe6642f", "a3a23cfbbbd6fdda"],
    ),
    (
        "flatpak_image",
        &["4f38a82f5138df73", "6f9231f066d7408e", "b45304d43194dfcc"],
    ),
    (
        "flatpak_repo",
        &["97d74c47e6220965", "ff405ad6b7dad1bb", "05276df0291385fb"],
    ),
    ("check_forbidden", &["7ae72a59e9f77bfe"]),
    (
        "collect_initial_scripts",
        &[
            "502af4843e7f46f7",
            "553b640d88670647",
            "a098734ed59720d3",
            "ff88c44d4427757f",
            "84a15f54fae65fe2",
            "d182eb5a8e06fed4",
            "ddf090978816bf3b",
            "eb49c4e4711589ef",
        ],
    ),
];

/// The same of the kind go_module, each with what is special to it: 2.2.0 to 2.4 of that package.
const GO_MODULES: [(&str, ExplicitIn); 3] = [
    ("f624dcdc23fafa51", ExplicitIn::Ref),
    ("11be32582bdac66d", ExplicitIn::GoMod),
    ("f3a39217fb8f523b", ExplicitIn::GoMod),
];

/// Beginnings of the [SHA-256 of what sources' plugins say of keys](keys_code), where that is what the built-in
/// kinds put into keys: of the packages buildstream-plugins 1.91 to 2.8 and buildstream-plugins-community 2.0
/// to 2.4. Of cargo2, that from 2.2 on.
const SOURCES: [(&str, &[&str]); 14] = [
    ("bzr", &["aa5fcee0be760eba", "9052fd5092264d9d"]),
    ("cargo2", &["16a909b3b0c74952"]),
    ("cpan", &["5d265194ac25a0e0", "e0897dd0647ead0c"]),
    (
        "docker",
        &["46d9640cb6675b66", "96f1fa5948230e31", "19d16d2e8232a09d"],
    ),
    ("gen_cargo_lock", &["580ea7213b69a30e"]),
    ("git", &["f967ef1b9938e8d2", "c711f0d6e125e52d"]),
    ("git_module", &["794efd26e7ebf190"]),
    ("git_repo", &["b714bfad3b311c7f", "754bf4756d8ddf03"]),
    ("git_tag", &["a7d4cf3f7ebcd4a6", "e1b21c59e8dff534"]),
    ("ostree", &["b08147cb0e9f6b94"]),
    ("patch", &["d497140bd4aa265f", "3655e6be6016d920"]),
    ("patch_queue", &["3b5ae4c776858875"]),
    ("pypi", &["5d265194ac25a0e0", "e0897dd0647ead0c"]),
    ("zip", &["a690202fb696f7c1"]),
];

/// Whether the plugin with this code makes the keys that the built-in kind of elements makes.
pub(super) fn is_element(kind: &ElementKind, code: &str) -> bool {
    match of(&ELEMENTS, kind.name()) {
        Some(known) => is_one_of(known, code),
        // The others only have defaults of their own: there is no function but `setup`.
        None => code.contains("(BuildElement)") && code.matches("def ").count() == 1,
    }
}

/// The built-in kind of sources that makes the keys that the plugin with this code makes; none if that is not
/// known.
pub(super) fn source(kind: &SourceKind, code: &str) -> Option<SourceKind> {
    match kind {
        SourceKind::GoModule(_) => {
            let hash = hash_of(code);
            let mut known = GO_MODULES.iter();
            let (_, explicit) = known.find(|(known, _)| hash.starts_with(known))?;
            Some(SourceKind::GoModule(*explicit))
        }
        kind => {
            let known = of(&SOURCES, kind.name())?;
            is_one_of(known, &keys_code(code)).then(|| kind.clone())
        }
    }
}

fn of(all: &[(&str, &'static [&'static str])], kind: &str) -> Option<&'static [&'static str]> {
    let found = all.iter().find(|(name, _)| *name == kind);
    found.map(|(_, hashes)| *hashes)
}

fn is_one_of(known: &[&str], text: &str) -> bool {
    let hash = hash_of(text);
    known.iter().any(|known| hash.starts_with(known))
}

fn hash_of(text: &str) -> String {
    const_hex::encode(Sha256::digest(text))
}

/// What a plugin's code says of keys: its functions with `unique_key` in their names, without comments, blanks
/// and other matters of taste.
fn keys_code(code: &str) -> String {
    let mut said = String::new();
    let mut within = None;
    for line in code.lines() {
        let text = line.trim();
        if text.is_empty() {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        within = within.filter(|function| indent > *function);
        if within.is_none() {
            let name = text
                .strip_prefix("def ")
                .and_then(|def| def.split('(').next());
            if !name.is_some_and(|name| name.contains("unique_key")) {
                continue;
            }
            within = Some(indent);
        }
        if !text.starts_with('#') {
            let chars = text.chars().filter(|char| !char.is_whitespace());
            said.extend(chars.map(|char| if char == '\'' { '"' } else { char }));
        }
    }
    for end in [")", "]", "}"] {
        said = said.replace(&format!(",{end}"), end);
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_keys_is_seen_and_nothing_else() {
        let code = "class A(Source):\n    def a(self):\n        return 1\n\n    # Of keys.\n    \
            def get_unique_key(self):\n        # Why.\n        key = ['a', self.b]\n\n        return key\n\n    \
            def b(self):\n        pass\n\n    def get_extra_unique_key(self):\n        return [\n            self.c,\n        ]\n";
        let keys = "defget_unique_key(self):key=[\"a\",self.b]returnkey\
            defget_extra_unique_key(self):return[self.c]";
        assert_eq!(keys_code(code), keys);
        let other = code.replace(
            "return [\n            self.c,\n        ]",
            "return [self.c]",
        );
        assert_eq!(keys_code(&other), keys);
        assert_ne!(keys_code(&code.replace("self.b", "self.c")), keys);
        assert_eq!(keys_code("no function"), "");
    }

    #[test]
    fn kinds_of_packages_are_known_by_what_they_say() {
        for kind in SourceKind::names() {
            let kind = SourceKind::from_name(kind).unwrap();
            assert_eq!(source(&kind, ""), None);
            let is_listed = of(&SOURCES, kind.name()).is_some();
            let is_special = matches!(kind, SourceKind::GoModule(_));
            assert_eq!(
                is_listed || is_special,
                kind.package().is_some(),
                "{}",
                kind.name()
            );
        }
    }
}
