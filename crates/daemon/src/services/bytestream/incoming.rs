//! What clients send, taken out of the HTTP/2 frames that it comes in without being copied.
//!
//! tonic puts the frames of a message together in one buffer before it looks at it. Here a
//! `WriteRequest` is given in as many parts as it came in, each a request of its own that goes on where
//! the one before ended; so the first bytes are on their way to the disk while the last are on theirs.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};
use headstart_reapi::bytestream::WriteRequest;
use headstart_reapi::{Message, length_delimiter_len};
use http_body_util::BodyExt as _;
use tonic::Status;
use tonic::body::Body;

use crate::services::MAX_MESSAGE;

/// What comes before each message of gRPC, in bytes: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// The tag of `WriteRequest.data`: field 10, of a length that follows.
const DATA: u64 = 10 << 3 | 2;
/// How long all fields before that may be in bytes if it is to be given in parts.
const LONGEST_HEAD: usize = 64 * 1024;
/// The longest varint, in bytes.
const LONGEST_VARINT: usize = 10;

/// Requests as they come in the body of a call.
pub(super) struct Incoming {
    body: Body,
    came: Came,
    /// The request whose data is being given, without its data, and how much of that is to come.
    under_way: Option<(WriteRequest, usize)>,
}

/// What has come and was not taken yet.
#[derive(Default)]
struct Came {
    pieces: VecDeque<Bytes>,
    size: usize,
}

impl Incoming {
    pub(super) fn new(body: Body) -> Self {
        Self {
            body,
            came: Came::default(),
            under_way: None,
        }
    }

    /// Waits for more; says whether there is any.
    async fn more(&mut self) -> Result<bool, Status> {
        loop {
            let Some(frame) = self.body.frame().await else {
                return Ok(false);
            };
            match frame?.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => {
                    self.came.add(data);
                    return Ok(true);
                }
                // Trailers, which say nothing in requests.
                Err(_) => {}
            }
        }
    }

    /// Waits until so much has come.
    async fn at_least(&mut self, size: usize) -> Result<(), Status> {
        while self.came.size < size {
            if !self.more().await? {
                return Err(Status::internal("the stream ended within a message"));
            }
        }
        Ok(())
    }

    /// The length of the next message in bytes; `None` at the end.
    async fn begin(&mut self) -> Result<Option<usize>, Status> {
        if self.came.size == 0 && !self.more().await? {
            return Ok(None);
        }
        self.at_least(PREFIX).await?;
        let mut prefix = self.came.take(PREFIX);
        if prefix.get_u8() != 0 {
            return Err(Status::unimplemented(
                "the message is compressed by gRPC: expected it as it is, or the blob by a compressor of the API",
            ));
        }
        let length = prefix.get_u32() as usize;
        if length > MAX_MESSAGE {
            return Err(Status::out_of_range(format!(
                "the message is {length} bytes long: expected {MAX_MESSAGE} at most"
            )));
        }
        Ok(Some(length))
    }

    /// The one message of a call that has no more.
    pub(super) async fn only<M: Message + Default>(mut self) -> Result<M, Status> {
        let length = self.begin().await?;
        let length = length.ok_or_else(|| Status::invalid_argument("there is no message"))?;
        self.at_least(length).await?;
        decoded(self.came.take(length))
    }

    /// The next request to write, or part of it; `None` when the client has sent all.
    pub(super) async fn next(&mut self) -> Result<Option<WriteRequest>, Status> {
        match self.under_way {
            Some(_) => self.part().await.map(Some),
            None => self.request().await,
        }
    }

    /// The next request, or the first part of it.
    async fn request(&mut self) -> Result<Option<WriteRequest>, Status> {
        let Some(length) = self.begin().await? else {
            return Ok(None);
        };
        // Most have all that is not data in their first bytes.
        let mut wanted = length.min(1);
        let head = loop {
            self.at_least(wanted).await?;
            let head = self.came.first(length.min(LONGEST_HEAD));
            match data_at(&head) {
                Found::At { begins, size } if begins + size == length => {
                    break Some((head, begins));
                }
                Found::Unfinished if head.len() < length.min(LONGEST_HEAD) => {
                    wanted = head.len() + 1;
                }
                _ => break None,
            }
        };
        let Some((head, begins)) = head else {
            self.at_least(length).await?;
            return decoded(self.came.take(length)).map(Some);
        };
        let fields = head.slice(..begins - length_of_field(length - begins));
        self.came.take(begins);
        self.under_way = Some((decoded(fields)?, length - begins));
        self.part().await.map(Some)
    }

    /// The next part of the request that is under way.
    async fn part(&mut self) -> Result<WriteRequest, Status> {
        let Some((mut request, left)) = self.under_way.take() else {
            return Err(Status::internal("there is no request under way"));
        };
        self.at_least(left.min(1)).await?;
        let data = self.came.take_whole(left);
        let left = left - data.len();
        if left == 0 {
            return Ok(WriteRequest { data, ..request });
        }
        let part = WriteRequest {
            resource_name: request.resource_name.clone(),
            finish_write: false,
            write_offset: request.write_offset,
            data,
        };
        request.write_offset = request
            .write_offset
            .saturating_add_unsigned(part.data.len() as u64);
        self.under_way = Some((request, left));
        Ok(part)
    }
}

