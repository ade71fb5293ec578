//! Clients whose gRPC names the path of a unix socket as the authority of their requests.
//!
//! gRPC's C core, and with it Python's and recc's, sends `:authority: run%2Fserver.sock`; programs in Go
//! send `run/server.sock`, in Huffman's code. That is not a valid authority, and the HTTP/2
//! implementation below tonic refuses such requests before anybody can look at them. So the header is
//! mended on its way in: each `%` and `/` in it becomes a `-`. As lengths stay the same, nothing else of
//! the stream changes, and neither do the tables of HPACK (RFC 7541).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tonic::transport::server::Connected;

use crate::through::write_through;

/// What each connection begins with, in bytes.
const PREFACE: usize = 24;
/// A frame's own header, in bytes.
const FRAME_HEADER: usize = 9;
/// The type of frames that begin a request.
const HEADERS: u8 = 1;
/// Requests' headers that are longer are left as they are.
const LONGEST: usize = 64 * 1024;
/// The place of `:authority` in HPACK's static table.
const AUTHORITY: usize = 1;

/// A connection whose requests' authorities are mended.
pub(crate) struct Mended<S> {
    inner: S,
    at: At,
    /// Read and not passed on yet.
    pending: Vec<u8>,
    /// How much of it has been.
    passed: usize,
}

/// Where in the stream of frames the next byte is.
enum At {
    /// Bytes that are passed on as they are.
    Passing(usize),
    /// In a frame's header, of which this much has come.
    Frame([u8; FRAME_HEADER], usize),
    /// In the payload of a HEADERS frame, which is held back until it is whole.
    Holding {
        flags: u8,
        held: Vec<u8>,
        length: usize,
    },
}

impl<S> Mended<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self {
            inner,
            at: At::Passing(PREFACE),
            pending: Vec::new(),
            passed: 0,
        }
    }

    /// Takes in what came; gives how much of its beginning can be passed on right away. The rest is held
    /// back, or pending.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let mut direct = 0;
        let mut left = bytes;
        while !left.is_empty() {
            let (used, held) = self.step(left);
            // Once something is held back, all that follows has to wait for it.
            if !held {
                if self.pending.is_empty() {
                    direct += used;
                } else {
                    self.pending.extend_from_slice(&left[..used]);
                }
            }
            left = &left[used..];
            if let At::Holding {
                flags,
                held,
                length,
            } = &mut self.at
                && held.len() == *length
            {
                mend(*flags, held);
                self.pending.append(held);
                self.at = At::Frame([0; FRAME_HEADER], 0);
            }
        }
        direct
    }

    /// Goes on with the first bytes; says how many they were, and whether they are held back.
    fn step(&mut self, bytes: &[u8]) -> (usize, bool) {
        match &mut self.at {
            At::Passing(left) => {
                let used = (*left).min(bytes.len());
                *left -= used;
                if *left == 0 {
                    self.at = At::Frame([0; FRAME_HEADER], 0);
                }
                (used, false)
            }
            At::Frame(header, have) => {
                let used = (FRAME_HEADER - *have).min(bytes.len());
                header[*have..*have + used].copy_from_slice(&bytes[..used]);
                *have += used;
                if *have == FRAME_HEADER {
                    self.at = payload(*header);
                }
                (used, false)
            }
            At::Holding { held, length, .. } => {
                let used = (*length - held.len()).min(bytes.len());
                held.extend_from_slice(&bytes[..used]);
                (used, true)
            }
        }
    }
}

/// What follows a frame's header.
fn payload(header: [u8; FRAME_HEADER]) -> At {
    let [a, b, c, kind, flags, ..] = header;
    let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
    match (kind, length) {
        (_, 0) => At::Frame([0; FRAME_HEADER], 0),
        (HEADERS, 1..=LONGEST) => At::Holding {
            flags,
            held: Vec::with_capacity(length),
            length,
        },
        _ => At::Passing(length),
    }
}

/// Mends the payload of a HEADERS frame. What is not understood stays as it is.
fn mend(flags: u8, payload: &mut [u8]) {
    const PADDED: u8 = 0x8;
    const PRIORITY: u8 = 0x20;
    let padding = match (flags & PADDED != 0, payload.first()) {
        (true, Some(padding)) => usize::from(*padding),
        _ => 0,
    };
    let begin = usize::from(flags & PADDED != 0) + if flags & PRIORITY != 0 { 5 } else { 0 };
    let end = payload.len().saturating_sub(padding);
    if let Some(block) = payload.get_mut(begin..end) {
        let _ = mend_block(block);
    }
}

