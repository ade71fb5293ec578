//! Settings from files `recc.conf`: a line `name=value` each, names without `RECC_` and in any
//! case, `#` before what is no setting.
//!
//! Looked for in `./recc`, in `$RECC_CONFIG_DIRECTORY` and in `~/.recc`; what stands earlier in
//! this list wins, and variables of the environment win over all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The settings of the files and of the environment's `variables`, names without `RECC_`.
pub(crate) fn gather(variables: &[(String, String)]) -> Result<BTreeMap<String, String>, Failure> {
    let variable = |wanted: &str| {
        let mut variables = variables.iter();
        let found = variables.find(|(name, value)| name == wanted && !value.is_empty());
        found.map(|(_, value)| PathBuf::from(value))
    };
    let folders = [
        variable("HOME").map(|home| home.join(".recc")),
        variable("RECC_CONFIG_DIRECTORY"),
        Some(PathBuf::from("recc")),
    ];
    let mut settings = BTreeMap::new();
    for folder in folders.into_iter().flatten() {
        let path = folder.join("recc.conf");
        if let Ok(text) = std::fs::read_to_string(&path) {
            settings.extend(parse(&text, &path)?);
        }
    }
    settings.extend(variables.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix("RECC_")?;
        Some((name.to_owned(), value.clone()))
    }));
    Ok(settings)
}

fn parse(text: &str, path: &Path) -> Result<Vec<(String, String)>, Failure> {
    let lines = text.lines().enumerate();
    let lines = lines.map(|(index, line)| (index + 1, line.trim()));
    let settings = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let parsed = settings.map(|(number, line)| {
        let (name, value) = line.split_once('=').ok_or_else(|| {
            Failure::Usage(format!("{}:{number}: expected name=value", path.display()))
        })?;
        Ok((canonical(name.trim()), value.trim().to_owned()))
    });
    parsed.collect()
}

/// The name as the variable has it, without `RECC_`. What a platform property or variable is called
/// keeps its case.
fn canonical(name: &str) -> String {
    const OWN_NAMES: &[&str] = &[
        "COMPILE_REMOTE_PLATFORM_",
        "LINK_REMOTE_PLATFORM_",
        "REMOTE_PLATFORM_",
        "REMOTE_ENV_",
    ];
    let upper = name.to_ascii_uppercase();
    let prefixed = upper.starts_with("RECC_");
    let (name, upper) = if prefixed {
        (&name[5..], &upper[5..])
    } else {
        (name, &upper[..])
    };
    match OWN_NAMES.iter().find(|own| upper.starts_with(**own)) {
        Some(own) => format!("{own}{}", &name[own.len()..]),
        None => upper.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_settings() {
        let text = "# a comment\n\nserver = unix:/tmp/x\nRECC_LINK=1\nremote_platform_OSFamily=linux\nverbose=\n";
        let expected = [
            ("SERVER", "unix:/tmp/x"),
            ("LINK", "1"),
            ("REMOTE_PLATFORM_OSFamily", "linux"),
            ("VERBOSE", ""),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(parse(text, Path::new("x")).unwrap(), expected);
        let error = parse("server\n", Path::new("x")).unwrap_err();
        assert_eq!(error.to_string(), "x:1: expected name=value");
    }
}