impl Came {
    fn add(&mut self, piece: Bytes) {
        self.size += piece.len();
        self.pieces.push_back(piece);
    }

    /// The first bytes, up to `most`; at least one is there.
    fn first(&self, most: usize) -> Bytes {
        match self.pieces.front() {
            Some(piece) if piece.len() >= most.min(self.size) => {
                piece.slice(..most.min(piece.len()))
            }
            _ => {
                let mut bytes = Vec::with_capacity(most.min(self.size));
                for piece in &self.pieces {
                    let wanted = most - bytes.len();
                    bytes.extend_from_slice(&piece[..piece.len().min(wanted)]);
                }
                bytes.into()
            }
        }
    }

    /// Takes so many bytes, which are there.
    fn take(&mut self, size: usize) -> Bytes {
        match self.pieces.front() {
            Some(piece) if piece.len() < size => {}
            _ => return self.take_whole(size),
        }
        let mut bytes = Vec::with_capacity(size);
        while bytes.len() < size && self.size > 0 {
            bytes.extend_from_slice(&self.take_whole(size - bytes.len()));
        }
        bytes.into()
    }

    /// Takes up to so many bytes that came together.
    fn take_whole(&mut self, most: usize) -> Bytes {
        let Some(mut piece) = self.pieces.pop_front() else {
            return Bytes::new();
        };
        let taken = piece.split_to(most.min(piece.len()));
        self.size -= taken.len();
        if !piece.is_empty() {
            self.pieces.push_front(piece);
        }
        taken
    }
}

/// Where the data of an encoded request is.
#[derive(Debug, PartialEq)]
enum Found {
    /// Where it begins, and how long it is, in bytes.
    At { begins: usize, size: usize },
    /// There is none, or the message is not what it should be.
    Not,
    /// What is here ends before that is known.
    Unfinished,
}

/// Looks for the data in the first bytes of a request.
fn data_at(head: &[u8]) -> Found {
    let mut at = 0;
    loop {
        let before = at;
        let tag = match varint(head, &mut at) {
            Ok(tag) => tag,
            Err(found) => return found,
        };
        let length = match tag & 7 {
            0 => varint(head, &mut at).map(|_| 0),
            1 => Ok(8),
            2 => varint(head, &mut at),
            5 => Ok(4),
            _ => Err(Found::Not),
        };
        let length = match length.map(usize::try_from) {
            Ok(Ok(length)) => length,
            Ok(Err(_)) => return Found::Not,
            Err(found) => return found,
        };
        if tag == DATA {
            // A length in more bytes than it needs is left to those who know how to read it.
            let canonical = at - before == length_of_field(length);
            return match canonical {
                true => Found::At {
                    begins: at,
                    size: length,
                },
                false => Found::Not,
            };
        }
        at = match at.checked_add(length) {
            Some(next) => next,
            None => return Found::Not,
        };
        if at >= head.len() {
            return Found::Unfinished;
        }
    }
}

/// How long the tag of the data and its length are, in bytes.
pub(super) fn length_of_field(size: usize) -> usize {
    1 + length_delimiter_len(size)
}

fn varint(bytes: &[u8], at: &mut usize) -> Result<u64, Found> {
    let mut value = 0;
    for place in 0..LONGEST_VARINT {
        let byte = *bytes.get(*at).ok_or(Found::Unfinished)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Found::Not)
}

#[allow(clippy::result_large_err)]
fn decoded<M: Message + Default>(bytes: Bytes) -> Result<M, Status> {
    let name = std::any::type_name::<M>();
    let name = name.rsplit("::").next().unwrap_or(name);
    M::decode(bytes).map_err(|error| Status::internal(format!("the message is no {name}: {error}")))
}

#[cfg(test)]
mod tests {
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    /// A body that comes in pieces.
    fn body(pieces: impl IntoIterator<Item = Bytes>) -> Body {
        let frames = pieces
            .into_iter()
            .map(|it| Ok::<_, Status>(Frame::data(it)));
        let frames: Vec<_> = frames.collect();
        Body::new(StreamBody::new(tokio_stream::iter(frames)))
    }

