//! Long blobs, written and read by HTTP/2 itself: what is measured is what servers do. A library for gRPC
//! copies each message once more on its way, which takes as long as half of what a server does with it.

use std::future::poll_fn;
use std::path::Path;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use headstart_reapi::Message;
use headstart_reapi::bytestream::{ReadRequest, WriteRequest};
use http::{HeaderMap, Request};
use tokio::net::UnixStream;

use crate::Failure;

const MIB: usize = 1024 * 1024;
/// What may be on its way on a connection and a stream, in bytes.
const WINDOW: u32 = 16 * MIB as u32;
/// The longest frame that is taken, in bytes.
const FRAME: u32 = MIB as u32 / 4;
/// How much of a blob a message holds, in bytes.
const PIECE: usize = MIB;
/// How much may wait to be sent, in bytes.
const WAITING: usize = 2 * MIB;
/// The tag of `WriteRequest.data`.
const DATA: u8 = 10 << 3 | 2;

/// A connection to a server.
pub(crate) struct Connection(SendRequest<Bytes>);

impl Connection {
    pub(crate) async fn open(socket: &Path) -> Result<Self, Failure> {
        let stream = UnixStream::connect(socket).await?;
        let (client, connection) = h2::client::Builder::new()
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_frame_size(FRAME)
            .max_send_buffer_size(WAITING)
            .handshake(stream)
            .await?;
        tokio::spawn(connection);
        Ok(Self(client))
    }

    async fn call(&self, method: &str) -> Result<(ResponseFuture, SendStream<Bytes>), Failure> {
        let uri = format!("http://localhost/google.bytestream.ByteStream/{method}");
        let request = Request::post(uri)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        let mut client = self.0.clone().ready().await?;
        Ok(client.send_request(request, false)?)
    }

    /// Writes a blob under the name of a resource.
    pub(crate) async fn write(&self, name: &str, content: &Bytes) -> Result<(), Failure> {
        let (response, mut requests) = self.call("Write").await?;
        let mut at = 0;
        while at < content.len() {
            let piece = content.slice(at..content.len().min(at + PIECE));
            let last = at + piece.len() == content.len();
            let head = WriteRequest {
                resource_name: name.to_owned(),
                write_offset: i64::try_from(at)?,
                finish_write: last,
                data: Bytes::new(),
            };
            let mut fields = head.encode_to_vec();
            fields.push(DATA);
            prost::encode_length_delimiter(piece.len(), &mut fields)?;
            at += piece.len();
            send(&mut requests, message(&fields, piece.len())?, false).await?;
            send(&mut requests, piece, last).await?;
        }
        receive(response).await?;
        Ok(())
    }

    /// Reads the blob of a resource's name; gives how many bytes came, with what is around it.
    pub(crate) async fn read(&self, name: &str) -> Result<usize, Failure> {
        let (response, mut requests) = self.call("Read").await?;
        let request = ReadRequest {
            resource_name: name.to_owned(),
            ..Default::default()
        };
        send(&mut requests, message(&request.encode_to_vec(), 0)?, true).await?;
        receive(response).await
    }
}

/// What a message begins with, `more` bytes of which follow.
fn message(fields: &[u8], more: usize) -> Result<Bytes, Failure> {
    let mut bytes = BytesMut::with_capacity(5 + fields.len());
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(fields.len() + more)?);
    bytes.put_slice(fields);
    Ok(bytes.freeze())
}

async fn send(stream: &mut SendStream<Bytes>, mut data: Bytes, end: bool) -> Result<(), Failure> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let room = poll_fn(|context| stream.poll_capacity(context)).await;
        let room = room.ok_or("the server has closed the stream")??;
        let piece = data.split_to(room.min(data.len()));
        stream.send_data(piece, end && data.is_empty())?;
    }
    Ok(())
}

/// Takes an answer to its end; gives how long it was in bytes.
async fn receive(response: ResponseFuture) -> Result<usize, Failure> {
    let response = response.await?;
    let (head, mut body): (_, RecvStream) = response.into_parts();
    let mut size = 0;
    while let Some(data) = body.data().await {
        let data = data?;
        size += data.len();
        body.flow_control().release_capacity(data.len())?;
    }
    let trailers = body.trailers().await?.unwrap_or_default();
    let says = |headers: &HeaderMap, name| {
        let value = headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let said = |name| says(&trailers, name).or_else(|| says(&head.headers, name));
    match said("grpc-status").as_deref() {
        Some("0") => Ok(size),
        status => Err(format!(
            "the server answered {status:?}: {}",
            said("grpc-message").unwrap_or_default()
        )
        .into()),
    }
}
