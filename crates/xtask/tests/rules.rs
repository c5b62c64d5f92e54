//! The tree keeps its rules, and each rule sees a violation when there is one.
#![allow(clippy::unwrap_used, reason = "a test may")]

use anet_xtask::rules::{self, Exception, RULES, Violation};
use anet_xtask::source::{SourceFile, read_tree, repository};

#[test]
fn the_tree_keeps_its_rules() {
    let files = read_tree(&repository());
    assert!(
        files.iter().any(|file| file.path == "Cargo.toml"),
        "this is the tree"
    );
    let broken = RULES
        .iter()
        .flat_map(|(name, rule)| rule(&files).into_iter().map(move |v| format!("{name}: {v}")));
    let broken: Vec<String> = broken.collect();
    assert!(
        broken.is_empty(),
        "{} violations:\n{}",
        broken.len(),
        broken.join("\n")
    );
}

/// `bad` breaks the rule once per text, and `good` keeps it. Each is (path, text).
fn check(rule: rules::Rule, bad: &[(&str, &str)], good: &[(&str, &str)]) {
    let run = |(path, text): &(&str, &str)| rule(&[SourceFile::planted(path, text)]);
    for planted in bad {
        let found: Vec<Violation> = run(planted);
        assert!(
            !found.is_empty() && found.iter().all(|v| v.path == planted.0),
            "{planted:?} gave {found:?}"
        );
    }
    for fine in good {
        assert_eq!(run(fine), [], "{fine:?}");
    }
}

#[test]
fn crate_edges_sees_what_it_is_for() {
    check(
        rules::crate_edges,
        &[
            (
                "crates/datapath/Cargo.toml",
                "[dependencies]\nanet-ports.workspace = true\n",
            ),
            (
                "crates/packet/Cargo.toml",
                "[build-dependencies]\nanet-model = { path = \"../model\" }\n",
            ),
            (
                "crates/wire/Cargo.toml",
                "[target.'cfg(unix)'.dependencies]\nanet-lab = \"1\"\n",
            ),
            (
                "crates/store/Cargo.toml",
                "[dependencies.anet-model]\nworkspace = true\n",
            ),
            (
                "crates/vswitch/Cargo.toml",
                "[dependencies]\nanet-fuzz.workspace = true\n",
            ),
            ("crates/helpers/Cargo.toml", "[dependencies]\n"),
        ],
        &[
            (
                "crates/datapath/Cargo.toml",
                "[dependencies]\nanet-memory.workspace = true\n",
            ),
            (
                "crates/wire/Cargo.toml",
                "[dependencies]\nanet-packet.workspace = true\n",
            ),
            (
                "crates/packet/Cargo.toml",
                "[dev-dependencies]\nanet-lab.workspace = true\n",
            ),
            (
                "crates/bench/Cargo.toml",
                "[dependencies]\nanet-ports.workspace = true\nanet-lab = \"1\"\n",
            ),
        ],
    );
}

#[test]
fn packet_door_sees_what_it_is_for() {
    check(
        rules::packet_door,
        &[
            ("crates/wire/src/a.rs", "use anet_packet::Frame;\n"),
            ("crates/model/src/a.rs", "use anet_packet::*;\n"),
        ],
        &[
            ("crates/wire/src/a.rs", "use anet_packet::addr::Mac;\n"),
            ("crates/datapath/src/a.rs", "use anet_packet::Frame;\n"),
        ],
    );
}

#[test]
fn unsafe_has_two_homes_sees_what_it_is_for() {
    let text = concat!("fn f() {\n    un", "safe { g() }\n}\n");
    check(
        rules::unsafe_has_two_homes,
        &[("crates/vswitch/src/a.rs", text), ("crates/lab/tests/a.rs", text)],
        &[
            ("crates/ports/src/a.rs", text),
            ("crates/memory/tests/a.rs", text),
            (
                "crates/vswitch/src/b.rs",
                "// unsafe in words only\n#![forbid(unsafe_code)]\n",
            ),
        ],
    );
}

#[test]
fn pure_crates_sees_what_it_is_for() {
    check(
        rules::pure_crates,
        &[
            ("crates/packet/src/a.rs", "let now = std::time::Instant::now();\n"),
            ("crates/model/src/a.rs", "use std::fs;\n"),
            ("crates/datapath/src/a.rs", "use std::net::{IpAddr, UdpSocket};\n"),
            ("crates/datapath/src/b.rs", "struct DpdkPort;\nlet dpdk = 1;\n"),
            ("crates/vswitch/src/core/a.rs", "std::thread::yield_now();\n"),
            ("crates/agent/src/core/a.rs", "pub async fn apply() {}\n"),
        ],
        &[
            (
                "crates/packet/src/a.rs",
                "use std::net::IpAddr;\nfn instant(now_ns: u64) {}\n",
            ),
            (
                "crates/datapath/src/a.rs",
                "#[cfg(test)]\nmod tests {\n    use std::time::Instant;\n}\n",
            ),
            (
                "crates/datapath/tests/a.rs",
                "let now = std::time::Instant::now();\n",
            ),
            ("crates/vswitch/src/worker.rs", "std::thread::spawn(run);\n"),
        ],
    );
}

