//! Servers behind the daemon that are gone, slow, or have something else than they say.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use headstart_merkle::BlobDigest;
use tempfile::TempDir;
use tonic::Code;

use super::calls::{download, download_stream, is_missing, upload};
use super::daemon::Daemon;
use crate::support::Server;

/// Our daemon with a server behind it.
fn in_front_of(url: &str) -> Daemon {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headstart"));
    command.arg("casd");
    let remote = format!("--cas-remote={url}");
    let options = [
        &*remote,
        "--cas-retry-limit=1",
        "--cas-retry-delay=10",
        "--cas-request-timeout=2",
    ];
    Daemon::start(command, TempDir::new().unwrap(), &options)
}

#[tokio::test]
async fn a_server_that_is_gone_is_told_of_and_found_again() {
    let mut server = Server::ours();
    let daemon = in_front_of(&server.url());
    let channel = daemon.connect().await;
    let here = upload(&channel, vec![b"here".to_vec()]).await.unwrap()[0].0;
    server.stop();
    let begun = Instant::now();
    let elsewhere = BlobDigest::of(b"elsewhere");
    let status = download(&channel, elsewhere).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(status.message().contains(&server.url()), "{status:?}");
    let status = download_stream(&channel, elsewhere).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    // What is here needs nobody.
    assert_eq!(download(&channel, here).await.unwrap(), b"here");
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    server.run();
    // It is left alone for a while.
    let begun = Instant::now();
    loop {
        match is_missing(&channel, elsewhere).await {
            Ok(missing) => break assert!(missing),
            Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status:?}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(120));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_waited_for() {
    // It takes connections, and that is all.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let daemon = in_front_of(&format!("http://{}", silent.local_addr().unwrap()));
    let channel = daemon.connect().await;
    let begun = Instant::now();
    let status = download(&channel, BlobDigest::of(b"elsewhere"))
        .await
        .unwrap_err();
    assert!(
        matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded),
        "{status:?}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn what_a_server_has_wrongly_is_neither_served_nor_kept() {
    let server = Server::real();
    let daemon = in_front_of(&server.url());
    let channel = daemon.connect().await;
    let contents = [b"small".repeat(100), b"large".repeat(1_000_000)];
    let digests = contents.each_ref().map(|content| BlobDigest::of(content));
    let upstream = tonic::transport::Endpoint::from_shared(server.url()).unwrap();
    let upstream = upstream.connect().await.unwrap();
    for (content, digest) in contents.iter().zip(digests) {
        super::calls::upload_stream(&upstream, content, digest.size())
            .await
            .unwrap();
        let mut wrong = content.clone();
        wrong[10] ^= 1;
        server.damage(&digest.hex(), &wrong);
        for read in [
            download_stream(&channel, digest).await,
            match content.len() {
                ..100_000 => download(&channel, digest).await,
                // No batch is as large.
                _ => download_stream(&channel, digest).await,
            },
        ] {
            let status = read.expect_err("what is wrong was served");
            assert_ne!(status.code(), Code::Ok);
            assert!(status.message().contains(&digest.hex()), "{status:?}");
        }
        assert!(!daemon.has(&digest.hex()));
        server.damage(&digest.hex(), content);
        assert_eq!(&download_stream(&channel, digest).await.unwrap(), content);
        assert!(daemon.has(&digest.hex()));
    }
}
