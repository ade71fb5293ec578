//! Versions of Go's modules, as far as they lead to commits.
//!
//! <https://go.dev/ref/mod#versions>; releases of BuildStream's plugin take different ones for such.

use headstart_project::ExplicitIn;
use regex_lite::Regex;

/// A version that a tag has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Release<'a> {
    /// The tag, without the directory of the module before it.
    pub(super) tag: &'a str,
    /// `v` and the first number.
    pub(super) major: &'a str,
}

/// Of the releases that look at `go.mod`: semantic versions without leading zeros.
const SEMANTIC: &str = concat!(
    r"^((v(?:0|[1-9][0-9]*))\.(?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*)",
    r"(?:-(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)",
    r"(?:\.(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?)",
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$",
);

/// Of those before them.
const SIMPLE: &str = r"^((v[0-9]+)\.[0-9]+\.[0-9]+(?:-[a-z]+)?)(?:\+[a-z]+)?$";

/// A version made of a commit's time and hash.
const PSEUDO: &str = r"^v[0-9]+\.[0-9]+\.[0-9]+-(?:[a-z]+\.)?(?:0\.)?[0-9]+-([a-z0-9]+)$";

/// Reads a version that a tag has; none if it is none.
pub(super) fn release(version: &str, explicit: ExplicitIn) -> Option<Release<'_>> {
    let pattern = match explicit {
        ExplicitIn::Ref => SIMPLE,
        ExplicitIn::GoMod => SEMANTIC,
    };
    let parts = Regex::new(pattern).ok()?.captures(version)?;
    Some(Release {
        tag: parts.get(1)?.as_str(),
        major: parts.get(2)?.as_str(),
    })
}

/// The beginning of the commit's hash, of a version that is made of it.
pub(super) fn commit(version: &str) -> Option<&str> {
    let parts = Regex::new(PSEUDO).ok()?.captures(version)?;
    Some(parts.get(1)?.as_str())
}

impl<'a> Release<'a> {
    /// The directory that the module may be in, within that of its first version.
    pub(super) fn directory(&self) -> Option<&'a str> {
        // However many digits it has.
        let is_first = matches!(self.major[1..].trim_start_matches('0'), "" | "1");
        (!is_first).then_some(self.major)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_plugins_releases_do() {
        use ExplicitIn::{GoMod, Ref};
        let read = |version, explicit| release(version, explicit).map(|it| (it.tag, it.major));
        for explicit in [Ref, GoMod] {
            assert_eq!(read("v1.2.3", explicit), Some(("v1.2.3", "v1")));
            assert_eq!(read("v8.0.5-pre", explicit), Some(("v8.0.5-pre", "v8")));
            let incompatible = "v2.4.2+incompatible";
            assert_eq!(read(incompatible, explicit), Some(("v2.4.2", "v2")));
            assert_eq!(read("1.2.3", explicit), None);
            assert_eq!(read("v1.2", explicit), None);
        }
        let of_commit = "v0.0.0-20210105120005-909beea2cc74";
        assert_eq!(read("v1.0.0-rc.1", GoMod), Some(("v1.0.0-rc.1", "v1")));
        assert_eq!(read("v1.0.0-rc.1", Ref), None);
        assert_eq!(read("v1.0.0-rc.01", GoMod), None);
        assert_eq!(read("v01.0.0", GoMod), None);
        assert_eq!(read("v01.0.0", Ref), Some(("v01.0.0", "v01")));
        assert_eq!(read(of_commit, GoMod), Some((of_commit, "v0")));
        assert_eq!(read(of_commit, Ref), None);
        assert_eq!(commit(of_commit), Some("909beea2cc74"));
        let before = "v1.2.4-0.20210105120005-909beea2cc74";
        assert_eq!(commit(before), Some("909beea2cc74"));
        assert_eq!(commit("v1.2.3"), None);
    }

    #[test]
    fn only_later_versions_have_directories() {
        let directory = |major| Release { tag: "", major }.directory();
        assert_eq!(directory("v0"), None);
        assert_eq!(directory("v01"), None);
        assert_eq!(directory("v2"), Some("v2"));
        assert_eq!(directory("v10"), Some("v10"));
    }
}
