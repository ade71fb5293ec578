//! Requests that are counted, and end when nothing more of them comes.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};

use super::connection::Client;
use super::{Alarm, Patience, Presence, Underway};

/// Calls whose clients say nothing for as long as they work with what they were given.
const SILENT: [&str; 1] = ["/build.buildgrid.LocalContentAddressableStorage/StageTree"];

/// Counts requests, and ends those that get no further; `T` is what connections tell of clients.
pub(crate) struct Attention<T> {
    stall: Option<Duration>,
    told: PhantomData<fn() -> T>,
}

/// A service whose requests are counted.
pub(crate) struct Attentive<S, T> {
    inner: S,
    stall: Option<Duration>,
    told: PhantomData<fn() -> T>,
}

impl<T> Attention<T> {
    pub(crate) fn new(patience: Patience) -> Self {
        Self {
            stall: patience.stall,
            told: PhantomData,
        }
    }
}

// Derived implementations would ask for the same of `T`, which is only told of.
impl<T> Clone for Attention<T> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<S: Clone, T> Clone for Attentive<S, T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            ..*self
        }
    }
}

impl<S, T> Layer<S> for Attention<T> {
    type Service = Attentive<S, T>;

    fn layer(&self, inner: S) -> Self::Service {
        Attentive {
            inner,
            stall: self.stall,
            told: PhantomData,
        }
    }
}

impl<S, T, B> Service<Request<Body>> for Attentive<S, T>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    type Response = Response<Counted<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let underway = presence::<T>(&mut request).map(Underway::new);
        if let Some(stall) = self.stall
            && !SILENT.contains(&request.uri().path())
        {
            request = request.map(|body| Body::new(Moving::new(body, stall)));
        }
        let answering = self.inner.call(request);
        Box::pin(async move {
            let answer = answering.await?;
            Ok(answer.map(|body| Counted { body, underway }))
        })
    }
}

/// What is known of the connection that a request came on. From here on its client is what the
/// connection tells.
fn presence<T: Clone + Send + Sync + 'static>(
    request: &mut Request<Body>,
) -> Option<Arc<Presence>> {
    let client = request.extensions_mut().remove::<Client<T>>()?;
    request.extensions_mut().insert(client.connection);
    Some(client.presence)
}

/// An answer; its request is under way until all of it was sent.
pub(crate) struct Counted<B> {
    body: B,
    underway: Option<Underway>,
}

impl<B: http_body::Body + Unpin> http_body::Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) {
            self.underway = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What a client sends, which must go on.
struct Moving {
    body: Body,
    stall: Duration,
    /// Since when it is waited for the next part.
    waiting: Option<Instant>,
    alarm: Option<Alarm>,
}

impl Moving {
    fn new(body: Body, stall: Duration) -> Self {
        Self {
            body,
            stall,
            waiting: None,
            alarm: None,
        }
    }

    /// Whether the next part has been waited for too long; whoever asks is woken when it has.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        let end = Some(*self.waiting.get_or_insert_with(Instant::now) + self.stall);
        let alarm = self.alarm.get_or_insert_with(|| Alarm::at(end));
        alarm.is_over(|| end, context)
    }
}

impl http_body::Body for Moving {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Pending if self.is_over(context) => {
                let message = format!("nothing more of the request came for {:?}", self.stall);
                Poll::Ready(Some(Err(Status::deadline_exceeded(message))))
            }
            Poll::Pending => Poll::Pending,
            came => {
                self.waiting = None;
                came
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
