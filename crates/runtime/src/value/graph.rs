//! The graph form (PROTOCOL.md), parsed and checked: whatever passes can be decoded by `js/value.js`.

use super::CorruptValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

/// A node; references are indices that are in range.
#[derive(Debug, PartialEq)]
pub(super) enum Node<'a> {
    /// A JSON primitive, as text.
    Scalar(&'a str),
    Undefined,
    /// NaN, the infinities and −0, by name.
    Number(&'static str),
    BigInt(&'a str),
    /// Keys are JSON strings, as text.
    Object(Vec<(&'a str, usize)>),
    /// An array with its holes left out; keys are JSON strings, as text.
    Sparse {
        length: u32,
        entries: Vec<(&'a str, usize)>,
    },
    Dense(Vec<usize>),
    /// Map, Set, RegExp and Error: shown without content.
    Opaque,
    /// Milliseconds since the epoch.
    Date(Option<f64>),
    /// An `ArrayBuffer` of so many bytes.
    Buffer(usize),
    /// A view on a buffer: its length in bytes, and the last byte of the buffer that it covers.
    View {
        name: &'static str,
        buffer: usize,
        bytes: usize,
        end: usize,
    },
    /// A Boolean, Number or String object around another node.
    Boxed(usize),
}

/// Constructors of views, with the bytes of an element.
const VIEWS: [(&str, usize); 13] = [
    ("Int8Array", 1),
    ("Uint8Array", 1),
    ("Uint8ClampedArray", 1),
    ("Int16Array", 2),
    ("Uint16Array", 2),
    ("Float16Array", 2),
    ("Int32Array", 4),
    ("Uint32Array", 4),
    ("Float32Array", 4),
    ("Float64Array", 8),
    ("BigInt64Array", 8),
    ("BigUint64Array", 8),
    ("DataView", 1),
];

const NUMBERS: [&str; 4] = ["NaN", "Infinity", "-Infinity", "-0"];
/// The furthest a JavaScript date goes, milliseconds.
const LAST_DATE: f64 = 8.64e15;
/// Decimal digits of the longest BigInt that is read.
const LONGEST_BIG_INT: usize = 100_000;

fn corrupt(what: impl Into<String>) -> CorruptValue {
    CorruptValue(what.into())
}

/// Parses and checks a graph.
pub(super) fn parse(body: &str) -> Result<Vec<Node<'_>>, CorruptValue> {
    let raw: Vec<&RawValue> = serde_json::from_str(body).map_err(|error| corrupt(error.to_string()))?;
    if raw.is_empty() {
        return Err(corrupt("a graph has at least one node"));
    }
    let nodes = raw
        .iter()
        .map(|text| node(text.get(), raw.len()))
        .collect::<Result<Vec<_>, _>>()?;
    for node in &nodes {
        if let Node::View { buffer, end, .. } = node {
            match &nodes[*buffer] {
                Node::Buffer(length) if end <= length => {}
                _ => return Err(corrupt("a view needs a buffer that is long enough")),
            }
        }
    }
    Ok(nodes)
}

/// The elements of a node after its tag.
struct Parts<'a> {
    rest: std::vec::IntoIter<&'a RawValue>,
    nodes: usize,
}

impl<'a> Parts<'a> {
    fn raw(&mut self) -> Result<&'a str, CorruptValue> {
        self.rest
            .next()
            .map(RawValue::get)
            .ok_or_else(|| corrupt("a node is too short"))
    }

    fn read<T: serde::Deserialize<'a>>(&mut self) -> Result<T, CorruptValue> {
        serde_json::from_str(self.raw()?).map_err(|error| corrupt(error.to_string()))
    }

    /// A JSON string, as text.
    fn string(&mut self) -> Result<&'a str, CorruptValue> {
        let text = self.raw()?;
        if text.starts_with('"') {
            Ok(text)
        } else {
            Err(corrupt("expected a string"))
        }
    }

    fn reference(&mut self) -> Result<usize, CorruptValue> {
        let index: usize = self.read()?;
        if index < self.nodes {
            Ok(index)
        } else {
            Err(corrupt(format!("there is no node {index}")))
        }
    }

    fn references(&mut self) -> Result<Vec<usize>, CorruptValue> {
        let mut all = Vec::with_capacity(self.rest.len());
        while self.rest.len() > 0 {
            all.push(self.reference()?);
        }
        Ok(all)
    }

    fn properties(&mut self) -> Result<Vec<(&'a str, usize)>, CorruptValue> {
        let mut all = Vec::with_capacity(self.rest.len() / 2);
        while self.rest.len() > 0 {
            all.push((self.string()?, self.reference()?));
        }
        Ok(all)
    }
}

