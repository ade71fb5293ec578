//! Answers in parts, for clients that may take them slowly or not at all.

use tokio::sync::mpsc::{self, OwnedPermit, Sender};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::patience::Patience;

/// Where the parts of an answer go. Dropped, the answer is complete.
pub(crate) struct Outlet<T> {
    parts: Sender<Result<T, Status>>,
    /// The place for an error, which there is even if nothing is taken.
    last: Option<OwnedPermit<Result<T, Status>>>,
    patience: Patience,
}

impl<T: Send + 'static> Outlet<T> {
    /// An outlet in which some parts may wait, and the stream that they come out of.
    pub(crate) fn open(
        waiting: usize,
        patience: Patience,
    ) -> (Self, ReceiverStream<Result<T, Status>>) {
        let (parts, stream) = mpsc::channel(waiting + 1);
        let last = parts.clone().try_reserve_owned().ok();
        let outlet = Self {
            parts,
            last,
            patience,
        };
        (outlet, ReceiverStream::new(stream))
    }

    /// Gives the next part. There is nothing more to be done when the client has gone, or has taken
    /// nothing for too long.
    pub(crate) async fn give(self, part: T) -> Option<Self> {
        let Some(stall) = self.patience.stall else {
            return self.parts.send(Ok(part)).await.is_ok().then_some(self);
        };
        match self.parts.send_timeout(Ok(part), stall).await {
            Ok(()) => Some(self),
            Err(_) => {
                // A client that comes back must not think that this was all.
                let message = format!("nothing of the answer was taken for {stall:?}");
                self.fail(Status::deadline_exceeded(message));
                None
            }
        }
    }

    /// Ends the answer with an error.
    pub(crate) fn fail(self, error: Status) {
        if let Some(last) = self.last {
            // The client may have gone; nothing is left to do for it then.
            last.send(Err(error));
        }
    }
}
