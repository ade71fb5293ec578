//! Long blobs as chunks, so that of two versions of one only what differs has to travel.
//!
//! Chunks are cut where the content says so: by FastCDC (Xia et al., "The Design of Fast
//! Content-Defined Chunking for Data Deduplication Based Storage Systems", 2020), with the parameters
//! that the API recommends, so that clients cut as we do. Each chunk is a blob like any other.
//!
//! Which chunks make up a blob is remembered for those asked for of late; it can be found out again.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastcdc::v2020::{Normalization, StreamCDC};
use headstart_merkle::BlobDigest;
use headstart_reapi::reapi;
use headstart_reapi::reapi::chunking_function::Value as Function;
use headstart_store::{BlobStore, StoreError};
use tonic::Status;

use crate::status;

/// How long chunks are on average, in bytes. The least is a quarter of it, the most four times.
const AVERAGE: usize = 512 * 1024;
const LEAST: usize = AVERAGE / 4;
const MOST: usize = AVERAGE * 4;

/// Chunks up to this size are read into memory at once.
const READ_WHOLE: u64 = 4 * 1024 * 1024;

/// How many digests of chunks are remembered; one takes 40 bytes.
const REMEMBERED: usize = 100_000;

/// How clients that want to cut as we do must do it.
pub(crate) fn parameters() -> reapi::FastCdc2020Params {
    reapi::FastCdc2020Params {
        avg_chunk_size_bytes: AVERAGE as u64,
        seed: 0,
    }
}

/// What a blob is made up of.
#[derive(Debug, Clone)]
pub(crate) struct Chunks {
    /// In the order that makes up the blob.
    pub(crate) digests: Arc<[BlobDigest]>,
    /// How it was cut.
    pub(crate) function: Function,
}

/// Knows what blobs are made up of.
#[derive(Debug, Default)]
pub(crate) struct Chunking(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    chunks: HashMap<BlobDigest, Chunks>,
    /// The blobs, the one that was learned of first at the front.
    order: VecDeque<BlobDigest>,
    /// How many digests all of them have.
    digests: usize,
}

impl Known {
    fn insert(&mut self, blob: BlobDigest, chunks: Chunks) {
        self.digests += chunks.digests.len();
        match self.chunks.insert(blob, chunks) {
            Some(before) => self.digests -= before.digests.len(),
            None => self.order.push_back(blob),
        }
        while self.digests > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            let forgotten = self.chunks.remove(&oldest);
            self.digests -= forgotten.map_or(0, |chunks| chunks.digests.len());
        }
    }
}

impl Chunking {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The chunks of a blob, all of which are stored. They are cut by `wanted` if that was done before,
    /// and else by what is done here.
    #[allow(clippy::result_large_err)]
    pub(crate) fn split(
        &self,
        store: &dyn BlobStore,
        blob: BlobDigest,
        wanted: Function,
    ) -> Result<Chunks, Status> {
        let failed = |error: StoreError| status::of_store(&error);
        if !store.contains(blob).map_err(failed)? {
            return Err(failed(StoreError::Missing(blob)));
        }
        let known = self.known().chunks.get(&blob).cloned();
        let known = known.filter(|it| wanted == Function::Unknown || wanted == it.function);
        if let Some(chunks) = known
            && store.missing(&chunks.digests).map_err(failed)?.is_empty()
        {
            return Ok(chunks);
        }
        let chunks = Chunks {
            digests: cut(store, blob)?.into(),
            function: Function::FastCdc2020,
        };
        self.known().insert(blob, chunks.clone());
        Ok(chunks)
    }

    /// Makes a blob of chunks that are stored.
    #[allow(clippy::result_large_err)]
    pub(crate) fn splice(
        &self,
        store: &dyn BlobStore,
        blob: BlobDigest,
        chunks: Chunks,
    ) -> Result<(), Status> {
        let failed = |error: StoreError| status::of_store(&error);
        let sizes = chunks.digests.iter().map(BlobDigest::size);
        let size = sizes.fold(0, u64::saturating_add);
        if size != blob.size() {
            return Err(Status::invalid_argument(format!(
                "the chunks have {size} bytes together: expected those of {blob}"
            )));
        }
        let missing = store.missing(&chunks.digests).map_err(failed)?;
        // Chunks of a blob that is there were used, which has been noted; nothing else is to be done.
        if store.contains(blob).map_err(failed)? {
            return Ok(());
        }
        if let Some(first) = missing.first() {
            return Err(Status::not_found(format!(
                "{} of the {} chunks of {blob} are not here, {first} first: upload them, then splice",
                missing.len(),
                chunks.digests.len(),
            )));
        }
        join(store, blob, &chunks.digests).map_err(failed)?;
        self.known().insert(blob, chunks);
        Ok(())
    }
}