/// Mends a block of header fields; `None` if it ends within one.
fn mend_block(block: &mut [u8]) -> Option<()> {
    let mut at = 0;
    while let Some(&first) = block.get(at) {
        let (prefix, has_value) = match first {
            // An indexed field, a literal that is remembered, a new size of the table, other literals.
            0x80.. => (7, false),
            0x40..0x80 => (6, true),
            0x20..0x40 => (5, false),
            _ => (4, true),
        };
        let index = integer(block, &mut at, prefix)?;
        if !has_value {
            continue;
        }
        let mut is_authority = index == AUTHORITY;
        if index == 0 {
            let (_, name) = string(block, &mut at)?;
            is_authority = block[name] == *b":authority";
        }
        let (huffman, value) = string(block, &mut at)?;
        match (is_authority, huffman) {
            (false, _) => {}
            (true, true) => mend_code(&mut block[value]),
            (true, false) => {
                let text = block[value].iter_mut();
                for byte in text.filter(|byte| matches!(**byte, b'%' | b'/')) {
                    *byte = b'-';
                }
            }
        }
    }
    Some(())
}

/// How many of the codes in RFC 7541, appendix B, have each length in bits. They are consecutive numbers
/// within a length, so that this is enough to tell where each ends.
const CODES: [u32; 31] = [
    0, 0, 0, 0, 0, 10, 26, 32, 6, 0, 5, 3, 2, 6, 2, 3, 0, 0, 0, 3, 8, 13, 26, 29, 12, 4, 15, 19,
    29, 0, 4,
];
/// The codes of `%`, `/` and `-`, and the length of all three in bits.
const PERCENT: u8 = 0x15;
const SLASH: u8 = 0x18;
const MINUS: u8 = 0x16;
const LENGTH: usize = 6;

/// Mends a text in Huffman's code.
fn mend_code(text: &mut [u8]) {
    let mut at = 0;
    while let Some(length) = code_length(text, at) {
        let bits = at..at + LENGTH;
        let code = |text: &[u8]| bits.clone().fold(0, |code, at| code << 1 | bit(text, at));
        if length == LENGTH && matches!(code(text), PERCENT | SLASH) {
            for (place, at) in bits.rev().enumerate() {
                let mask = 0x80 >> (at % 8);
                match MINUS >> place & 1 {
                    0 => text[at / 8] &= !mask,
                    _ => text[at / 8] |= mask,
                }
            }
        }
        at += length;
    }
}

/// How many bits the code that begins at a bit has; `None` if the text ends within it.
fn code_length(text: &[u8], at: usize) -> Option<usize> {
    let (mut code, mut first) = (0_u32, 0_u32);
    for (length, count) in CODES.iter().enumerate().skip(1) {
        let at = at + length - 1;
        if at >= text.len() * 8 {
            return None;
        }
        code = code << 1 | u32::from(bit(text, at));
        first = (first + CODES[length - 1]) << 1;
        if code - first < *count {
            return Some(length);
        }
    }
    None
}

fn bit(text: &[u8], at: usize) -> u8 {
    text[at / 8] >> (7 - at % 8) & 1
}

/// A string: whether it is in Huffman's code, and where it is.
fn string(block: &[u8], at: &mut usize) -> Option<(bool, std::ops::Range<usize>)> {
    let huffman = block.get(*at)? & 0x80 != 0;
    let length = integer(block, at, 7)?;
    let range = *at..at.checked_add(length)?;
    block.get(range.clone())?;
    *at = range.end;
    Some((huffman, range))
}

