//! Compiles the protobuf messages, without `protoc`.

use std::error::Error;

const FILES: [&str; 3] = [
    "proto/host_plan.proto",
    "proto/control.proto",
    "proto/session.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    FILES
        .iter()
        .for_each(|file| println!("cargo:rerun-if-changed={file}"));
    let descriptors = protox::compile(FILES, ["proto"])?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}