fn node(text: &str, nodes: usize) -> Result<Node<'_>, CorruptValue> {
    match text.as_bytes().first() {
        Some(b'[') => {}
        Some(b'{') => return Err(corrupt("a node is a primitive or an array")),
        _ => return Ok(Node::Scalar(text)),
    }
    let all: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| corrupt(error.to_string()))?;
    let mut parts = Parts {
        rest: all.into_iter(),
        nodes,
    };
    let tag: &str = parts.read()?;
    let node = match tag {
        "o" => Node::Object(parts.properties()?),
        "a" => Node::Sparse {
            length: parts.read()?,
            entries: parts.properties()?,
        },
        "l" => Node::Dense(parts.references()?),
        "m" | "s" => {
            let references = parts.references()?;
            if tag == "m" && references.len() % 2 == 1 {
                return Err(corrupt("a Map has as many values as keys"));
            }
            Node::Opaque
        }
        "v" => view(&mut parts)?,
        "B" | "N" | "S" => Node::Boxed(parts.reference()?),
        _ => leaf(tag, &mut parts)?,
    };
    if parts.rest.len() > 0 {
        return Err(corrupt(format!("a node {tag:?} is too long")));
    }
    Ok(node)
}

fn leaf<'a>(tag: &str, parts: &mut Parts<'a>) -> Result<Node<'a>, CorruptValue> {
    match tag {
        "u" => Ok(Node::Undefined),
        "n" => {
            let name: &str = parts.read()?;
            let known = NUMBERS.into_iter().find(|known| *known == name);
            known
                .map(Node::Number)
                .ok_or_else(|| corrupt(format!("there is no number {name:?}")))
        }
        "i" => big_int(parts.read()?),
        "d" => match parts.read::<Option<f64>>()? {
            Some(time) if time.abs() > LAST_DATE => Err(corrupt("a date is out of range")),
            time => Ok(Node::Date(time)),
        },
        "r" => {
            parts.string()?;
            parts.string()?;
            Ok(Node::Opaque)
        }
        "b" => {
            let bytes = STANDARD
                .decode(parts.read::<&str>()?)
                .map_err(|error| corrupt(error.to_string()))?;
            Ok(Node::Buffer(bytes.len()))
        }
        "e" => {
            parts.string()?;
            parts.string()?;
            if parts.raw()?.starts_with(['[', '{']) {
                return Err(corrupt("a stack is a string or null"));
            }
            let cause: i64 = parts.read()?;
            match usize::try_from(cause) {
                Ok(index) if index < parts.nodes => Ok(Node::Opaque),
                Err(_) if cause == -1 => Ok(Node::Opaque),
                _ => Err(corrupt(format!("there is no node {cause}"))),
            }
        }
        _ => Err(corrupt(format!("there is no tag {tag:?}"))),
    }
}

fn big_int(text: &str) -> Result<Node<'_>, CorruptValue> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let good =
        (1..=LONGEST_BIG_INT).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
    if good {
        Ok(Node::BigInt(text))
    } else {
        Err(corrupt("a BigInt is made of digits"))
    }
}

fn view<'a>(parts: &mut Parts<'a>) -> Result<Node<'a>, CorruptValue> {
    let name: &str = parts.read()?;
    let known = VIEWS.into_iter().find(|(known, _)| *known == name);
    let (name, size) = known.ok_or_else(|| corrupt(format!("there is no view {name:?}")))?;
    let buffer = parts.reference()?;
    let offset: usize = parts.read()?;
    let length: usize = parts.read()?;
    let bytes = length.checked_mul(size);
    match bytes.and_then(|bytes| bytes.checked_add(offset)) {
        Some(end) if offset.is_multiple_of(size) => Ok(Node::View {
            name,
            buffer,
            bytes: end - offset,
            end,
        }),
        _ => Err(corrupt("a view is not aligned or too long")),
    }
}
