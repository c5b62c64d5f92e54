//! Saying that a test cannot run here, and why.

use std::path::Path;

/// Prints `skipped: TEST: REASON`, the line that `make test` counts. The caller returns after it.
pub fn skip(test: &str, reason: &str) {
    println!("skipped: {test}: {}", reason.replace('\n', " "));
}

/// True where this process is root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Why a test that needs root, TUN/TAP and `tools` cannot run here, or `None` where it can.
///
/// ```
/// # fn my_test() {
/// if let Some(reason) = anet_lab::missing_for(&["ping", "iperf3"]) {
///     return anet_lab::skip("my_test", &reason);
/// }
/// # }
/// ```
pub fn missing_for(tools: &[&str]) -> Option<String> {
    if !is_root() {
        return Some("needs root, for network namespaces".to_owned());
    }
    if !Path::new("/dev/net/tun").exists() {
        return Some("needs /dev/net/tun (modprobe tun)".to_owned());
    }
    let missing = std::iter::once(&"ip")
        .chain(tools)
        .find(|tool| !is_installed(tool));
    missing.map(|tool| format!("needs `{tool}`; scripts/install-packages installs it"))
}

fn is_installed(tool: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/sbin"]);
    folders
        .into_iter()
        .any(|folder| Path::new(folder).join(tool).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_found_and_missed() {
        assert!(is_installed("sh"));
        assert!(!is_installed("no-such-program-anywhere"));
    }
}
