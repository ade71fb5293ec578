//! All hosts of a session: those that have nothing to do, and new ones when all have.

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use headstart_project::PluginError;
use serde_json::Value;

use crate::conversation::{Conversation, Said, failure};
use crate::host::{Host, advice};

/// What hosts work with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory of the top-level project.
    pub root: PathBuf,
    /// The directory with the contents: `cas` in the cache directory.
    pub store: PathBuf,
    /// Where they may have folders of their own; on the file system of the store.
    pub temporary: PathBuf,
    /// Where downloads of sources are kept.
    pub source_directory: PathBuf,
    /// The Python that has BuildStream, if somebody names it.
    pub python: Option<PathBuf>,
}

/// Whoever knows what a host asks for in the middle of a request.
pub trait Answers {
    /// The answer, or why there is none.
    fn answer(&mut self, what: &str, asked: &Value) -> Result<Value, String>;
}

/// Hosts of plugins.
pub struct Hosts {
    settings: Settings,
    /// Whether there can be any, once somebody has asked.
    possible: OnceLock<Result<(), PluginError>>,
    /// The first, if it was started before it was needed.
    expected: OnceLock<Mutex<Option<Host>>>,
    idle: Mutex<Vec<Host>>,
}

impl Hosts {
    /// Hosts, none of which is started before it is needed or expected to be.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            possible: OnceLock::new(),
            expected: OnceLock::new(),
            idle: Mutex::default(),
        }
    }

    /// Starts the first host and waits for nothing: that takes it longer than loading a project, which can go
    /// on meanwhile. If there can be none, that is told when one is needed.
    pub fn expect(&self) {
        if self.possible.get().is_none() {
            self.expected
                .get_or_init(|| Mutex::new(Host::start(&self.settings).ok()));
        }
    }

    /// Makes sure that there can be hosts; if not, the error says what to install.
    pub fn available(&self) -> Result<&Self, PluginError> {
        let possible = self.possible.get_or_init(|| {
            self.give_back(self.start()?);
            Ok(())
        });
        possible.clone().map(|()| self)
    }

    /// What they work with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    fn start(&self) -> Result<Host, PluginError> {
        let expected = self.expected.get().and_then(|host| {
            let mut host = host.lock().unwrap_or_else(PoisonError::into_inner);
            host.take()
        });
        let mut host = match expected {
            Some(host) => host,
            None => Host::start(&self.settings).map_err(with_advice)?,
        };
        let ready = host.receive_blocking();
        check(&ready.map_err(with_advice)?)?;
        Ok(host)
    }

    pub(crate) fn give_back(&self, host: Host) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(host);
    }

    fn idle(&self) -> Option<Host> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop()
    }

    /// Begins a request.
    pub async fn begin(&self, request: &Value) -> Result<Conversation<'_>, PluginError> {
        let host = match self.idle() {
            Some(host) => host,
            None => {
                let mut host = Host::start(&self.settings).map_err(with_advice)?;
                let ready = host.receive().await;
                check(&ready.map_err(with_advice)?)?;
                host
            }
        };
        Conversation::begin(self, host, request)
    }

    /// Makes a request and waits for what comes of it, in a thread that may be kept waiting.
    pub fn request(
        &self,
        request: &Value,
        answers: &mut dyn Answers,
    ) -> Result<Value, PluginError> {
        let host = match self.idle() {
            Some(host) => host,
            None => self.start()?,
        };
        let mut conversation = Conversation::begin(self, host, request)?;
        loop {
            match conversation.next_blocking()? {
                Said::Done(done) => return Ok(done),
                Said::Asked(what, asked) => {
                    let answer = answers.answer(&what, &asked);
                    conversation.answer(answer)?;
                }
                Said::Noted(what, told) if what == "warning" => {
                    let text = told.get("text").and_then(Value::as_str);
                    tracing::warn!("{}", crate::wire::placed(text.unwrap_or_default()));
                }
                Said::Noted(..) => {}
            }
        }
    }
}

/// Makes sure that a host has begun well.
fn check(ready: &Value) -> Result<(), PluginError> {
    match ready.get("failed") {
        Some(failed) => Err(with_advice(failure(failed))),
        None => Ok(()),
    }
}

fn with_advice(error: PluginError) -> PluginError {
    PluginError {
        message: format!("{}; {}", error.message.trim_end(), advice()),
        ..error
    }
}

/// Knows nothing.
pub(crate) struct Silent;

impl Answers for Silent {
    fn answer(&mut self, what: &str, _: &Value) -> Result<Value, String> {
        Err(unknown(what))
    }
}

/// What is said where something is asked for that makes no sense there.
pub fn unknown(what: &str) -> String {
    format!("'{what}' can't be asked for now")
}
