//! Which failures may pass, and how long to wait for that.

use std::error::Error;
use std::time::Duration;

use tonic::{Code, Status};

use crate::channel::chain;
use crate::error::RemoteError;
use crate::settings::RemoteSettings;

/// The longest wait between two attempts.
const LONGEST: Duration = Duration::from_secs(15);

/// The attempts at one call.
pub(crate) struct Attempts<'a> {
    settings: &'a RemoteSettings,
    call: &'static str,
    failed: u32,
}

impl<'a> Attempts<'a> {
    pub(crate) fn new(settings: &'a RemoteSettings, call: &'static str) -> Self {
        Self {
            settings,
            call,
            failed: 0,
        }
    }

    /// The last attempt got somewhere: what failed before is forgotten.
    pub(crate) fn progressed(&mut self) {
        self.failed = 0;
    }

    /// An attempt failed. Waits until the next one is due; gives the error if there is none.
    pub(crate) async fn failed(&mut self, status: &Status) -> Result<(), RemoteError> {
        self.failed += 1;
        if !may_pass(status) || self.failed > self.settings.retries {
            return Err(self.error(status));
        }
        let doubled = 1u32 << (self.failed - 1).min(16);
        let delay = self
            .settings
            .retry_delay
            .saturating_mul(doubled)
            .min(LONGEST);
        // Many clients that were refused at the same moment must not come back at the same moment.
        let share = f64::from(fresh() as u32) / f64::from(u32::MAX);
        let delay = delay.mul_f64(0.75 + 0.5 * share);
        tracing::debug!(
            url = self.settings.url,
            call = self.call,
            status = status.message(),
            ?delay,
            "a call failed and is tried again"
        );
        tokio::time::sleep(delay).await;
        Ok(())
    }

    /// The error for a failure.
    pub(crate) fn error(&self, status: &Status) -> RemoteError {
        let mut message = match status.source() {
            // The transport says little itself.
            Some(source) => in_known_words(format!("{}: {}", status.message(), chain(source))),
            None => status.message().to_owned(),
        };
        if message.is_empty() {
            message.push_str("the server says no more");
        }
        RemoteError::Call {
            url: self.settings.url.clone(),
            call: self.call,
            code: code(status),
            message,
            attempts: self.failed.max(1),
        }
    }
}

/// What a failure of the transport is told by. That a name is not known is told as gRPC's own implementations tell
/// it: people and scripts look for that.
fn in_known_words(message: String) -> String {
    match message.split_once("failed to lookup address information") {
        Some((_, reason)) => format!("DNS resolution failed{reason}"),
        None => message,
    }
}

/// A number that no other call gives.
pub(crate) fn fresh() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

/// The code of a failure. One of the connection itself is told in many ways.
fn code(status: &Status) -> Code {
    match status.code() {
        Code::Unknown | Code::Internal | Code::Cancelled if status.source().is_some() => {
            Code::Unavailable
        }
        code => code,
    }
}

/// Whether trying again may help: the server is not there or has too much to do. A deadline that has
/// passed is not among these, as the next attempt would only add to what made it pass.
pub(crate) fn may_pass(status: &Status) -> bool {
    matches!(code(status), Code::Unavailable | Code::ResourceExhausted)
}
