//! The tree as the rules see it: text files, and Rust code without its comments and strings.

use std::fs;
use std::path::{Path, PathBuf};

/// A text file of the tree.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Path from the root, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl SourceFile {
    /// A file as if it were in the tree, for planted violations.
    pub fn planted(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    /// The crate's folder name, for files below `crates/`.
    pub fn crate_name(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }

    /// True for Rust code that ships: not tests (in `tests/` or a module of that name), benches, examples or build
    /// scripts.
    pub fn is_product(&self) -> bool {
        let of_crate = self.path.splitn(3, '/').nth(2);
        let of_tests = self
            .path
            .split('/')
            .any(|part| part == "tests" || part == "tests.rs");
        self.is_rust() && !of_tests && of_crate.is_some_and(|path| path.starts_with("src/"))
    }

    /// True for any Rust code.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The code without what comments and literals hold; same lines, same columns.
    pub fn code(&self) -> String {
        without_comments_and_literals(&self.text)
    }

    /// As [`SourceFile::code`], with the bodies of `#[cfg(test)]` modules emptied as well. Counts on rustfmt's
    /// indentation.
    pub fn product_code(&self) -> String {
        without_test_modules(&self.code())
    }
}

/// The root of the repository this was built from.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every text file below `root`, except what is built or belongs to git.
pub fn read_tree(root: &Path) -> Vec<SourceFile> {
    let mut files = Vec::new();
    collect(root, "", &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn collect(folder: &Path, inside: &str, files: &mut Vec<SourceFile>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if matches!(name.as_str(), "target" | ".git") {
            continue;
        }
        let path = if inside.is_empty() {
            name.clone()
        } else {
            format!("{inside}/{name}")
        };
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(&entry.path(), &path, files),
            Ok(kind) if kind.is_file() => {
                files.extend(
                    fs::read_to_string(entry.path())
                        .ok()
                        .map(|text| SourceFile { path, text }),
                );
            }
            _ => {}
        }
    }
}

/// Blanks comments, and the content of string and character literals, with spaces.
fn without_comments_and_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        if let Some(end) = end {
            let blanks = code[at..end].iter_mut().filter(|byte| **byte != b'\n');
            blanks.for_each(|byte| *byte = b' ');
        }
        at = end.unwrap_or(at + 1);
    }
    String::from_utf8(code).unwrap_or_default()
}

/// Where the comment or literal that starts at `at` ends, or `None` where none starts.
fn literal_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let before = at.checked_sub(1).map(|i| bytes[i]);
    let in_word = before.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    let length = match rest {
        [b'/', b'/', ..] => find(rest, b"\n").unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment_length(rest),
        [b'"', ..] => string_length(rest),
        [b'r', b'"' | b'#', ..] if !in_word => raw_string_length(rest, 1)?,
        [b'b', b'r', b'"' | b'#', ..] if !in_word => raw_string_length(rest, 2)?,
        [b'\'', b'\\', ..] => 2 + rest.iter().skip(3).position(|b| *b == b'\'')? + 2,
        // A character; a lifetime has no quote within the next character.
        [b'\'', ..] => char_length(rest)?,
        _ => return None,
    };
    Some((at + length).min(bytes.len()))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn block_comment_length(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at < rest.len() {
        match rest.get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") if depth == 1 => return at + 2,
            Some(b"*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    rest.len()
}

fn string_length(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `prefix` bytes of `r` or `br`, then hashes and a quote; `None` for a raw identifier such as `r#type`.
fn raw_string_length(rest: &[u8], prefix: usize) -> Option<usize> {
    let hashes = rest[prefix..].iter().take_while(|byte| **byte == b'#').count();
    let open = prefix + hashes;
    (rest.get(open) == Some(&b'"')).then_some(())?;
    let close = [b"\"", vec![b'#'; hashes].as_slice()].concat();
    Some(find(&rest[open + 1..], &close).map_or(rest.len(), |found| open + 1 + found + close.len()))
}

fn char_length(rest: &[u8]) -> Option<usize> {
    let width = rest.get(1).map(|first| match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    })?;
    (rest.get(1 + width) == Some(&b'\'')).then_some(2 + width)
}

fn without_test_modules(code: &str) -> String {
    let mut kept = String::with_capacity(code.len());
    let mut closing: Option<String> = None;
    let mut announced = false;
    for line in code.lines() {
        let trimmed = line.trim_start();
        let indentation = &line[..line.len() - trimmed.len()];
        if closing.is_none() && announced && trimmed.starts_with("mod ") && trimmed.ends_with('{') {
            closing = Some(format!("{indentation}}}"));
        }
        // Attributes may stand between the announcement and the module.
        announced = trimmed.starts_with("#[cfg(test)]") || (announced && trimmed.starts_with("#["));
        if closing.is_none() {
            kept.push_str(line);
        }
        if closing.as_deref() == Some(line) {
            closing = None;
        }
        kept.push('\n');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        SourceFile::planted("x.rs", text).code()
    }

    #[test]
    fn comments_and_literals_are_blanked_and_code_stays() {
        assert_eq!(code("a // todo!\nb"), "a         \nb");
        assert_eq!(code("a /* x /* y */ z */ b"), "a                   b");
        assert_eq!(code(r#"f("unsafe \" x", y)"#), "f(             , y)");
        assert_eq!(code("r#\"un\"safe\"# + r#type"), "             + r#type");
        assert_eq!(
            code("let c = '\"'; let d = '\\''; fn f<'a>(x: &'a str)"),
            "let c =    ; let d =     ; fn f<'a>(x: &'a str)"
        );
        assert_eq!(code("b'\\\\' 'ü' x"), format!("b{}x", " ".repeat(10)));
    }

    #[test]
    fn test_modules_are_emptied_and_lines_keep_their_numbers() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
        let product = SourceFile::planted("x.rs", text).product_code();
        assert!(!product.contains("fn b"));
        assert_eq!(product.lines().position(|line| line == "fn c() {}"), Some(5));
    }

    #[test]
    fn shipped_code_is_told_from_tests() {
        assert!(SourceFile::planted("crates/a/src/b.rs", "").is_product());
        for other in [
            "crates/a/tests/b.rs",
            "crates/a/build.rs",
            "crates/a/src/b.md",
            "src.rs",
        ] {
            assert!(!SourceFile::planted(other, "").is_product(), "{other}");
        }
    }
}
