//! YAML as a tree that keeps positions, read within bounds.
//!
//! Only what a plan needs: one document of mappings, lists and scalars. The parser gives events, so that each bound
//! holds before memory is taken.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::error::TextError;
use super::{DEPTH_MAXIMUM, NODES_MAXIMUM, TEXT_BYTES_MAXIMUM};

/// A place in the text, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Position {
    const START: Position = Position { line: 1, column: 1 };

    fn of(marker: &Marker) -> Self {
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        Self {
            line: number(marker.line()).max(1),
            column: number(marker.col()).saturating_add(1),
        }
    }
}

/// A value and where it begins.
#[derive(Debug)]
pub(super) struct Node<'t> {
    pub(super) position: Position,
    pub(super) value: Value<'t>,
}

#[derive(Debug)]
pub(super) enum Value<'t> {
    Scalar { text: Cow<'t, str>, plain: bool },
    List(Vec<Node<'t>>),
    Mapping(Vec<Field<'t>>),
}

/// A key of a mapping with its value.
#[derive(Debug)]
pub(super) struct Field<'t> {
    pub(super) key: Cow<'t, str>,
    pub(super) position: Position,
    pub(super) value: Node<'t>,
}

impl Node<'_> {
    /// True where nothing is written: `key:`, `~` or `null`.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_ref(), "" | "~" | "null"))
    }
}

/// The way to a value, for errors: `ports.web1.addresses[0]`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Key(Path::Root, key) => write!(f, "{}", Shown(key)),
            Path::Key(parent, key) => write!(f, "{parent}.{}", Shown(key)),
            Path::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// A text of unknown origin, cut and escaped for an error.
pub(super) struct Shown<'a>(pub(super) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars().take(60) {
            match character.is_control() {
                true => write!(f, "{}", character.escape_debug())?,
                false => write!(f, "{character}")?,
            }
        }
        f.write_str(if self.0.chars().nth(60).is_some() {
            "..."
        } else {
            ""
        })
    }
}

/// The one document of a text.
pub(super) fn read(text: &str) -> Result<Node<'_>, TextError> {
    if text.len() > TEXT_BYTES_MAXIMUM {
        let problem = format!("the text has {} bytes", text.len());
        return Err(TextError::new(
            Position::START,
            "",
            problem,
            format!("at most {TEXT_BYTES_MAXIMUM}"),
        ));
    }
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        nodes: 0,
    };
    let mut document = None;
    loop {
        match reader.next()? {
            (Event::StreamStart | Event::DocumentEnd | Event::Nothing, _) => {}
            (Event::DocumentStart(_), span) if document.is_some() => {
                let problem = "a second document begins here";
                return Err(TextError::new(
                    Position::of(&span.start),
                    "",
                    problem,
                    "one document",
                ));
            }
            (Event::DocumentStart(_), _) => {
                let (event, span) = reader.next()?;
                document = Some(reader.node(event, span, &Path::Root, 0)?);
            }
            _ => break,
        }
    }
    document.filter(|node| !node.is_nothing()).ok_or_else(|| {
        TextError::new(
            Position::START,
            "",
            "there is nothing in it",
            "a plan, or `{}` for one without entries",
        )
    })
}

/// What is said of lists and mappings beyond [`DEPTH_MAXIMUM`].
const TOO_DEEP: &str = "this is nested too deep";

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    nodes: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), TextError> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(not_yaml(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(
        &mut self,
        event: Event<'t>,
        span: Span,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<Node<'t>, TextError> {
        let position = Position::of(&span.start);
        self.count(position, path)?;
        let refuse = |problem: &str, expected: &str| Err(TextError::new(position, path, problem, expected));
        let value = match event {
            Event::Alias(_) => return refuse("an alias (`*name`) is not taken here", "the value itself"),
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(anchor, _)
            | Event::MappingStart(anchor, _)
                if anchor != 0 =>
            {
                return refuse("an anchor (`&name`) is not taken here", "the value alone");
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                return refuse("a tag (`!name`) is not taken here", "the value alone");
            }
            Event::SequenceStart(..) | Event::MappingStart(..) if depth >= DEPTH_MAXIMUM => {
                return refuse(
                    "this is nested too deep",
                    &format!("at most {DEPTH_MAXIMUM} levels"),
                );
            }
            Event::Scalar(text, style, ..) => Value::Scalar {
                text,
                plain: style == ScalarStyle::Plain,
            },
            Event::SequenceStart(..) => Value::List(self.list(path, depth + 1)?),
            Event::MappingStart(..) => Value::Mapping(self.mapping(path, depth + 1)?),
            _ => return refuse("a value is missing here", "a value"),
        };
        Ok(Node { position, value })
    }

    fn count(&mut self, position: Position, path: &Path<'_>) -> Result<(), TextError> {
        self.nodes += 1;
        match self.nodes > NODES_MAXIMUM {
            true => {
                let expected = format!("at most {NODES_MAXIMUM} values in all");
                Err(TextError::new(
                    position,
                    path,
                    "this is one value too many",
                    expected,
                ))
            }
            false => Ok(()),
        }
    }

    fn list(&mut self, path: &Path<'_>, depth: usize) -> Result<Vec<Node<'t>>, TextError> {
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(nodes),
                (event, span) => {
                    let index = nodes.len();
                    nodes.push(self.node(event, span, &Path::Index(path, index), depth)?);
                }
            }
        }
    }

    fn mapping(&mut self, path: &Path<'_>, depth: usize) -> Result<Vec<Field<'t>>, TextError> {
        let mut fields = Vec::new();
        let mut seen = HashSet::new();
        loop {
            let (key, position) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(fields),
                (event, span) => self.key(event, span, path, depth)?,
            };
            if !seen.insert(key.clone()) {
                let problem = "this key is there twice";
                return Err(TextError::new(
                    position,
                    Path::Key(path, &key),
                    problem,
                    "each key once",
                ));
            }
            let (event, span) = self.next()?;
            let value = self.node(event, span, &Path::Key(path, &key), depth)?;
            fields.push(Field { key, position, value });
        }
    }

    fn key(
        &mut self,
        event: Event<'t>,
        span: Span,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<(Cow<'t, str>, Position), TextError> {
        let node = self.node(event, span, path, depth)?;
        match node.value {
            Value::Scalar { text, .. } => Ok((text, node.position)),
            Value::List(_) | Value::Mapping(_) => Err(TextError::new(
                node.position,
                path,
                "a list or mapping is not a key",
                "a name as key",
            )),
        }
    }
}

fn not_yaml(error: &ScanError) -> TextError {
    let position = Position::of(error.marker());
    if error.info().contains("recursion limit") {
        return TextError::new(position, "", TOO_DEEP, format!("at most {DEPTH_MAXIMUM} levels"));
    }
    let problem = format!("this is not YAML: {}", Shown(error.info()));
    TextError::new(position, "", problem, "YAML 1.2 (quote texts that end in `:`)")
}
