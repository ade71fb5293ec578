//! Connections that end when nobody uses them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::Connected;

use super::{Alarm, Patience, Presence};
use crate::through::write_through;

/// A connection that seems to be ended by its client when that has not used it for too long.
pub(crate) struct Watched<C> {
    inner: C,
    presence: Arc<Presence>,
    /// When it is looked at next.
    alarm: Alarm,
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
                alarm: Alarm::at(presence.end()),
                presence,
                _place: place,
            })
        }
    })
}

impl<C> Watched<C> {
    /// Whether the client has not used the connection for too long; whoever asks is woken when it is.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        self.alarm.is_over(|| self.presence.end(), context)
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

write_through!(Watched);

impl<C: Connected> Connected for Watched<C> {
    type ConnectInfo = Client<C::ConnectInfo>;

    fn connect_info(&self) -> Self::ConnectInfo {
        Client {
            connection: self.inner.connect_info(),
            presence: Arc::clone(&self.presence),
        }
    }
}