#[test]
fn no_unfinished_code_sees_what_it_is_for() {
    check(
        rules::no_unfinished_code,
        &[
            ("crates/a/src/a.rs", concat!("fn f() { to", "do!() }\n")),
            ("crates/a/tests/a.rs", concat!("unimplemen", "ted!(\"later\")\n")),
            ("crates/a/src/b.rs", concat!("db", "g!(x);\n")),
        ],
        &[(
            "crates/a/src/a.rs",
            "// todo! would be wrong\nlet text = \"dbg!\";\n",
        )],
    );
}

#[test]
fn sizes_sees_what_it_is_for() {
    let function = |lines: usize| format!("pub fn long(a: u8) {{\n{}}}\n", "    a();\n".repeat(lines - 2));
    let plain: rules::Rule = |files| rules::sizes(files, &[]);
    let tests = format!(
        "#[cfg(test)]\nmod tests {{\n{}}}\n",
        "    // a line\n    fn f() {}\n".repeat(500)
    );
    check(
        plain,
        &[
            ("crates/a/src/a.rs", &function(70)),
            ("crates/a/src/b.rs", &"// a line\n".repeat(700)),
        ],
        &[
            ("crates/a/src/a.rs", &function(69)),
            ("crates/a/src/b.rs", &"// a line\n".repeat(699)),
            ("crates/a/tests/a.rs", &function(200)),
            ("crates/a/src/c.rs", &tests),
        ],
    );
    let exceptions = [Exception {
        path: "crates/a/src/a.rs",
        function: Some("long"),
        reason: "planted for this test",
    }];
    let long = [SourceFile::planted("crates/a/src/a.rs", &function(90))];
    assert_eq!(rules::sizes(&long, &exceptions), []);
    let short = [SourceFile::planted("crates/a/src/a.rs", &function(9))];
    assert!(rules::sizes(&short, &exceptions)[0].what.contains("not needed"));
}

#[test]
fn machine_traces_sees_what_it_is_for() {
    check(
        rules::machine_traces,
        &[
            ("docs/a.md", concat!("see /wo", "rk/notes\n")),
            (
                "crates/a/src/a.rs",
                concat!("const PATH: &str = \"/ho", "me/me/x\";\n"),
            ),
            ("Cargo.lock", "source = \"registry+https://example.org/index\"\n"),
            (".cargo/config.toml", "[source]\n"),
        ],
        &[
            (
                "docs/a.md",
                "see https://example.org/work/notes and crates/home/x\n",
            ),
            (
                "Cargo.lock",
                "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n",
            ),
        ],
    );
}

#[test]
fn links_resolve_sees_what_it_is_for() {
    check(
        rules::links_resolve,
        &[
            ("docs/a.md", "[there](b.md)\n"),
            ("docs/a.md", "[above](../../a.md)\n"),
            ("README.md", "[x](docs/a.md#part)\n"),
        ],
        &[
            (
                "docs/a.md",
                "[self](a.md#part), [root](../docs/), [web](https://example.org), [part](#part)\n",
            ),
            ("README.md", "no link [here] (at all)\n"),
        ],
    );
}

#[test]
fn make_targets_exist_sees_what_it_is_for() {
    check(
        rules::make_targets_exist,
        &[
            ("README.md", "run `make everything`\n"),
            ("a.md", "    text\nmake coffee\n"),
        ],
        &[("README.md", "we make packets fast\n")],
    );
    let files = [
        SourceFile::planted("Makefile", "demo: build\n"),
        SourceFile::planted("a.md", "`make demo`\n"),
    ];
    assert_eq!(rules::make_targets_exist(&files), []);
}

#[test]
fn drop_reasons_documented_sees_what_it_is_for() {
    let run = |reasons: &str, page: &str| {
        let source = format!("const TEXTS: [(&str, &str); 2] = [{reasons}];");
        rules::drop_reasons_documented(&[
            SourceFile::planted("crates/datapath/src/verdict.rs", &source),
            SourceFile::planted("docs/features/drops.md", page),
        ])
    };
    let reasons = r#"("too_big", "larger than the MTU"), ("no_buffer", "no buffer for a copy")"#;
    assert_eq!(run(reasons, "| `too_big` | text |\n| `no_buffer` | text |\n"), []);
    assert_eq!(run(reasons, "| `too_big` | text |\n").len(), 1, "one has no row");
    assert_eq!(
        run(reasons, "| `too_big` | |\n| `no_buffer` | |\n| `old` | |\n").len(),
        1,
        "one row is stale"
    );
}
