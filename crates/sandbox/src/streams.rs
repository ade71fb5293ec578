//! What a command writes to its standard streams, read as it comes.

use std::io::{self, Read};
use std::process::Child;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use headstart_execution::SandboxError;

use crate::runner::Ending;

/// Threads that read what a command writes, so that it never waits for them.
pub(crate) struct Readers {
    stdout: JoinHandle<io::Result<Vec<u8>>>,
    stderr: JoinHandle<io::Result<Vec<u8>>>,
    limit: usize,
}

impl Readers {
    pub(crate) fn start(child: &mut Child, limit: usize, ending: &Arc<Ending>) -> Self {
        let read = |stream: Option<Box<dyn Read + Send>>| {
            let ending = Arc::clone(ending);
            std::thread::spawn(move || {
                let mut content = Vec::new();
                let Some(mut stream) = stream else {
                    return Ok(content);
                };
                stream
                    .by_ref()
                    .take(limit as u64 + 1)
                    .read_to_end(&mut content)?;
                if content.len() > limit {
                    ending.end();
                }
                Ok(content)
            })
        };
        let stdout = child
            .stdout
            .take()
            .map(|stream| Box::new(stream) as Box<dyn Read + Send>);
        let stderr = child
            .stderr
            .take()
            .map(|stream| Box::new(stream) as Box<dyn Read + Send>);
        Self {
            stdout: read(stdout),
            stderr: read(stderr),
            limit,
        }
    }

    pub(crate) fn finish(self) -> Result<(Bytes, Bytes), SandboxError> {
        let limit = self.limit;
        let content = |thread: JoinHandle<io::Result<Vec<u8>>>| match thread.join() {
            Ok(Ok(content)) if content.len() > limit => Err(SandboxError::TooMuchOutput { limit }),
            Ok(Ok(content)) => Ok(Bytes::from(content)),
            Ok(Err(error)) => Err(SandboxError::Step {
                step: "read what the command said".into(),
                reason: error.to_string(),
            }),
            Err(_) => Err(SandboxError::Step {
                step: "read what the command said".into(),
                reason: "the reader panicked".into(),
            }),
        };
        let (stdout, stderr) = (content(self.stdout), content(self.stderr));
        Ok((stdout?, stderr?))
    }
}
