//! Which Python has the user's BuildStream.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

/// Names the Python that has BuildStream, where it is none of those that are looked for.
pub(crate) const VARIABLE: &str = "HEADSTART_PYTHON";

/// The Python to host plugins: the one that is named by the variable, or by the user's configuration; else that of the `bst` that is found first;
/// else whatever is called `python3`.
pub(crate) fn find(configured: Option<&Path>) -> PathBuf {
    if let Some(named) = env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
        return named.into();
    }
    if let Some(configured) = configured {
        return configured.to_owned();
    }
    let of_bst = find_program("bst").and_then(|bst| interpreter(&bst));
    of_bst.unwrap_or_else(|| "python3".into())
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

/// The Python that a script is run by: the one in its first line, unless that is too long for a
/// kernel, when pip lets a shell start it from the second.
fn interpreter(script: &Path) -> Option<PathBuf> {
    let mut lines = BufReader::new(fs::File::open(script).ok()?).lines();
    let mut next = || lines.next()?.ok();
    let first = next()?;
    let mut words = first.strip_prefix("#!")?.split_whitespace();
    let program = Path::new(words.next()?);
    match program.file_name()?.to_str()? {
        "env" => find_program(words.next()?),
        "sh" => {
            let second = next()?;
            let command = second.strip_prefix("'''exec' ")?.trim_start();
            let python = match command.strip_prefix('"') {
                Some(quoted) => quoted.split('"').next()?,
                None => command.split_whitespace().next()?,
            };
            Some(python.into())
        }
        _ => Some(program.to_owned()),
    }
    .filter(|python| python.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_name_their_python_in_several_ways() {
        let folder = tempfile::tempdir().unwrap();
        let python = folder.path().join("with space/python3");
        fs::create_dir_all(python.parent().unwrap()).unwrap();
        fs::write(&python, "").unwrap();
        let plain = folder.path().join("python");
        fs::write(&plain, "").unwrap();
        let script = folder.path().join("bst");
        let of = |text: String| {
            fs::write(&script, text).unwrap();
            interpreter(&script)
        };
        assert_eq!(
            of(format!("#!{}\nimport sys\n", plain.display())),
            Some(plain)
        );
        let long = format!(
            "#!/bin/sh\n'''exec' \"{}\" \"$0\" \"$@\"\n' '''\n",
            python.display()
        );
        assert_eq!(of(long), Some(python));
        assert_eq!(of("#!/bin/sh\nexec something\n".to_owned()), None);
        assert_eq!(of("#!/nowhere/python\n".to_owned()), None);
        assert_eq!(of(String::new()), None);
    }
}
