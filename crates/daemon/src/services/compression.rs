//! Blobs that travel compressed.

use std::io::Read;

use bytes::Bytes;
use headstart_merkle::BlobDigest;
use headstart_reapi::reapi::compressor::Value as Compressor;
use tonic::Status;

use super::MAX_BATCH;

/// What can be taken and given besides plain content.
pub(crate) const SUPPORTED: [i32; 1] = [Compressor::Zstd as i32];

/// The content of a blob that came with a message.
#[allow(clippy::result_large_err)]
pub(crate) fn expanded(
    data: Bytes,
    compressor: i32,
    expected: BlobDigest,
) -> Result<Bytes, Status> {
    match Compressor::try_from(compressor) {
        Ok(Compressor::Identity) => Ok(data),
        Ok(Compressor::Zstd) => {
            if expected.size() > MAX_BATCH {
                return Err(Status::invalid_argument(format!(
                    "{expected} is too large for a batch: expected {MAX_BATCH} bytes at most; use \
                     ByteStream"
                )));
            }
            // One byte more than expected is enough to tell that it is wrong.
            let mut content = Vec::new();
            let limit = expected.size().saturating_add(1);
            zstd::Decoder::new(&*data)
                .and_then(|decoder| decoder.take(limit).read_to_end(&mut content))
                .map_err(|error| {
                    Status::invalid_argument(format!("{expected} is not valid zstd: {error}"))
                })?;
            Ok(content.into())
        }
        _ => Err(Status::invalid_argument(
            "compressor: expected none or zstd, which is what the capabilities name",
        )),
    }
}