    fn message(encoded: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend_from_slice(&u32::try_from(encoded.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(encoded);
        bytes
    }

    /// All that is read of a body in pieces of this size.
    async fn read(bytes: &[u8], size: usize) -> Result<Vec<WriteRequest>, Status> {
        let pieces = bytes.chunks(size).map(Bytes::copy_from_slice);
        let mut incoming = Incoming::new(body(pieces));
        let mut requests = Vec::new();
        while let Some(request) = incoming.next().await? {
            requests.push(request);
        }
        Ok(requests)
    }

    fn requests() -> Vec<WriteRequest> {
        let request = |write_offset, size: usize, finish_write| WriteRequest {
            resource_name: "uploads/1/blobs/ab/12".to_owned(),
            write_offset,
            finish_write,
            data: (0..size).map(|at| at as u8).collect(),
        };
        vec![
            request(0, 1000, false),
            request(1000, 3, false),
            request(1003, 0, false),
            request(1003, 300, false),
            WriteRequest {
                resource_name: String::new(),
                ..request(1303, 200, true)
            },
            request(0, 0, true),
        ]
    }

    #[tokio::test]
    async fn requests_come_whole_whatever_they_come_in() {
        let sent = requests();
        let encoded = sent.iter().map(|it| message(&it.encode_to_vec()));
        let bytes = encoded.collect::<Vec<_>>().concat();
        for size in (1..60).chain([500, 1010, 5000]) {
            let mut parts = read(&bytes, size).await.unwrap().into_iter();
            for whole in &sent {
                let mut data = Vec::new();
                loop {
                    let part = parts.next().unwrap();
                    assert_eq!(part.resource_name, whole.resource_name);
                    assert_eq!(part.write_offset, whole.write_offset + data.len() as i64);
                    data.extend_from_slice(&part.data);
                    let ended = data.len() == whole.data.len();
                    assert_eq!(part.finish_write, ended && whole.finish_write);
                    if ended {
                        break;
                    }
                }
                assert_eq!(data, whole.data);
            }
            assert_eq!(parts.next(), None);
        }
    }

    #[tokio::test]
    async fn nothing_is_copied_of_what_came() {
        let request = &requests()[0];
        let bytes = Bytes::from(message(&request.encode_to_vec()));
        let place = bytes.as_ptr_range();
        let part = Incoming::new(body([bytes.clone()]))
            .next()
            .await
            .unwrap()
            .unwrap();
        assert_eq!(part, *request);
        assert!(place.contains(&part.data.as_ptr()));
    }

    #[tokio::test]
    async fn fields_in_any_order_and_unknown_ones_are_read() {
        let request = &requests()[0];
        let (mut head, mut data) = (request.clone(), WriteRequest::default());
        data.data = std::mem::take(&mut head.data);
        // The data first, with a field 15 that nobody knows behind it.
        let mut encoded = data.encode_to_vec();
        encoded.extend(head.encode_to_vec());
        encoded.extend([15 << 3 | 2, 1, 7]);
        // A length in more bytes than it takes.
        let mut long = head.encode_to_vec();
        long.extend([DATA as u8, 0x83, 0x80, 0x00, 1, 2, 3]);
        for size in [1, 7, 5000] {
            let read_whole = read(&message(&encoded), size).await.unwrap();
            assert_eq!(read_whole, std::slice::from_ref(request));
            let read = read(&message(&long), size).await.unwrap();
            assert_eq!(read[0].data, [1, 2, 3][..]);
            assert_eq!(read.len(), 1);
        }
    }

    #[tokio::test]
    async fn nonsense_is_an_error() {
        let whole = message(&requests()[0].encode_to_vec());
        for (bytes, expected) in [
            (whole[..whole.len() - 1].to_vec(), "ended within"),
            (whole[..3].to_vec(), "ended within"),
            ([&[1], &whole[1..]].concat(), "compressed"),
            (vec![0, 0xff, 0, 0, 0], "at most"),
            (message(&[0xff; 30]), "WriteRequest"),
            (message(&[DATA as u8, 0xff]), "WriteRequest"),
            (message(&[7]), "WriteRequest"),
            (message(&[1 << 3 | 2, 0x7f, 0]), "WriteRequest"),
        ] {
            for size in [1, 4, 5000] {
                let error = read(&bytes, size).await.unwrap_err();
                assert!(error.message().contains(expected), "{error}");
            }
        }
    }
}
