//! The service as a server routes calls to it: writing by way of [`Incoming`], reading by way of [`Outgoing`], the
//! rest as generated.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{BufMut, BytesMut};
use headstart_execution::BoxFuture;
use headstart_reapi::Message;
use headstart_reapi::bytestream::WriteResponse;
use headstart_reapi::bytestream::byte_stream_server::{ByteStreamServer, SERVICE_NAME};
use http_body_util::{BodyExt as _, Full};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{HeaderValue, Request, Response, header};
use tonic::server::NamedService;

use super::ByteStreamService;
use super::incoming::Incoming;
use super::outgoing::{Outgoing, trailers};
use crate::services::MAX_MESSAGE;

/// What writing and reading are called by.
const WRITE: &str = "/google.bytestream.ByteStream/Write";
const READ: &str = "/google.bytestream.ByteStream/Read";

/// The service, with messages of a length that is bounded.
#[derive(Clone)]
pub(crate) struct Routed {
    service: Arc<ByteStreamService>,
    generated: ByteStreamServer<ByteStreamService>,
}

impl Routed {
    pub(crate) fn new(service: ByteStreamService) -> Self {
        let service = Arc::new(service);
        let generated = ByteStreamServer::from_arc(Arc::clone(&service));
        Self {
            service,
            generated: generated.max_decoding_message_size(MAX_MESSAGE),
        }
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
        let service = Arc::clone(&self.service);
        match request.uri().path() {
            WRITE => Box::pin(async move {
                let taken = service.take(Incoming::new(request.into_body())).await;
                Ok(taken.and_then(answer).unwrap_or_else(Status::into_http))
            }),
            READ => Box::pin(async move {
                let read = Incoming::new(request.into_body()).only().await;
                let parts = read.and_then(|request| service.give(request));
                let body = parts.map(|parts| Body::new(Outgoing::new(parts)));
                Ok(body.map_or_else(Status::into_http, response))
            }),
            _ => self.generated.call(request),
        }
    }
}

/// The answer of a call that went well: one message, and trailers that say so.
#[allow(clippy::result_large_err)]
fn answer(message: WriteResponse) -> Result<Response<Body>, Status> {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.encoded_len()).unwrap_or(0));
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
