//! One process that hosts plugins, and the lines that are exchanged with it.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::pin::pin;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use headstart_project::PluginError;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::hosts::Settings;
use crate::python;

/// The modules of the host, in the order in which they need each other.
const MODULES: [(&str, &str); 10] = [
    ("channel", include_str!("host/channel.py")),
    ("nodes", include_str!("host/nodes.py")),
    ("variables", include_str!("host/variables.py")),
    ("stand_ins", include_str!("host/stand_ins.py")),
    ("plugins", include_str!("host/plugins.py")),
    ("sources", include_str!("host/sources.py")),
    ("elements", include_str!("host/elements.py")),
    ("cas", include_str!("host/cas.py")),
    ("build", include_str!("host/build.py")),
    ("main", include_str!("host/main.py")),
];

/// How many of the last lines that a host has said are told when it ends.
const LAST_LINES: usize = 12;

/// A process that hosts plugins. It ends when this is dropped.
pub(crate) struct Host {
    child: Child,
    input: ChildStdin,
    lines: UnboundedReceiver<Value>,
    /// What it has said on its standard error last.
    last: Arc<Mutex<VecDeque<String>>>,
    /// Its own folder.
    _temporary: TempDir,
}

impl Host {
    /// Starts a process; waits for nothing.
    pub(crate) fn start(settings: &Settings) -> Result<Self, PluginError> {
        let python = python::find(settings.python.as_deref());
        let modules = serde_json::to_string(&MODULES).unwrap_or_default();
        let mut command = Command::new(&python);
        command
            .args(["-c", include_str!("host/boot.py"), &modules])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let spawned = command.spawn();
        let mut child =
            spawned.map_err(|error| PluginError::new(format!("{}: {error}", python.display())))?;
        let temporary = temporary(&settings.temporary)?;
        let (Some(input), Some(output), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(PluginError::new("a process has no input or output"));
        };
        let (sender, lines) = unbounded_channel();
        thread::spawn(move || read_lines(output, &sender));
        let last = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&last);
        thread::spawn(move || keep_last(errors, &kept));
        let mut host = Self {
            child,
            input,
            lines,
            last,
            _temporary: temporary,
        };
        host.send(&json!({
            "store": settings.store,
            "temporary": host._temporary.path(),
            "source-directory": settings.source_directory,
        }))?;
        Ok(host)
    }

    /// Sends a line.
    pub(crate) fn send(&mut self, value: &Value) -> Result<(), PluginError> {
        let mut line = value.to_string();
        line.push('\n');
        let written = self.input.write_all(line.as_bytes());
        written.map_err(|_| self.ended())
    }

    /// Waits for the next line.
    pub(crate) async fn receive(&mut self) -> Result<Value, PluginError> {
        let line = self.lines.recv().await;
        line.ok_or_else(|| self.ended())
    }

    /// The same, in a thread that may be kept waiting.
    pub(crate) fn receive_blocking(&mut self) -> Result<Value, PluginError> {
        let line = wait(self.lines.recv());
        line.ok_or_else(|| self.ended())
    }

    /// What is said of a host that has ended by itself.
    fn ended(&mut self) -> PluginError {
        let how = match self.child.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let said: Vec<&str> = last.iter().map(String::as_str).collect();
        PluginError::new(format!(
            "the process that hosts plugins has ended ({how})\n{}",
            said.join("\n")
        ))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Whatever a plugin is in the middle of is not wanted any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits in this thread, whatever it belongs to: the other end is never one of its tasks.
fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// What to do where there is no BuildStream.
pub(crate) fn advice() -> String {
    format!(
        "plugins that are not built in are run by BuildStream itself: install it, with what the \
         plugin needs (`pipx install BuildStream`), so that `bst` is found on PATH, or name the \
         Python that has it by {}, or by `plugins: {{python: PATH}}` in headstart.conf",
        python::VARIABLE
    )
}

fn temporary(folder: &Path) -> Result<TempDir, PluginError> {
    let failed = |error| PluginError::new(format!("{}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix("headstart-plugins-");
    builder.tempdir_in(folder).map_err(failed)
}

fn read_lines(output: ChildStdout, sender: &UnboundedSender<Value>) {
    for line in BufReader::new(output).lines() {
        // What is no line of the protocol ends the conversation.
        let Some(value) = line.ok().and_then(|line| serde_json::from_str(&line).ok()) else {
            return;
        };
        if sender.send(value).is_err() {
            return;
        }
    }
}

fn keep_last(errors: ChildStderr, last: &Mutex<VecDeque<String>>) {
    let lines = BufReader::new(errors).split(b'\n').map_while(Result::ok);
    for line in lines {
        let line = String::from_utf8_lossy(&line).into_owned();
        tracing::info!(target: "plugin", "{line}");
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        last.push_back(line);
        if last.len() > LAST_LINES {
            last.pop_front();
        }
    }
}
