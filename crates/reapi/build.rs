//! Compiles `proto/` to Rust, without protoc.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let protos = [
        "build/bazel/remote/execution/v2/remote_execution.proto",
        "buildstream/v2/artifact.proto",
        "buildstream/v2/source.proto",
        "buildstream/v2/speculative_actions.proto",
        "google/bytestream/bytestream.proto",
    ];
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(protos, ["proto"])?;
    let server = std::env::var_os("CARGO_FEATURE_SERVER").is_some();
    tonic_prost_build::configure()
        .build_server(server)
        .bytes(".")
        .include_file("protos.rs")
        .compile_fds(descriptors)?;
    Ok(())
}