/// Cuts a blob, and stores its chunks.
#[allow(clippy::result_large_err)]
fn cut(store: &dyn BlobStore, blob: BlobDigest) -> Result<Vec<BlobDigest>, Status> {
    // The API wants blobs that could be one chunk to stay whole.
    if blob.size() <= MOST as u64 {
        return Ok(vec![blob]);
    }
    let reader = store.open(blob).map_err(|error| status::of_store(&error))?;
    let cutter = StreamCDC::with_level(reader, LEAST, AVERAGE, MOST, Normalization::Level2);
    // One after another: whoever waits for a long blob must not hold up those who want little.
    let chunks = cutter.map(|chunk| {
        let chunk = chunk.map_err(|error| of_reading(blob, error.into()))?;
        let written = store.write(chunk.data.into());
        written.map_err(|error| status::of_store(&error))
    });
    chunks.collect()
}

fn of_reading(blob: BlobDigest, error: io::Error) -> Status {
    match error.kind() {
        // The store gives nothing that is not what it should be.
        io::ErrorKind::InvalidData => Status::not_found(error.to_string()),
        _ => status::of_store(&StoreError::io(blob.to_string(), error)),
    }
}

fn join(store: &dyn BlobStore, blob: BlobDigest, chunks: &[BlobDigest]) -> Result<(), StoreError> {
    let mut writer = store.writer()?;
    let failed = |error| StoreError::io("a blob being written", error);
    for chunk in chunks {
        match chunk.size() <= READ_WHOLE {
            true => writer.write_piece(store.read(*chunk)?).map_err(failed)?,
            false => {
                let mut reader = store.open(*chunk)?;
                io::copy(&mut reader, &mut writer).map_err(failed)?;
            }
        }
    }
    writer.finish(Some(blob)).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Content without patterns, of some MiB.
    fn content(seed: u64, size: usize) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            // splitmix64
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ mixed >> 31
        };
        (0..size / 8).flat_map(|_| next().to_le_bytes()).collect()
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut known = Known::default();
        let chunks = |count: usize| Chunks {
            digests: vec![BlobDigest::of(b"chunk"); count].into(),
            function: Function::FastCdc2020,
        };
        let blob = |number: usize| BlobDigest::of(number.to_string().as_bytes());
        for number in 0..5 {
            known.insert(blob(number), chunks(REMEMBERED / 3));
            // A blob that is cut anew does not count twice.
            known.insert(blob(number), chunks(REMEMBERED / 3));
        }
        assert_eq!(known.chunks.len(), 3);
        assert_eq!(known.digests, REMEMBERED / 3 * 3);
        assert!(known.chunks.contains_key(&blob(4)) && !known.chunks.contains_key(&blob(1)));
        known.insert(blob(5), chunks(REMEMBERED * 2));
        assert_eq!((known.chunks.len(), known.digests), (0, 0));
    }

    /// Where the API's own implementations cut; found with the one in Rust that it names, version 3.2.1.
    #[test]
    fn chunks_are_cut_where_everybody_does() {
        let store = headstart_store::MemoryBlobs::default();
        let content = content(1, 8 << 20);
        let blob = store.write(content.into()).unwrap();
        let sizes: Vec<u64> = cut(&store, blob)
            .unwrap()
            .iter()
            .map(BlobDigest::size)
            .collect();
        let expected = [
            278_755, 570_329, 257_106, 712_040, 921_477, 563_668, 530_635, 157_902, 564_844,
            549_231, 622_370, 673_740, 877_504, 214_918, 572_224, 321_865,
        ];
        assert_eq!(sizes, expected);
    }
}
