//! `headstart init`: a new project.

use std::fs;
use std::io::{self, BufRead, IsTerminal as _, Write as _};
use std::path::Path;

use crate::arguments::{InitArguments, MainOptions};
use crate::error::{Failure, io as io_failure};

/// The version of BuildStream whose projects are built.
pub(crate) const MIN_VERSION: &str = "2.8";

/// What a project is begun with.
#[derive(Debug, PartialEq)]
struct Parameters {
    name: String,
    min_version: String,
    element_path: String,
}

pub(crate) fn run(main: &MainOptions, arguments: &InitArguments) -> Result<(), Failure> {
    if main.directory.is_some() {
        return Err(Failure::usage(
            "--directory does not go with init: name the directory behind it",
        )
        .because("init-with-set-directory"));
    }
    let directory = arguments.directory.as_deref().unwrap_or(Path::new("."));
    let conf = directory.join("project.conf");
    if conf.exists() && !arguments.force {
        let text = format!("{} exists: --force replaces it", conf.display());
        return Err(Failure::new(text).because("project-exists"));
    }
    let given = Parameters {
        name: arguments.project_name.clone().unwrap_or_default(),
        min_version: arguments.min_version.clone(),
        element_path: arguments.element_path.clone(),
    };
    let parameters = match &arguments.project_name {
        Some(_) => given.checked()?,
        None if main.no_interactive || !io::stdin().is_terminal() => {
            let text = "a new project needs a name: --project-name gives it one";
            return Err(Failure::new(text).because("unspecified-project-name"));
        }
        None => asked(&given, &mut io::stdin().lock())?,
    };
    let elements = directory.join(&parameters.element_path);
    fs::create_dir_all(&elements).map_err(|error| io_failure(&elements, &error))?;
    fs::write(&conf, parameters.conf()).map_err(|error| io_failure(&conf, &error))?;
    eprintln!("created {}", conf.display());
    Ok(())
}

impl Parameters {
    /// The same if a project may have them.
    fn checked(self) -> Result<Self, Failure> {
        check_name(&self.name).map_err(refused("invalid-project-name"))?;
        check_version(&self.min_version).map_err(refused("invalid-min-version"))?;
        check_path(&self.element_path).map_err(refused("invalid-element-path"))?;
        Ok(self)
    }

    fn conf(&self) -> String {
        let Self {
            name,
            min_version,
            element_path,
        } = self;
        let [name, element_path] = [name, element_path].map(|text| headstart_yaml::quoted(text));
        format!(
            "# What the project is called, also in caches that it shares with others\nname: {name}\n\n\
             # The version of BuildStream that its format needs at least\nmin-version: {min_version}\n\n\
             # Where its elements are\nelement-path: {element_path}\n"
        )
    }
}

fn refused(reason: &'static str) -> impl Fn(String) -> Failure {
    move |text| Failure::new(text).because(reason)
}

/// A name has letters, digits, `-` and `_`, and begins with no digit.
fn check_name(name: &str) -> Result<(), String> {
    match headstart_project::is_symbol(name, true) {
        true => Ok(()),
        false => Err(format!(
            "{name:?} can't be a project's name: expected letters, digits, '-' and '_', no digit first"
        )),
    }
}

/// The version is one of BuildStream 2, and none that is not known yet.
fn check_version(version: &str) -> Result<(), String> {
    let parse = |text: &str| {
        let (major, minor) = text.split_once('.')?;
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    };
    let newest = parse(MIN_VERSION);
    match parse(version) {
        Some(wanted) if wanted.0 == 2 && Some(wanted) <= newest => Ok(()),
        _ => Err(format!(
            "{version:?} can't be a min-version: expected 2.0 to {MIN_VERSION}"
        )),
    }
}

/// The path leads to where the project is, or below it.
fn check_path(path: &str) -> Result<(), String> {
    let mut parts = Path::new(path).components();
    let is_below = |part| {
        matches!(
            part,
            std::path::Component::Normal(_) | std::path::Component::CurDir
        )
    };
    match !path.is_empty() && parts.all(is_below) {
        true => Ok(()),
        false => Err(format!(
            "{path:?} can't be where elements are: expected a path below the project's directory"
        )),
    }
}

/// Asks for each of the parameters until it is one that a project may have.
fn asked(given: &Parameters, answers: &mut dyn BufRead) -> Result<Parameters, Failure> {
    let mut ask = |what: &str, default: &str, check: fn(&str) -> Result<(), String>| loop {
        match default {
            "" => eprint!("{what}: "),
            default => eprint!("{what} [{default}]: "),
        }
        let _ = io::stderr().flush();
        let mut line = String::new();
        let read = answers.read_line(&mut line);
        if !matches!(read, Ok(1..)) {
            return Err(Failure::new("no more answers: nothing was created"));
        }
        let answer = match line.trim() {
            "" => default,
            answer => answer,
        };
        match check(answer) {
            Ok(()) => return Ok(answer.to_owned()),
            Err(text) => eprintln!("{text}"),
        }
    };
    Ok(Parameters {
        name: ask("project name", &given.name, check_name)?,
        min_version: ask("minimal version", &given.min_version, check_version)?,
        element_path: ask("element path", &given.element_path, check_path)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_asked_until_the_answers_can_be_used() {
        let given = Parameters {
            name: String::new(),
            min_version: "2.8".to_owned(),
            element_path: "elements".to_owned(),
        };
        let answers = "\n1st\nfirst\n3.0\n2.4\n../up\n\n";
        let parameters = asked(&given, &mut answers.as_bytes()).unwrap();
        let expected = Parameters {
            name: "first".to_owned(),
            min_version: "2.4".to_owned(),
            element_path: "elements".to_owned(),
        };
        assert_eq!(parameters, expected);
        assert!(asked(&given, &mut "first\n".as_bytes()).is_err());
    }
}
