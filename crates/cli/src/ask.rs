//! Asking what to do about an element that failed.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use headstart_session::{Ask, Decision, FailedElement, Loaded, Session, ShellRequest, ShellScene};

use crate::screen::Screen;
use crate::terminal;

/// Asks at this process's terminal.
pub(crate) struct Asker {
    session: Arc<Session>,
    loaded: Arc<Loaded>,
    screen: Arc<Screen>,
    /// Whether the end was decided: nothing is asked any more. One question is asked at a time.
    over: Mutex<bool>,
}

impl std::fmt::Debug for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Asker")
    }
}

/// What may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Decided(Decision),
    Log,
    Shell,
}

/// The answers, each meant by any beginning of its name.
const ANSWERS: [(&str, Answer, &str); 6] = [
    (
        "continue",
        Answer::Decided(Decision::Continue),
        "build everything that does not need it",
    ),
    (
        "quit",
        Answer::Decided(Decision::Quit),
        "let running jobs end, start no others",
    ),
    (
        "terminate",
        Answer::Decided(Decision::Terminate),
        "end running jobs too",
    ),
    ("retry", Answer::Decided(Decision::Retry), "try it again"),
    ("log", Answer::Log, "look at its log"),
    ("shell", Answer::Shell, "look at what its build has left"),
];

/// Whether there is somebody to ask.
pub(crate) fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

impl Asker {
    pub(crate) fn new(session: &Arc<Session>, loaded: &Arc<Loaded>, screen: &Arc<Screen>) -> Self {
        Self {
            session: Arc::clone(session),
            loaded: Arc::clone(loaded),
            screen: Arc::clone(screen),
            over: Mutex::new(false),
        }
    }

    fn ask(&self, failed: &FailedElement) -> Decision {
        loop {
            eprintln!("\n{} failed: {}", failed.name, failed.error);
            for (name, answer, meaning) in ANSWERS {
                if answer != Answer::Log && answer != Answer::Shell || failed.log.is_some() {
                    eprintln!(
                        "  {:10} {meaning}",
                        format!("({}){}", &name[..1], &name[1..])
                    );
                }
            }
            eprint!("Choice [continue]: ");
            let _ = io::stderr().flush();
            let mut line = String::new();
            match io::stdin().lock().read_line(&mut line) {
                // Nobody is there any more.
                Ok(0) | Err(_) => return Decision::Terminate,
                Ok(_) => {}
            }
            match (answer(line.trim()), &failed.log) {
                (Some(Answer::Decided(decision)), _) => return decision,
                (Some(Answer::Log), Some(log)) => show_log(log),
                (Some(Answer::Shell), Some(_)) => self.shell(failed),
                _ => eprintln!("that is none of them"),
            }
        }
    }

    fn shell(&self, failed: &FailedElement) {
        let request = ShellRequest {
            scene: ShellScene::Left,
            command: Vec::new(),
            isolated: true,
            mounts: Vec::new(),
        };
        let ran = terminal::lend(|cancel| {
            self.session
                .shell(&self.loaded, failed.id, &request, cancel)
        });
        match ran {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => eprintln!("there can be no shell: {error}"),
            Err(failure) => anstream::eprintln!("{failure}"),
        }
    }
}

impl Ask for Asker {
    fn decide(&self, failed: &FailedElement) -> Decision {
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        if *over {
            return Decision::Continue;
        }
        let held = self.screen.hold();
        let decision = self.ask(failed);
        drop(held);
        *over = matches!(decision, Decision::Quit | Decision::Terminate);
        decision
    }
}

/// The answer that is meant; nothing is the first.
fn answer(text: &str) -> Option<Answer> {
    let mut meant = ANSWERS.iter().filter(|(name, ..)| name.starts_with(text));
    meant.next().map(|(_, answer, _)| *answer)
}

fn show_log(log: &Path) {
    let pager = std::env::var("PAGER").unwrap_or_else(|_| "less".to_owned());
    let shown = Command::new("sh")
        .args(["-c", &format!("{pager} \"$1\""), "pager"])
        .arg(log)
        .status();
    if !shown.is_ok_and(|status| status.success()) {
        let text = std::fs::read(log).unwrap_or_default();
        eprintln!("{}", String::from_utf8_lossy(&text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_of_answers_are_enough() {
        for (text, expected) in [
            ("", Some(Answer::Decided(Decision::Continue))),
            ("t", Some(Answer::Decided(Decision::Terminate))),
            ("retry", Some(Answer::Decided(Decision::Retry))),
            ("sh", Some(Answer::Shell)),
            ("never", None),
            ("retry it", None),
        ] {
            assert_eq!(answer(text), expected, "{text:?}");
        }
    }
}
