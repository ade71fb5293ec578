//! Programs of others that this one stands in for.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

/// A program with a command line of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    Casd,
    Runner,
}

/// What this process was started as.
pub(crate) struct Role {
    program: Program,
    /// Beginning with the program's name.
    arguments: Vec<OsString>,
}

/// Whether this process was started as another program: by the name of a link, or by a command.
pub(crate) fn role() -> Option<Role> {
    read(std::env::args_os().collect())
}

fn read(mut arguments: Vec<OsString>) -> Option<Role> {
    let name = arguments
        .first()
        .and_then(|program| Path::new(program).file_name())
        .and_then(OsStr::to_str)?;
    let program = match name {
        "buildbox-casd" => Program::Casd,
        // Links that say how it runs commands are known to its users too.
        "buildbox-run" | "buildbox-run-bubblewrap" => Program::Runner,
        _ => {
            let program = match arguments.get(1).and_then(|argument| argument.to_str()) {
                Some("casd") => Program::Casd,
                Some("runner") => Program::Runner,
                _ => return None,
            };
            arguments.remove(0);
            program
        }
    };
    Some(Role { program, arguments })
}

impl Role {
    pub(crate) fn run(self) -> ExitCode {
        match self.program {
            Program::Casd => crate::casd::run(self.arguments),
            Program::Runner => crate::runner::run(self.arguments),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_commands_say_what_it_is() {
        let check = |line: &str, expected: Option<(Program, usize)>| {
            let arguments = line.split(' ').map(OsString::from).collect();
            let role = read(arguments).map(|role| (role.program, role.arguments.len()));
            assert_eq!(role, expected, "{line}");
        };
        check(
            "/usr/bin/buildbox-casd --version /",
            Some((Program::Casd, 3)),
        );
        check("buildbox-run --capabilities", Some((Program::Runner, 2)));
        check("headstart casd --bind=unix:s c", Some((Program::Casd, 3)));
        check("headstart runner", Some((Program::Runner, 1)));
        check("headstart build casd", None);
        check("headstart", None);
    }
}
