//! A terminal with somebody at it.

use std::process::{Command, Output};

use super::buildstream::python;

/// Runs a script of sh at a terminal of its own, and each time that something has been said types
/// what is given for that, in order. The script has the environment and the folder of `like`.
pub(crate) fn at_terminal(like: &Command, script: &str, steps: &[(&str, &str)]) -> Output {
    let mut terminal = Command::new(python());
    let steps = serde_json::to_string(steps).unwrap();
    terminal.args(["-c", PROGRAM, script, &steps]).env_clear();
    terminal.envs(
        like.get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    terminal.current_dir(like.get_current_dir().unwrap());
    terminal.output().unwrap()
}

/// A command as sh reads it.
pub(crate) fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| format!("'{}'", word.to_string_lossy()));
    words.collect::<Vec<_>>().join(" ")
}

const PROGRAM: &str = r"
import json, os, pty, select, sys, time
script, steps = sys.argv[1], json.loads(sys.argv[2])
child, terminal = pty.fork()
if child == 0:
    os.execvp('sh', ['sh', '-c', script])
seen, begun = b'', time.monotonic()
while True:
    if time.monotonic() - begun > 120:
        print('nobody said', steps)
        os.kill(child, 9)
        break
    if not select.select([terminal], [], [], 1)[0]:
        continue
    try:
        text = os.read(terminal, 65536)
    except OSError:
        break
    os.write(1, text)
    seen += text
    while steps and steps[0][0].encode() in seen:
        said, typed = steps.pop(0)
        seen = seen.split(said.encode(), 1)[1]
        os.write(terminal, typed.encode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
";
