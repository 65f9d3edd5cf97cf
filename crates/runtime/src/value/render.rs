//! The graph form as JSON text for reading.

use super::date::iso;
use super::graph::Node;
use super::plain::{MAX_DEPTH, TOO_DEEP, mend_string};

/// Text that shared parts may blow a value up to before it is cut.
const MAX_TEXT: usize = 16 << 20;
const TOO_LARGE: &str = "\"[too large]\"";
const CIRCULAR: &str = "\"[Circular]\"";

/// What remains to be written.
enum Todo<'n, 'a> {
    Node(usize),
    Properties {
        items: std::slice::Iter<'n, (&'a str, usize)>,
        first: bool,
    },
    Elements {
        items: std::slice::Iter<'n, usize>,
        first: bool,
    },
    Holes {
        items: std::vec::IntoIter<Option<usize>>,
        first: bool,
    },
    Leave(usize),
}

struct Writer<'n, 'a> {
    nodes: &'n [Node<'a>],
    out: String,
    stack: Vec<Todo<'n, 'a>>,
    /// Whether a node is being written, further up.
    open: Vec<bool>,
    depth: usize,
}

/// Renders node 0.
pub(super) fn render(nodes: &[Node<'_>]) -> String {
    let mut writer = Writer {
        nodes,
        out: String::new(),
        stack: vec![Todo::Node(0)],
        open: vec![false; nodes.len()],
        depth: 0,
    };
    while let Some(todo) = writer.stack.pop() {
        writer.step(todo);
    }
    writer.out
}

impl<'n, 'a> Writer<'n, 'a> {
    fn step(&mut self, todo: Todo<'n, 'a>) {
        match todo {
            Todo::Node(index) => self.node(index),
            Todo::Leave(index) => {
                self.open[index] = false;
                self.depth -= 1;
            }
            Todo::Properties { mut items, first } => match items.find(|(_, to)| !self.is_dropped(*to)) {
                None => self.out.push('}'),
                Some((key, to)) => {
                    self.comma(first);
                    mend_string(key, &mut self.out);
                    self.out.push(':');
                    self.stack.push(Todo::Properties { items, first: false });
                    self.node(*to);
                }
            },
            Todo::Elements { mut items, first } => match items.next() {
                None => self.out.push(']'),
                Some(to) => {
                    self.comma(first);
                    self.stack.push(Todo::Elements { items, first: false });
                    self.node(*to);
                }
            },
            Todo::Holes { mut items, first } => match items.next() {
                None => self.out.push(']'),
                Some(to) => {
                    self.comma(first);
                    self.stack.push(Todo::Holes { items, first: false });
                    match to {
                        Some(to) => self.node(to),
                        None => self.out.push_str("null"),
                    }
                }
            },
        }
    }

    fn comma(&mut self, first: bool) {
        if !first {
            self.out.push(',');
        }
    }

    fn is_dropped(&self, index: usize) -> bool {
        matches!(self.nodes[index], Node::Undefined)
    }

    /// Begins a node with parts, unless it may not be shown.
    fn enter(&mut self, index: usize, open: char, parts: Todo<'n, 'a>) {
        let instead = if self.open[index] {
            CIRCULAR
        } else if self.depth == MAX_DEPTH {
            TOO_DEEP
        } else if self.out.len() > MAX_TEXT {
            TOO_LARGE
        } else {
            self.open[index] = true;
            self.depth += 1;
            self.stack.push(Todo::Leave(index));
            self.stack.push(parts);
            self.out.push(open);
            return;
        };
        self.out.push_str(instead);
    }

    fn node(&mut self, index: usize) {
        let nodes = self.nodes;
        match &nodes[index] {
            Node::Scalar(text) => mend_string(text, &mut self.out),
            Node::Undefined | Node::Number("NaN" | "Infinity" | "-Infinity") | Node::Date(None) => {
                self.out.push_str("null");
            }
            Node::Number(_) => self.out.push('0'),
            Node::BigInt(digits) => self.text(&format!("[BigInt({digits})]")),
            Node::Object(properties) => {
                self.enter(
                    index,
                    '{',
                    Todo::Properties {
                        items: properties.iter(),
                        first: true,
                    },
                );
            }
            Node::Dense(items) => self.enter(
                index,
                '[',
                Todo::Elements {
                    items: items.iter(),
                    first: true,
                },
            ),
            Node::Sparse { length, entries } => self.sparse(index, *length, entries),
            Node::Opaque => self.out.push_str("{}"),
            Node::Date(Some(time)) => self.text(&iso(*time)),
            Node::Buffer(bytes) => self.text(&format!("[ArrayBuffer({bytes} bytes)]")),
            Node::View { name, bytes, .. } => self.text(&format!("[{name}({bytes} bytes)]")),
            Node::Boxed(inner) => match &nodes[*inner] {
                Node::Scalar(text) => mend_string(text, &mut self.out),
                _ => self.out.push_str("null"),
            },
        }
    }

    /// Text without anything to escape.
    fn text(&mut self, text: &str) {
        self.out.push('"');
        self.out.push_str(text);
        self.out.push('"');
    }

    /// Holes are `null`; a sparse array that is mostly holes is described.
    fn sparse(&mut self, index: usize, length: u32, entries: &[(&'a str, usize)]) {
        let length = length as usize;
        if length > entries.len().saturating_mul(4).saturating_add(1024) {
            self.text(&format!("[Array({length})]"));
            return;
        }
        let mut items = vec![None; length];
        for (key, to) in entries {
            let at: Option<usize> = key.trim_matches('"').parse().ok();
            if let Some(slot) = at.and_then(|at| items.get_mut(at)) {
                *slot = Some(*to);
            }
        }
        self.enter(
            index,
            '[',
            Todo::Holes {
                items: items.into_iter(),
                first: true,
            },
        );
    }
}
