//! `anet-agent`: see the library.

fn main() -> std::process::ExitCode {
    anet_agent::command::main()
}
