//! What clients read, put into HTTP/2 frames without being copied.
//!
//! tonic encodes a message into a buffer of its own before it is sent. Here what comes before the data of a
//! `ReadResponse` is one piece of the body, and the data, as it was read, the next.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use headstart_reapi::encode_length_delimiter;
use http_body::{Body, Frame};
use tokio_stream::Stream as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::codegen::http::HeaderMap;

use super::incoming::length_of_field;

/// The tag of `ReadResponse.data`: field 10, of a length that follows.
const DATA: u8 = 10 << 3 | 2;

/// A body of messages, each with the data of one part, and of trailers that say how the call went.
pub(super) struct Outgoing {
    parts: ReceiverStream<Result<Bytes, Status>>,
    /// The data of the message that has begun.
    data: Option<Bytes>,
    is_complete: bool,
}

impl Outgoing {
    pub(super) fn new(parts: ReceiverStream<Result<Bytes, Status>>) -> Self {
        Self {
            parts,
            data: None,
            is_complete: false,
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if self.is_complete {
            return Poll::Ready(None);
        }
        let frame = match ready!(Pin::new(&mut self.parts).poll_next(context)) {
            Some(Ok(data)) => {
                let head = head(data.len())?;
                self.data = Some(data);
                Frame::data(head)
            }
            end => {
                self.is_complete = true;
                let status = end.and_then(Result::err);
                Frame::trailers(trailers(&status.unwrap_or_else(|| Status::ok("")))?)
            }
        };
        Poll::Ready(Some(Ok(frame)))
    }
}

/// What comes before so many bytes of data.
#[allow(clippy::result_large_err)]
fn head(size: usize) -> Result<Bytes, Status> {
    let mut head = prefix(length_of_field(size) + size)?;
    head.put_u8(DATA);
    let encoded = encode_length_delimiter(size, &mut head);
    encoded.map_err(|error| Status::internal(error.to_string()))?;
    Ok(head.freeze())
}

/// What comes before a message of so many bytes: that it is not compressed, and its length.
#[allow(clippy::result_large_err)]
pub(super) fn prefix(size: usize) -> Result<BytesMut, Status> {
    let size = u32::try_from(size).map_err(|error| Status::internal(error.to_string()))?;
    let mut prefix = BytesMut::new();
    prefix.put_u8(0);
    prefix.put_u32(size);
    Ok(prefix)
}

/// The end of a call.
#[allow(clippy::result_large_err)]
pub(super) fn trailers(status: &Status) -> Result<HeaderMap, Status> {
    let mut trailers = HeaderMap::new();
    status.add_header(&mut trailers)?;
    Ok(trailers)
}

#[cfg(test)]
mod tests {
    use headstart_reapi::Message;
    use headstart_reapi::bytestream::ReadResponse;
    use http_body_util::BodyExt as _;
    use tonic::Code;

    use super::*;

    /// The pieces of a body, and its trailers.
    async fn sent(parts: Vec<Result<Bytes, Status>>) -> (Vec<Bytes>, HeaderMap) {
        let (sender, receiver) = tokio::sync::mpsc::channel(parts.len() + 1);
        for part in parts {
            sender.send(part).await.unwrap();
        }
        drop(sender);
        let mut body = Outgoing::new(ReceiverStream::new(receiver));
        let mut pieces = Vec::new();
        let trailers = loop {
            match body.frame().await.unwrap().unwrap().into_data() {
                Ok(piece) => pieces.push(piece),
                Err(frame) => break frame.into_trailers().unwrap(),
            }
        };
        assert!(body.frame().await.is_none(), "trailers are the last");
        (pieces, trailers)
    }

    #[tokio::test]
    async fn messages_are_as_generated_ones_and_nothing_is_copied() {
        for size in [0, 1, 127, 128, 1024 * 1024] {
            let data = Bytes::from(vec![7; size]);
            let (pieces, trailers) = sent(vec![Ok(data.clone())]).await;
            let response = ReadResponse { data: data.clone() };
            let message = pieces.concat();
            let length = u32::try_from(message.len() - 5).unwrap();
            assert_eq!(message[0], 0);
            assert_eq!(message[1..5], length.to_be_bytes());
            let read = ReadResponse::decode(&message[5..]).unwrap();
            assert_eq!(read, response, "{size} bytes");
            assert_eq!(pieces[1].as_ptr(), data.as_ptr());
            assert_eq!(Status::from_header_map(&trailers).unwrap().code(), Code::Ok);
        }
    }

    #[tokio::test]
    async fn what_failed_is_said_at_the_end() {
        let lost = Status::data_loss("it is damaged");
        let (pieces, trailers) = sent(vec![Ok(Bytes::from_static(b"a")), Err(lost)]).await;
        assert_eq!(pieces.len(), 2);
        let status = Status::from_header_map(&trailers).unwrap();
        assert_eq!(
            (status.code(), status.message()),
            (Code::DataLoss, "it is damaged")
        );
    }
}
