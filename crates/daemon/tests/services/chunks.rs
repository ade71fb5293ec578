//! Long blobs that travel in chunks.

use std::collections::HashSet;

use headstart_reapi::reapi::chunking_function::Value as Function;

use super::*;

/// Bytes without a pattern.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let hashes = (0_u64..).flat_map(|block| {
        let block = format!("{seed} {block}");
        *BlobDigest::of(block.as_bytes()).hash()
    });
    hashes.take(size).collect()
}

struct Client(ContentAddressableStorageClient<Channel>);

impl Client {
    fn of(world: &World) -> Self {
        Self(ContentAddressableStorageClient::new(world.channel.clone()))
    }

    async fn split(&mut self, blob: BlobDigest) -> Result<Vec<BlobDigest>, tonic::Status> {
        let request = reapi::SplitBlobRequest {
            blob_digest: Some(blob.into()),
            chunking_function: Function::FastCdc2020 as i32,
            ..Default::default()
        };
        let response = self.0.split_blob(request).await?.into_inner();
        assert_eq!(response.chunking_function(), Function::FastCdc2020);
        let chunks = response.chunk_digests.iter();
        Ok(chunks.map(|chunk| chunk.try_into().unwrap()).collect())
    }

    async fn splice(
        &mut self,
        blob: BlobDigest,
        chunks: &[BlobDigest],
    ) -> Result<(), tonic::Status> {
        let request = reapi::SpliceBlobRequest {
            blob_digest: Some(blob.into()),
            chunk_digests: chunks.iter().map(|chunk| (*chunk).into()).collect(),
            ..Default::default()
        };
        let response = self.0.splice_blob(request).await?.into_inner();
        assert_eq!(response.blob_digest, Some(blob.into()));
        Ok(())
    }
}

#[tokio::test]
async fn of_two_versions_only_what_differs_has_to_travel() {
    let (theirs, ours) = (World::new().await, World::new().await);
    let mut capabilities = CapabilitiesClient::new(ours.channel.clone());
    let told = capabilities
        .get_capabilities(reapi::GetCapabilitiesRequest::default())
        .await
        .unwrap();
    let told = told.into_inner().cache_capabilities.unwrap();
    assert!(told.split_blob_support && told.splice_blob_support);
    let parameters = told.fast_cdc_2020_params.unwrap();
    assert_eq!(
        (parameters.avg_chunk_size_bytes, parameters.seed),
        (512 << 10, 0)
    );

    let mut content = noise(1, 12 << 20);
    let first = theirs.store.write(content.clone().into()).unwrap();
    ours.store.write(content.clone().into()).unwrap();
    // A few bytes in the middle move all that follows.
    content.splice(6 << 20..6 << 20, *b"inserted");
    let second = theirs.store.write(content.clone().into()).unwrap();

    let (mut there, mut here) = (Client::of(&theirs), Client::of(&ours));
    let before: HashSet<_> = here.split(first).await.unwrap().into_iter().collect();
    let chunks = there.split(second).await.unwrap();
    let sizes: u64 = chunks.iter().map(BlobDigest::size).sum();
    assert_eq!(sizes, second.size());
    let new: Vec<_> = chunks.iter().filter(|it| !before.contains(it)).collect();
    let travels: u64 = new.iter().map(|chunk| chunk.size()).sum();
    assert!(travels < 5 << 20, "{travels} of {sizes} bytes travel");

    let refused = here.splice(second, &chunks).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound, "{refused}");
    for chunk in new {
        ours.store
            .write(theirs.store.read(*chunk).unwrap())
            .unwrap();
    }
    let mut mixed = chunks.clone();
    mixed.swap(0, 1);
    let mistaken = here.splice(second, &mixed).await.unwrap_err();
    assert_eq!(mistaken.code(), Code::InvalidArgument, "{mistaken}");
    let short = here.splice(second, &chunks[1..]).await.unwrap_err();
    assert_eq!(short.code(), Code::InvalidArgument, "{short}");
    assert!(!ours.store.contains(second).unwrap());
    here.splice(second, &chunks).await.unwrap();
    assert_eq!(ours.store.read(second).unwrap(), content);
    // What is there need not be spliced again, and is cut as it was.
    here.splice(second, &chunks).await.unwrap();
    assert_eq!(here.split(second).await.unwrap(), chunks);
}

#[tokio::test]
async fn what_is_short_stays_whole_and_what_is_not_there_is_not_found() {
    let world = World::new().await;
    let mut client = Client::of(&world);
    let short = world.store.write(noise(2, 1 << 20).into()).unwrap();
    assert_eq!(client.split(short).await.unwrap(), [short]);
    let missing = client.split(BlobDigest::of(b"nowhere")).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    let nothing = BlobDigest::of(b"");
    client.splice(nothing, &[]).await.unwrap();
    let huge = BlobDigest::new([7; 32], u64::MAX / 4);
    let refused = client.splice(huge, &[huge; 4]).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}
