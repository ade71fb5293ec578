//! Several commands as one shell script, and so as one action.
//!
//! The text is that of BuildStream's `_SandboxREAPIBatch`, to the byte: it is part of the action's
//! digest.

use std::fmt::Write;

use indexmap::IndexMap;

/// The environment of a command, in the order in which it is given to the action.
pub(crate) type Environment = IndexMap<String, String>;

/// A command of a batch.
#[derive(Debug, Clone)]
pub(crate) struct BatchCommand {
    pub(crate) arguments: Vec<String>,
    pub(crate) directory: String,
    pub(crate) environment: Environment,
    /// What is said of it if it fails; if that is empty, its arguments are.
    pub(crate) label: String,
}

/// A step of a batch.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A command.
    Run(BatchCommand),
    /// An empty file is made where the last command has started.
    Touch(&'static str),
}

/// A batch: its script, and where and how it starts.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) script: String,
    pub(crate) directory: String,
    pub(crate) environment: Environment,
}

/// The batch of `steps`, after which the directory `clean` is removed; `None` if there is nothing to
/// run.
pub(crate) fn batch(steps: &[Step], clean: Option<&str>) -> Option<Batch> {
    let first = steps.iter().find_map(|step| match step {
        Step::Run(command) => Some(command),
        Step::Touch(_) => None,
    })?;
    let mut script = String::new();
    let mut previous = first;
    for step in steps {
        let command = match step {
            Step::Run(command) => command,
            Step::Touch(name) => {
                let _ = writeln!(script, "touch -- {}", quote(name));
                continue;
            }
        };
        change_surroundings(&mut script, previous, command);
        let words: Vec<String> = command.arguments.iter().map(|word| quote(word)).collect();
        let line = words.join(" ");
        let label = match command.label.is_empty() {
            true => &line,
            false => &command.label,
        };
        let label = quote(&format!("'{label}'"));
        // Writing to a string can't fail.
        let _ = write!(script, "(set -ex; {line})");
        let _ = writeln!(
            script,
            " || (echo Command {label} failed with exitcode $? >&2 ; exit 1)"
        );
        previous = command;
    }
    if let Some(directory) = clean {
        let _ = writeln!(script, "rm -rf -- {} || true", quote(directory));
        let _ = writeln!(script, "mkdir -p {} || true", quote(&first.directory));
    }
    Some(Batch {
        script,
        directory: first.directory.clone(),
        environment: first.environment.clone(),
    })
}

fn change_surroundings(script: &mut String, previous: &BatchCommand, next: &BatchCommand) {
    if previous.directory != next.directory {
        let _ = writeln!(script, "mkdir -p {}", next.directory);
        let _ = writeln!(script, "cd {}", next.directory);
    }
    for name in previous.environment.keys() {
        if !next.environment.contains_key(name) {
            let _ = writeln!(script, "unset {name}");
        }
    }
    for (name, value) in &next.environment {
        if previous.environment.get(name) != Some(value) {
            let _ = writeln!(script, "export {name}={}", quote(value));
        }
    }
}

/// A word as Python's `shlex.quote` writes it.
pub(crate) fn quote(word: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !word.is_empty() && word.chars().all(safe) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\"'\"'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str], directory: &str, environment: &[(&str, &str)]) -> BatchCommand {
        BatchCommand {
            arguments: words.iter().map(|word| (*word).to_owned()).collect(),
            directory: directory.to_owned(),
            environment: environment
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            label: words.last().unwrap_or(&"").trim_end().to_owned(),
        }
    }

    #[test]
    fn a_script_says_what_changes_between_commands() {
        let commands = [
            Step::Run(command(
                &["sh", "-c", "-e", "echo it's\n"],
                "/a",
                &[("X", "1"), ("Y", "2")],
            )),
            Step::Touch(".made"),
            Step::Run(command(&["true"], "/b", &[("X", "a b")])),
        ];
        let batch = batch(&commands, Some("/build/x")).unwrap();
        assert_eq!(batch.directory, "/a");
        assert_eq!(
            batch.script,
            "(set -ex; sh -c -e 'echo it'\"'\"'s\n') || (echo Command ''\"'\"'echo it'\"'\"'s'\"'\"'' \
             failed with exitcode $? >&2 ; exit 1)\n\
             touch -- .made\nmkdir -p /b\ncd /b\nunset Y\nexport X='a b'\n\
             (set -ex; true) || (echo Command ''\"'\"'true'\"'\"'' failed with exitcode $? >&2 ; exit 1)\n\
             rm -rf -- /build/x || true\nmkdir -p /a || true\n"
        );
    }

    #[test]
    fn nothing_to_run_is_no_batch() {
        assert!(batch(&[Step::Touch("x")], Some("/x")).is_none());
    }
}
