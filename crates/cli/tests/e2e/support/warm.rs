//! BuildStream run in processes that have loaded its modules already, which is most of what a short
//! command takes; see `warm.py`.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::{Mutex, OnceLock};

use serde_json::{Map, Value, json};

use super::buildstream::python;

/// The process that others are forked from. It ends when its input does: with the tests, however they end.
struct Parent {
    process: Child,
    answers: BufReader<ChildStdout>,
}

/// What a command says and comes to, as `Command::output` tells it. One of `bst` has the environment that is set of
/// it, and no other.
pub(crate) fn output(command: &mut Command) -> Output {
    match is_bst(command) {
        true => in_child(command, ""),
        false => command.output().unwrap(),
    }
}

/// The same of a command that is given an input.
pub(crate) fn output_with(command: &mut Command, input: &str) -> Output {
    match is_bst(command) {
        true => in_child(command, input),
        false => command.stdin(holding(input)).output().unwrap(),
    }
}

fn is_bst(command: &Command) -> bool {
    std::env::var_os("HEADSTART_BST").as_deref() == Some(command.get_program())
}

fn in_child(command: &Command, input: &str) -> Output {
    static PARENT: OnceLock<Mutex<Parent>> = OnceLock::new();
    let parent = PARENT.get_or_init(|| Mutex::new(Parent::start()));
    let streams = [input, "", ""].map(holding);
    let status = parent.lock().unwrap().run(command, &streams);
    let [_, stdout, stderr] = streams.map(written);
    Output {
        status,
        stdout,
        stderr,
    }
}

/// A file without a name.
fn holding(text: &str) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.rewind().unwrap();
    file
}

impl Parent {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/support/warm.py");
        let mut process = Command::new(python())
            .env_clear()
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Self { process, answers }
    }

    fn run(&mut self, command: &Command, streams: &[File; 3]) -> ExitStatus {
        let text = |text: &std::ffi::OsStr| text.to_str().unwrap().to_owned();
        let environment = command.get_envs();
        let environment: Map<String, Value> = environment
            .filter_map(|(name, value)| Some((text(name), text(value?).into())))
            .collect();
        // They have no names, but here.
        let own = std::process::id();
        let streams = streams
            .each_ref()
            .map(|file| format!("/proc/{own}/fd/{}", file.as_raw_fd()));
        let request = json!({
            "program": text(command.get_program()),
            "arguments": command.get_args().map(text).collect::<Vec<_>>(),
            "environment": environment,
            "directory": command.get_current_dir().unwrap(),
            "streams": streams,
        });
        writeln!(self.process.stdin.as_mut().unwrap(), "{request}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        ExitStatus::from_raw(answer.trim_end().parse().unwrap())
    }
}

fn written(mut file: File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}
