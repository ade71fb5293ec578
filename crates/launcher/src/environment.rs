//! Which variables an action gets: those that compilers and linkers read, so that results do not
//! depend on the rest.

use std::collections::BTreeMap;

use crate::settings::Settings;

/// Variables that change what compilers and linkers do.
const NAMES: &[&str] = &[
    "PATH",
    "LD_LIBRARY_PATH",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
    "CPATH",
    "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH",
    "OBJC_INCLUDE_PATH",
    "OBJCPLUS_INCLUDE_PATH",
    "SOURCE_DATE_EPOCH",
    "COMPILER_PATH",
    "LIBRARY_PATH",
    "LD_RUN_PATH",
    "LDEMULATION",
    "GNUTARGET",
    "COLLECT_NO_DEMANGLE",
    "DEPENDENCIES_OUTPUT",
    "SUNPRO_DEPENDENCIES",
    "SDKROOT",
    "ZERO_AR_DATE",
    "COLLECT_GCC_OPTIONS",
    "CCC_OVERRIDE_OPTIONS",
];
const PREFIXES: &[&str] = &["GCC_", "OMP_", "GOMP_"];

/// The variables to send, by name, from the `local` ones.
pub(crate) fn remote_environment(
    settings: &Settings,
    local: impl IntoIterator<Item = (String, String)>,
) -> BTreeMap<String, String> {
    let wanted = |name: &str| match &settings.environment_to_read {
        _ if name.starts_with("RECC_") => false,
        _ if settings.preserve_environment => true,
        Some(names) => names.iter().any(|wanted| wanted == name),
        None => NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix)),
    };
    let kept = local.into_iter().filter(|(name, _)| wanted(name));
    let mut environment: BTreeMap<_, _> = kept.collect();
    environment.extend(settings.remote_environment.clone());
    environment
}

/// Whether a variable of these has the compiler write files that no argument mentions.
pub(crate) fn writes_more(local: &[(String, String)]) -> bool {
    const WRITING: &[&str] = &["DEPENDENCIES_OUTPUT", "SUNPRO_DEPENDENCIES"];
    local
        .iter()
        .any(|(name, value)| WRITING.contains(&name.as_str()) && !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variables: &[(&str, &str)], expected: &[(&str, &str)]) {
        let owned = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            pairs.collect::<Vec<(String, String)>>()
        };
        let local = [
            ("PATH", "/bin"),
            ("HOME", "/root"),
            ("GCC_COLORS", ""),
            ("RECC_SERVER", "x"),
        ];
        let settings = Settings::read(owned(variables)).unwrap();
        let sent = remote_environment(&settings, owned(&local));
        assert_eq!(
            sent.into_iter().collect::<Vec<_>>(),
            owned(expected),
            "{variables:?}"
        );
    }

    #[test]
    fn only_what_matters_is_sent() {
        check(&[], &[("GCC_COLORS", ""), ("PATH", "/bin")]);
        check(&[("ENV_TO_READ", "HOME,NONE")], &[("HOME", "/root")]);
        check(
            &[("PRESERVE_ENV", "1")],
            &[("GCC_COLORS", ""), ("HOME", "/root"), ("PATH", "/bin")],
        );
        check(
            &[("REMOTE_ENV_PATH", "/else")],
            &[("GCC_COLORS", ""), ("PATH", "/else")],
        );
    }
}
