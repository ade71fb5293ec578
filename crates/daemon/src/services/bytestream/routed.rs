//! The service as a server routes calls to it: by way of [`Incoming`] and [`Outgoing`], as what is generated copies
//! what it passes on.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use headstart_execution::BoxFuture;
use headstart_reapi::Message;
use headstart_reapi::bytestream::byte_stream_server::SERVICE_NAME;
use http_body_util::{BodyExt as _, Full};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{HeaderValue, Request, Response, header};
use tonic::server::NamedService;

use super::ByteStreamService;
use super::incoming::Incoming;
use super::outgoing::{Outgoing, prefix, trailers};

/// What is called.
const READ: &str = "/google.bytestream.ByteStream/Read";
const WRITE: &str = "/google.bytestream.ByteStream/Write";
const QUERY: &str = "/google.bytestream.ByteStream/QueryWriteStatus";

/// The service, with messages of a length that is bounded.
#[derive(Clone)]
pub(crate) struct Routed(Arc<ByteStreamService>);

impl Routed {
    pub(crate) fn new(service: ByteStreamService) -> Self {
        Self(Arc::new(service))
    }
}

impl NamedService for Routed {
    const NAME: &'static str = SERVICE_NAME;
}

impl Service<Request<Body>> for Routed {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let service = Arc::clone(&self.0);
        let (head, body) = request.into_parts();
        let incoming = Incoming::new(body);
        Box::pin(async move {
            let answered = match head.uri.path() {
                READ => {
                    let request = incoming.only().await;
                    let parts = request.and_then(|request| service.give(request));
                    parts.map(|parts| response(Body::new(Outgoing::new(parts))))
                }
                WRITE => service.take(incoming).await.and_then(|it| answer(&it)),
                QUERY => {
                    let request = incoming.only().await;
                    let found = request.and_then(|request| service.query(&request));
                    found.and_then(|found| answer(&found))
                }
                other => Err(Status::unimplemented(format!("there is no {other}"))),
            };
            Ok(answered.unwrap_or_else(Status::into_http))
        })
    }
}

/// The answer of a call that went well: one message, and trailers that say so.
#[allow(clippy::result_large_err)]
fn answer(message: &impl Message) -> Result<Response<Body>, Status> {
    let mut bytes = prefix(message.encoded_len())?;
    bytes.extend_from_slice(&message.encode_to_vec());
    let trailers = trailers(&Status::ok(""))?;
    let body = Full::new(bytes.freeze()).with_trailers(std::future::ready(Some(Ok(trailers))));
    Ok(response(Body::new(body)))
}

fn response(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
