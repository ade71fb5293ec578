//! The service as a server routes calls to it: writing by way of [`Incoming`], the rest as generated.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use headstart_execution::BoxFuture;
use headstart_reapi::Message;
use headstart_reapi::bytestream::WriteResponse;
use headstart_reapi::bytestream::byte_stream_server::{ByteStreamServer, SERVICE_NAME};
use http_body::Frame;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response, header};
use tonic::server::NamedService;
use tonic::{Code, Status};

use super::ByteStreamService;
use super::incoming::Incoming;

/// What writing is called by.
const WRITE: &str = "/google.bytestream.ByteStream/Write";

/// The service, with messages of a length that is bounded.
#[derive(Clone)]
pub(crate) struct Routed {
    service: Arc<ByteStreamService>,
    generated: ByteStreamServer<ByteStreamService>,
}

impl Routed {
    pub(crate) fn new(service: ByteStreamService, max_message: usize) -> Self {
        let service = Arc::new(service);
        let generated = ByteStreamServer::from_arc(Arc::clone(&service));
        Self {
            service,
            generated: generated.max_decoding_message_size(max_message),
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
    let body = Answer {
        message: Some(message.freeze()),
        ended: false,
    };
    let mut response = Response::new(Body::new(body));
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

struct Answer {
    message: Option<Bytes>,
    ended: bool,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(message) = self.message.take() {
            return Poll::Ready(Some(Ok(Frame::data(message))));
        }
        if std::mem::replace(&mut self.ended, true) {
            return Poll::Ready(None);
        }
        let mut trailers = HeaderMap::new();
        trailers.insert(Status::GRPC_STATUS, HeaderValue::from(Code::Ok as i32));
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}
