//! The client keeps the promises of a store, whoever the server is.

use std::sync::Arc;

use headstart_merkle::{ActionDigest, BlobDigest, Directory, FileNode, Name, Node, tree_blobs};
use headstart_reapi::reapi;
use headstart_remote::{
    Part, References, Remote, RemoteActionCache, RemoteBlobs, RemoteSettings, Wire,
};
use headstart_store::{ActionCache, BlobStore, Directories, MemoryBlobs, conformance};

use crate::support::Server;

fn connect(server: &Server) -> Remote {
    Remote::new(RemoteSettings::new(server.url()), &Wire::new().unwrap()).unwrap()
}

/// Something that compresses, and is larger than any batch.
fn large() -> Vec<u8> {
    (0..9_000_000u32).map(|n| (n / 1000 * 7) as u8).collect()
}

fn check(server: &Server) {
    let remote = connect(server);
    let blobs = RemoteBlobs::new(remote.clone());
    conformance::check_blobs(&blobs);
    let mut writer = blobs.writer().unwrap();
    std::io::Write::write_all(&mut writer, &large()).unwrap();
    let digest = writer.finish(None).unwrap();
    assert_eq!(digest, BlobDigest::of(&large()));
    assert_eq!(blobs.read(digest).unwrap(), large());
    let mut streamed = Vec::new();
    std::io::Read::read_to_end(&mut blobs.open(digest).unwrap(), &mut streamed).unwrap();
    assert_eq!(BlobDigest::of(&streamed), digest);

    let cache = RemoteActionCache::new(remote.clone());
    let action = ActionDigest::of(b"an action");
    assert!(cache.get(action).unwrap().is_none());
    let result = reapi::ActionResult {
        stdout_raw: "hello".into(),
        ..Default::default()
    };
    cache.put(action, &result.clone().into()).unwrap();
    let found = cache.get(action).unwrap().unwrap();
    assert_eq!(found.message().stdout_raw, result.stdout_raw);

    let (here, there) = (MemoryBlobs::default(), MemoryBlobs::default());
    let node = |content: &'static [u8]| {
        let digest = here.write(content.into()).unwrap();
        Node::File(FileNode::new(digest, false))
    };
    let name = |name: &str| Name::new(name).unwrap();
    let below = Directory {
        entries: [(name("one"), node(b"1")), (name("two"), node(b"2"))].into(),
        ..Directory::default()
    };
    here.write(below.encode()).unwrap();
    let root = Directory {
        entries: [
            (name("a"), Node::Directory(below.digest())),
            (name("b"), Node::Directory(below.digest())),
            (name("c"), node(b"3")),
        ]
        .into(),
        ..Directory::default()
    };
    here.write(root.encode()).unwrap();
    let here: Arc<dyn BlobStore> = Arc::new(here);
    let sent = tree_blobs(&Directories::new(Arc::clone(&here)), root.digest(), true).unwrap();
    assert_eq!(sent.len(), 5);
    let into: Arc<dyn BlobStore> = Arc::new(there.clone());
    let trees = vec![root.digest()];
    let missing = remote.download_trees(trees.clone(), Part::Everything, &into);
    assert_eq!(missing.unwrap(), [root.digest().blob()]);
    assert_eq!(remote.upload(sent.clone(), &here).unwrap().blobs, 5);
    let missing = remote.download_trees(trees.clone(), Part::Directories, &into);
    assert_eq!(missing.unwrap(), []);
    assert_eq!(there.missing(&sent).unwrap().len(), 3, "the files");
    let missing = remote.download_trees(trees, Part::Everything, &into);
    assert_eq!(missing.unwrap(), []);
    assert_eq!(there.missing(&sent).unwrap(), []);

    let uris = || {
        vec![
            "urn:x-test:nothing".to_owned(),
            "urn:x-test:tree".to_owned(),
        ]
    };
    assert_eq!(remote.fetch_directory(uris()).unwrap(), None);
    assert_eq!(remote.fetch_blob(uris()).unwrap(), None);
    let of_tree = || vec!["urn:x-test:tree".to_owned()];
    let references = References::default();
    remote
        .push_directory(of_tree(), root.digest(), &references)
        .unwrap();
    assert_eq!(remote.fetch_directory(uris()).unwrap(), Some(root.digest()));
    let references = References {
        blobs: vec![BlobDigest::of(b"1")],
        directories: vec![root.digest()],
    };
    remote.push_blob(of_tree(), digest, &references).unwrap();
    assert_eq!(remote.fetch_blob(uris()).unwrap(), Some(digest));
}

#[test]
fn with_our_own_server() {
    let server = Server::ours();
    check(&server);
    // The real one does not look at sizes.
    conformance::check_sizes(&RemoteBlobs::new(connect(&server)));
    let abilities = connect(&server).abilities().unwrap();
    assert!(abilities.zstd && abilities.executes && abilities.updates);
}

#[test]
fn with_the_real_one() {
    check(&Server::real());
}
