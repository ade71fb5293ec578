//! Clients that say nothing, or take nothing.

use std::time::{Duration, Instant};

use headstart_daemon::Patience;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::*;

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(30);

/// A server that waits only for what is set here.
fn patience() -> Patience {
    Patience::with_neighbours()
}

async fn asks(channel: Channel) -> Result<(), tonic::Status> {
    let mut capabilities = CapabilitiesClient::new(channel);
    let request = reapi::GetCapabilitiesRequest::default();
    capabilities.get_capabilities(request).await.map(|_| ())
}

#[tokio::test]
async fn who_connects_and_asks_for_nothing_is_left_alone() {
    let world = World::with(Patience {
        greeting: Some(SHORT),
        ..patience()
    })
    .await;
    let mut silent = UnixStream::connect(world.socket()).await.unwrap();
    let mut said = Vec::new();
    let ended = timeout(LONG, silent.read_to_end(&mut said)).await;
    assert!(ended.is_ok(), "the connection stays open");
    asks(world.connect().await).await.unwrap();
}

#[tokio::test]
async fn who_asks_for_nothing_more_makes_room_but_not_who_waits() {
    let world = World::with(Patience {
        idle: Some(SHORT),
        connections: 1,
        ..patience()
    })
    .await;
    // The world's own connection is the only one, and waits for an action that does not end.
    let write = |bytes: Vec<u8>| world.store.write(bytes.into()).unwrap();
    let command = reapi::Command {
        arguments: vec!["endless".into()],
        ..Default::default()
    };
    let command = write(command.encode_to_vec());
    let action = reapi::Action {
        command_digest: Some(command.into()),
        input_root_digest: Some(write(Directory::default().encode().to_vec()).into()),
        ..Default::default()
    };
    let request = reapi::ExecuteRequest {
        action_digest: Some(write(action.encode_to_vec()).into()),
        ..Default::default()
    };
    let mut execution = ExecutionClient::new(world.channel.clone());
    let states = execution.execute(request).await.unwrap().into_inner();
    let next = world.connect().await;
    let early = timeout(SHORT * 5, asks(next.clone())).await;
    assert!(early.is_err(), "who waits was not left its place");
    drop(states);
    let begun = Instant::now();
    timeout(LONG, asks(next)).await.unwrap().unwrap();
    assert!(begun.elapsed() >= SHORT / 2, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_upload_that_stalls_is_ended_and_kept() {
    let world = World::with(Patience {
        stall: Some(SHORT),
        ..patience()
    })
    .await;
    let content = vec![b'x'; 3 << 20];
    let digest = BlobDigest::of(&content);
    let name = format!("uploads/1/blobs/{}/{}", digest.hex(), digest.size());
    let (pieces, stream) = tokio::sync::mpsc::channel(2);
    let half = 1 << 20;
    let first = piece(&name, 0, &content[..half], false);
    pieces.send(first).await.unwrap();
    let stream = tokio_stream::wrappers::ReceiverStream::new(stream);
    let ended = timeout(LONG, world.bytes().write(stream)).await.unwrap();
    let error = ended.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
    let rest = tokio_stream::iter([piece(&name, half, &content[half..], true)]);
    world.bytes().write(rest).await.unwrap();
    assert_eq!(world.store.read(digest).unwrap(), content);
    drop(pieces);
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_ended_with_an_error() {
    let world = World::with(Patience {
        stall: Some(SHORT),
        ..patience()
    })
    .await;
    let content = vec![b'x'; 32 << 20];
    let digest = world.store.write(content.into()).unwrap();
    let request = || ReadRequest {
        resource_name: format!("blobs/{}/{}", digest.hex(), digest.size()),
        ..Default::default()
    };
    let mut stream = world.bytes().read(request()).await.unwrap().into_inner();
    tokio::time::sleep(SHORT * 4).await;
    let mut received = 0;
    let error = loop {
        match timeout(LONG, stream.message()).await.unwrap() {
            Ok(Some(piece)) => received += piece.data.len() as u64,
            Ok(None) => panic!("{received} bytes of {digest} were called all"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
    let mut stream = world.bytes().read(request()).await.unwrap().into_inner();
    let mut received = 0;
    while let Some(piece) = stream.message().await.unwrap() {
        received += piece.data.len() as u64;
    }
    assert_eq!(received, digest.size());
}