/// An integer whose first `prefix` bits are in the byte at `at`.
fn integer(block: &[u8], at: &mut usize, prefix: u32) -> Option<usize> {
    let most = (1_usize << prefix) - 1;
    let mut value = usize::from(*block.get(*at)?) & most;
    *at += 1;
    if value < most {
        return Some(value);
    }
    for shift in (0..28).step_by(7) {
        let byte = usize::from(*block.get(*at)?);
        *at += 1;
        value += (byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

impl<S: AsyncRead + Unpin> AsyncRead for Mended<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.passed < self.pending.len() {
                let rest = &self.pending[self.passed..];
                let size = rest.len().min(buffer.remaining());
                buffer.put_slice(&rest[..size]);
                self.passed += size;
                if self.passed == self.pending.len() {
                    self.pending.clear();
                    self.passed = 0;
                }
                return Poll::Ready(Ok(()));
            }
            let before = buffer.filled().len();
            ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
            let after = buffer.filled().len();
            if after == before {
                return Poll::Ready(Ok(()));
            }
            let direct = self.take(&buffer.filled()[before..]);
            buffer.set_filled(before + direct);
            if direct > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

write_through!(Mended);

impl<S: Connected> Connected for Mended<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.inner.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame.
    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags, 0, 0, 0, 1]);
        frame.extend(payload);
        frame
    }

    /// A block with a method, an authority in both ways of naming it, and a field of its own that looks
    /// like one.
    fn block(authority: &str) -> Vec<u8> {
        let mut block = vec![0x83, 0x41, authority.len() as u8];
        block.extend(authority.bytes());
        block.extend(b"\x40\x0a:authority");
        block.push(authority.len() as u8);
        block.extend(authority.bytes());
        block.extend([0x00, 2, b'a', b'%', 3, b'b', b'%', b'c', 0xff, 0x80, 0x01]);
        block
    }

    fn stream(authority: &str) -> Vec<u8> {
        let mut stream = vec![b'%'; PREFACE];
        stream.extend(frame(4, 0, b"%%%%%%"));
        stream.extend(frame(HEADERS, 4, &block(authority)));
        stream.extend(frame(0, 1, &[b'%'; 1000]));
        let mut padded = vec![2, 0, 0, 0, 0, b'%'];
        padded.extend(block(authority));
        padded.extend(*b"%%");
        stream.extend(frame(HEADERS, 4 | 0x8 | 0x20, &padded));
        stream.extend(frame(HEADERS, 4, &[]));
        stream
    }

    #[test]
    fn authorities_are_mended_however_the_stream_is_cut() {
        let (sent, expected) = (stream("run%2Fa.sock"), stream("run-2Fa.sock"));
        for size in [1, 2, 7, 24, 33, 100, sent.len()] {
            let mut mended = Mended::new(());
            let mut received = Vec::new();
            for piece in sent.chunks(size) {
                let direct = mended.take(piece);
                received.extend_from_slice(&piece[..direct]);
                received.append(&mut mended.pending);
            }
            assert_eq!(received, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_not_understood_is_passed_on() {
        for payload in [
            &[0x41_u8, 0xff, 0xff, 0xff, 0xff, 0xff][..],
            &[0x41, 9, b'%'],
            &[0x7f],
        ] {
            let mut changed = payload.to_vec();
            mend(0, &mut changed);
            assert_eq!(changed, payload);
            mend(0x28, &mut changed);
            assert_eq!(changed, payload);
        }
    }

    #[test]
    fn codes_are_mended_where_they_are() {
        // `www.example.com` as RFC 7541, C.4.1 has it.
        let example = [
            0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
        ];
        let mut text = example;
        mend_code(&mut text);
        assert_eq!(text, example);
        // `a/b%c`, `a-b-c`, and a longer code before them: `a` 00011, `b` 100011, `c` 00100, `!` 10 bits.
        for (before, after) in [
            (
                "00011 011000 100011 010101 00100",
                "00011 010110 100011 010110 00100",
            ),
            ("1111111000 011000 00011", "1111111000 010110 00011"),
            // Across two codes the bits of one mean nothing.
            ("00101 010110", "00101 010110"),
        ] {
            let mut text = bytes(before);
            mend_code(&mut text);
            assert_eq!(text, bytes(after), "{before}");
        }
    }

    /// Bits as bytes, filled with ones as RFC 7541 has it.
    fn bytes(bits: &str) -> Vec<u8> {
        let bits: Vec<_> = bits.bytes().filter(|bit| *bit != b' ').collect();
        let byte = |bits: &[u8]| {
            (0..8).fold(0, |byte, at| {
                byte << 1 | u8::from(bits.get(at).is_none_or(|bit| *bit == b'1'))
            })
        };
        bits.chunks(8).map(byte).collect()
    }

    #[tokio::test]
    async fn readers_see_the_mended_stream() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut client, server) = tokio::io::duplex(16);
        let sent = stream("a%2Fb");
        let writing = tokio::spawn(async move { client.write_all(&sent).await });
        let mut received = Vec::new();
        Mended::new(server)
            .read_to_end(&mut received)
            .await
            .unwrap();
        writing.await.unwrap().unwrap();
        assert_eq!(received, stream("a-2Fb"));
    }
}
