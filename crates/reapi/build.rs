//! Compiles `proto/` to Rust, without protoc.

use std::error::Error;

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    let protos = [
        "build/bazel/remote/asset/v1/remote_asset.proto",
        "build/bazel/remote/execution/v2/remote_execution.proto",
        "build/buildgrid/local_cas.proto",
        "buildstream/v2/artifact.proto",
        "buildstream/v2/source.proto",
        "buildstream/v2/speculative_actions.proto",
        "google/bytestream/bytestream.proto",
        "google/rpc/error_details.proto",
    ];
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(protos, ["proto"])?;
    let folder = std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    let file = std::path::Path::new(&folder).join("descriptors.bin");
    std::fs::write(file, descriptors.encode_to_vec())?;
    let server = std::env::var_os("CARGO_FEATURE_SERVER").is_some();
    tonic_prost_build::configure()
        .build_server(server)
        .bytes(".")
        .include_file("protos.rs")
        .compile_fds(descriptors)?;
    Ok(())
}
