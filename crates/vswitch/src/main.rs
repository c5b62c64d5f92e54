//! `anet-vswitch`: see the library.

fn main() -> std::process::ExitCode {
    anet_vswitch::command::main()
}
