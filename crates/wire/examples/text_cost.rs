//! What a plan's text costs to read: a large honest plan, and texts made to be expensive. Prints seconds a case.

use std::time::Instant;

use anet_wire::plan_text::parse;

fn main() {
    let size = std::env::args()
        .nth(1)
        .and_then(|size| size.parse().ok())
        .unwrap_or(1_usize << 20);
    let fill = |unit: &str| unit.repeat(size / unit.len());
    let peers: String = (0..size / 100)
        .map(|n| {
            let [_, a, b, c] = u32::try_from(n).unwrap_or(0).to_be_bytes();
            format!(
                "  peer-{n}: {{network: blue, mac: 02:00:00:{a:02x}:{b:02x}:{c:02x}, addresses: [10.{a}.{b}.{c}], endpoint: host2}}\n"
            )
        })
        .collect();
    let honest = format!(
        "tunnel: {{address: 192.0.2.1}}\nendpoints: {{host2: {{address: 192.0.2.2}}}}\n\
         networks: {{blue: {{vni: 1, endpoints: [host2]}}}}\npeers:\n{peers}"
    );
    let cases = [
        ("an honest plan", honest),
        ("a list on one line", format!("a: [{}]", fill("b,"))),
        ("a list of lists", format!("a: [{}]", fill("[],"))),
        ("a list of mappings", format!("a: [{}]", fill("{b: c},"))),
        (
            "one key twice, far apart",
            format!("a: 1\n{}a: 1\n", fill("# a\n")),
        ),
        ("keys", (0..size / 12).map(|n| format!("k{n}: {{}}\n")).collect()),
        ("one text", format!("a: {}", fill("b"))),
        ("a quoted text", format!("a: \"{}\"", fill("\\u0041"))),
        ("a folded text", format!("a: >\n{}", fill("  b\n\n"))),
        ("a text on many lines", format!("a:\n{}", fill("  b\n"))),
        ("comments", fill("#\n")),
        ("spaces", fill(" ")),
        ("empty lines", format!("a:{}", fill("\n"))),
        ("question marks", fill("? ")),
        ("dashes", fill("- ")),
        ("colons", fill("a: ")),
        ("documents", fill("---\n")),
        ("directives", fill("%TAG ! a:\n")),
        ("anchors", fill("&a ")),
        ("unclosed", fill("{a: [")),
        ("unclosed quotes", fill("\"a\n")),
        (
            "deep blocks",
            (0..size.isqrt())
                .map(|n| format!("{}a:\n", " ".repeat(n)))
                .collect(),
        ),
    ];
    for (name, text) in cases {
        let start = Instant::now();
        let outcome = parse(&text);
        let seconds = start.elapsed().as_secs_f64();
        let said = match outcome {
            Ok(plan) => format!("{} entries", plan.entries().count()),
            Err(errors) => errors.to_string().chars().take(90).collect(),
        };
        println!(
            "{seconds:8.3} s  {:4} KiB  {name}: {}",
            text.len() >> 10,
            said.replace('\n', " ")
        );
    }
}
