//! Connections that end when nobody uses them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::Connected;

use super::{Patience, Presence};

/// A connection that seems to be ended by its client when that has not used it for too long.
pub(crate) struct Watched<C> {
    inner: C,
    presence: Arc<Presence>,
    /// When it is looked at next.
    alarm: Option<Pin<Box<Sleep>>>,
    /// Its place among those that there may be.
    _place: OwnedSemaphorePermit,
}

/// What is known of a client: what its connection tells, and whether it is used.
#[derive(Debug, Clone)]
pub(crate) struct Client<T> {
    pub(super) connection: T,
    pub(super) presence: Arc<Presence>,
}

/// The same connections, watched, and no more of them at a time than there may be.
pub(crate) fn watched<S, C>(
    connections: S,
    patience: Patience,
) -> impl Stream<Item = io::Result<Watched<C>>>
where
    S: Stream<Item = io::Result<C>>,
{
    let places = Arc::new(Semaphore::new(patience.connections));
    connections.then(move |connection| {
        let places = Arc::clone(&places);
        async move {
            let place = places.acquire_owned().await.map_err(io::Error::other)?;
            let presence = Arc::new(Presence::new(patience));
            Ok(Watched {
                inner: connection?,
                alarm: presence.end().map(|end| Box::pin(sleep_until(end))),
                presence,
                _place: place,
            })
        }
    })
}

impl<C> Watched<C> {
    /// Whether the client has not used the connection for too long; whoever asks is woken when it is.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        let Some(alarm) = &mut self.alarm else {
            return false;
        };
        while alarm.as_mut().poll(context).is_ready() {
            match self.presence.end() {
                Some(end) if end <= Instant::now() => return true,
                Some(end) => alarm.as_mut().reset(end),
                None => {
                    self.alarm = None;
                    return false;
                }
            }
        }
        false
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Watched<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_read(context, buffer) {
            Poll::Pending if self.is_over(context) => Poll::Ready(Ok(())),
            read => read,
        }
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Watched<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

impl<C: Connected> Connected for Watched<C> {
    type ConnectInfo = Client<C::ConnectInfo>;

    fn connect_info(&self) -> Self::ConnectInfo {
        Client {
            connection: self.inner.connect_info(),
            presence: Arc::clone(&self.presence),
        }
    }
}
