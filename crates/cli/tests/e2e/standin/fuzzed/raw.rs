//! Calls whose messages are bytes.

use std::time::Duration;

use tonic::client::Grpc;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// How long is waited for the end of an answer; what goes on is given up.
const ENDING: Duration = Duration::from_millis(300);
/// How long is waited for its beginning.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a method answers; `None` if nothing at all.
pub(crate) async fn call(channel: &Channel, path: &str, messages: Vec<Vec<u8>>) -> Option<Code> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.ok()?;
    let path = path.parse().unwrap();
    let request = Request::new(tokio_stream::iter(messages));
    let call = client.streaming(request, path, Bytes);
    let mut answers = match tokio::time::timeout(PATIENCE, call).await.ok()? {
        Ok(answers) => answers.into_inner(),
        Err(status) => return Some(status.code()),
    };
    // Some streams go on for as long as the client is there.
    let read = async {
        loop {
            match answers.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return Code::Ok,
                Err(status) => return status.code(),
            }
        }
    };
    Some(tokio::time::timeout(ENDING, read).await.unwrap_or(Code::Ok))
}

#[derive(Clone, Copy, Default)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        use bytes::BufMut;
        buffer.put_slice(&message);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        use bytes::Buf;
        let mut message = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut message);
        Ok(Some(message))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}
