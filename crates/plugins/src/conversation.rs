//! One request, from what is asked to what comes of it.

use headstart_project::PluginError;
use serde_json::{Value, json};

use crate::host::Host;
use crate::hosts::Hosts;
use crate::wire::placed;

/// What a host says.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// It asks for something, and waits for the answer.
    Asked(String, Value),
    /// It tells something.
    Noted(String, Value),
    /// It is done.
    Done(Value),
}

/// A request that a host works at. If this is dropped before the end, so is the host.
pub struct Conversation<'a> {
    hosts: &'a Hosts,
    host: Option<Host>,
}

impl<'a> Conversation<'a> {
    pub(crate) fn begin(
        hosts: &'a Hosts,
        mut host: Host,
        request: &Value,
    ) -> Result<Self, PluginError> {
        host.send(request)?;
        let host = Some(host);
        Ok(Self { hosts, host })
    }

    /// What it says next. After the end there is nothing more.
    pub async fn next(&mut self) -> Result<Said, PluginError> {
        let host = self.host.as_mut().ok_or_else(over)?;
        let line = host.receive().await?;
        self.understand(line)
    }

    /// The same, in a thread that may be kept waiting.
    pub fn next_blocking(&mut self) -> Result<Said, PluginError> {
        let host = self.host.as_mut().ok_or_else(over)?;
        let line = host.receive_blocking()?;
        self.understand(line)
    }

    /// Gives it what it has asked for, or says why it can't be had.
    pub fn answer(&mut self, answer: Result<Value, String>) -> Result<(), PluginError> {
        let host = self.host.as_mut().ok_or_else(over)?;
        host.send(&match answer {
            Ok(answer) => json!({ "answer": answer }),
            Err(reason) => json!({ "refused": reason }),
        })
    }

    fn understand(&mut self, mut line: Value) -> Result<Said, PluginError> {
        let mut take = |key| line.get_mut(key).map(Value::take);
        if let Some(done) = take("done") {
            self.give_back();
            return Ok(Said::Done(done));
        }
        if let Some(failed) = take("failed") {
            self.give_back();
            return Err(failure(&failed));
        }
        let name = |name: Value| name.as_str().unwrap_or_default().to_owned();
        if let Some(asked) = take("ask") {
            return Ok(Said::Asked(name(asked), line));
        }
        match take("note") {
            Some(noted) => Ok(Said::Noted(name(noted), line)),
            None => Err(PluginError::new(format!(
                "the host says what it can't: {line}"
            ))),
        }
    }

    fn give_back(&mut self) {
        if let Some(host) = self.host.take() {
            self.hosts.give_back(host);
        }
    }
}

fn over() -> PluginError {
    PluginError::new("the request is over")
}

/// What a host failed by.
pub(crate) fn failure(failed: &Value) -> PluginError {
    let text = |key: &str| failed.get(key).and_then(Value::as_str).map(str::to_owned);
    PluginError {
        message: placed(&text("message").unwrap_or_default()),
        domain: text("domain"),
        reason: text("reason"),
    }
}
