//! What a sandbox says: its command on the standard streams, its init process on the socket.

use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use bytes::Bytes;
use headstart_execution::SandboxError;
use headstart_sandbox_init::{LIMIT, Report, receive};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::runner::Ending;

/// How much is read at a time, in bytes.
const PIECE: usize = 64 * 1024;

/// What came of a sandbox.
pub(crate) struct Heard {
    pub(crate) report: io::Result<Report>,
    pub(crate) stdout: Bytes,
    pub(crate) stderr: Bytes,
}

/// Reads everything as it comes, until the command and the init process have closed their ends: then
/// nothing is left of either. A command that writes more than `limit` bytes to one stream is ended.
pub(crate) fn listen(
    socket: &UnixStream,
    streams: Option<(PipeReader, PipeReader)>,
    limit: usize,
    ending: &Ending,
) -> Result<Heard, SandboxError> {
    let failed = |error: io::Error| SandboxError::Step {
        step: "read what the command said".into(),
        reason: error.to_string(),
    };
    let (stdout, stderr) = streams.unzip();
    let mut sources = [
        Source::new(Some(Channel::Socket(socket)), LIMIT),
        Source::new(stdout.map(Channel::Pipe), limit),
        Source::new(stderr.map(Channel::Pipe), limit),
    ];
    let mut piece = vec![0; PIECE];
    while sources.iter().any(Source::is_open) {
        for number in ready(&sources).map_err(failed)? {
            let source = &mut sources[number];
            source.read(&mut piece).map_err(failed)?;
            if source.is_too_much() {
                ending.end();
                source.channel = None;
            }
        }
    }
    let [report, stdout, stderr] = sources;
    if stdout.is_too_much() || stderr.is_too_much() {
        return Err(SandboxError::TooMuchOutput { limit });
    }
    Ok(Heard {
        report: receive(&mut &report.content[..]),
        stdout: stdout.content.into(),
        stderr: stderr.content.into(),
    })
}

enum Channel<'a> {
    Socket(&'a UnixStream),
    Pipe(PipeReader),
}

/// Something that is read until it is closed.
struct Source<'a> {
    channel: Option<Channel<'a>>,
    content: Vec<u8>,
    limit: usize,
}

impl<'a> Source<'a> {
    fn new(channel: Option<Channel<'a>>, limit: usize) -> Self {
        Self {
            channel,
            content: Vec::new(),
            limit,
        }
    }

    fn is_open(&self) -> bool {
        self.channel.is_some()
    }

    fn is_too_much(&self) -> bool {
        self.content.len() > self.limit
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(match self.channel.as_ref()? {
            Channel::Socket(socket) => socket.as_fd(),
            Channel::Pipe(pipe) => pipe.as_fd(),
        })
    }

    fn read(&mut self, piece: &mut [u8]) -> io::Result<()> {
        let read = match &mut self.channel {
            Some(Channel::Socket(socket)) => socket.read(piece),
            Some(Channel::Pipe(pipe)) => pipe.read(piece),
            None => return Ok(()),
        };
        match read {
            Ok(0) => self.channel = None,
            Ok(length) => self.content.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // So it is when the other end was closed with something unread in it.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => self.channel = None,
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Waits until something can be read, or is closed: of which of the sources.
fn ready(sources: &[Source<'_>]) -> io::Result<Vec<usize>> {
    let open = sources.iter().enumerate();
    let (numbers, mut waiting): (Vec<usize>, Vec<PollFd<'_>>) = open
        .filter_map(|(number, source)| {
            let descriptor = source.descriptor()?;
            Some((number, PollFd::from_borrowed_fd(descriptor, PollFlags::IN)))
        })
        .unzip();
    match poll(&mut waiting, None) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let ready = numbers.into_iter().zip(&waiting);
    let ready = ready.filter(|(_, polled)| !polled.revents().is_empty());
    Ok(ready.map(|(number, _)| number).collect())
}
