//! The service as a server routes calls to it: writing by way of [`Incoming`], the rest as generated.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{BufMut, BytesMut};
use headstart_execution::BoxFuture;
use headstart_reapi::Message;
use headstart_reapi::bytestream::WriteResponse;
use headstart_reapi::bytestream::byte_stream_server::{ByteStreamServer, SERVICE_NAME};
use http_body_util::{BodyExt as _, Full};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response, header};
use tonic::server::NamedService;
use tonic::{Code, Status};

use super::ByteStreamService;
use super::incoming::Incoming;
use crate::services::MAX_MESSAGE;

/// What writing is called by.
const WRITE: &str = "/google.bytestream.ByteStream/Write";

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
        if request.uri().path() != WRITE {
            return self.generated.call(request);
        }
        let service = Arc::clone(&self.service);
        Box::pin(async move {
            let taken = service.take(Incoming::new(request.into_body())).await;
            Ok(taken.map_or_else(Status::into_http, answer))
        })
    }
}

/// The answer of a call that went well: one message, and trailers that say so.
fn answer(response: WriteResponse) -> Response<Body> {
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(u32::try_from(response.encoded_len()).unwrap_or(0));
    message.extend_from_slice(&response.encode_to_vec());
    let mut trailers = HeaderMap::new();
    trailers.insert(Status::GRPC_STATUS, HeaderValue::from(Code::Ok as i32));
    let body = Full::new(message.freeze()).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
