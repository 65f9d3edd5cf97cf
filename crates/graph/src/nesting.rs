//! How deep code is nested, seen without parsing it: what is too deep would exhaust the parser's stack.
//!
//! Brackets count, and so do words and operators after which an expression or statement goes on inside another (`!`, `=>`, `? :`,
//! `else if`, …). The scan knows strings, comments and regular expressions about as well as a highlighter does; it errs a little to
//! either side, and the limit is far from both what people write and what the stack holds.

/// Far more than anybody writes.
const DEEPEST: u32 = 3_000;

/// Words after which a statement or expression goes on within another.
const OPENING: [&str; 17] = [
    "if", "else", "for", "while", "do", "with", "await", "yield", "typeof", "void", "delete", "new",
    "return", "throw", "extends", "in", "case",
];

/// Those that have brackets of their own before what they head.
const HEADS: [&[u8]; 4] = [b"if", b"for", b"while", b"with"];

/// Whether the parser may be trusted with it.
pub(crate) fn is_shallow(source: &str) -> bool {
    let mut scan = Scan {
        bytes: source.as_bytes(),
        at: 0,
        depth: 0,
        runs: vec![0],
        heads: Vec::new(),
        templates: Vec::new(),
        last: Last::Operator,
        is_head: false,
    };
    while scan.at < scan.bytes.len() {
        scan.token();
        if scan.depth > DEEPEST {
            return false;
        }
    }
    true
}

/// What stands before: after an operand `/` divides, after an operator it begins a regular expression.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    Operand,
    Operator,
}

struct Scan<'s> {
    bytes: &'s [u8],
    at: usize,
    /// The sum of `runs`, and one for each open bracket.
    depth: u32,
    /// For each open bracket what goes on inside what since the last statement ended.
    runs: Vec<u32>,
    /// Open brackets at each `if (`, `for (` and the like that is open: after it goes on what it heads.
    heads: Vec<usize>,
    /// Open brackets at each `${` that is open.
    templates: Vec<usize>,
    last: Last,
    /// Whether the word before was `if`, `for` or the like.
    is_head: bool,
}

impl Scan<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn token(&mut self) {
        match self.peek(0) {
            b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
            quote @ (b'"' | b'\'') => self.string(quote),
            b'`' => {
                self.at += 1;
                self.template();
            }
            b'/' => self.slash(),
            b'(' | b'[' | b'{' => self.open(),
            b'}' if self.templates.last() == Some(&self.runs.len()) => {
                self.templates.pop();
                self.close();
                self.template();
            }
            b')' | b']' => {
                let is_head = self.heads.last() == Some(&self.runs.len());
                self.close();
                self.last = if is_head { Last::Operator } else { Last::Operand };
                if is_head {
                    self.heads.pop();
                }
            }
            b'}' => {
                self.close();
                self.end_statement();
            }
            b';' | b',' => {
                self.at += 1;
                self.end_statement();
            }
            byte if byte == b'_' || byte == b'$' || byte.is_ascii_alphanumeric() || byte >= 0x80 => {
                self.word();
            }
            byte => {
                self.at += 1;
                if byte != b'.' {
                    self.nest();
                }
                self.last = Last::Operator;
            }
        }
    }

    fn open(&mut self) {
        self.at += 1;
        self.depth += 1;
        self.runs.push(0);
        self.last = Last::Operator;
        if std::mem::take(&mut self.is_head) {
            self.heads.push(self.runs.len());
        }
    }

    fn close(&mut self) {
        self.at += 1;
        if self.runs.len() > 1 {
            let run = self.runs.pop().unwrap_or(0);
            self.depth = self.depth.saturating_sub(run + 1);
        }
    }

    fn nest(&mut self) {
        if let Some(run) = self.runs.last_mut() {
            *run += 1;
            self.depth += 1;
        }
    }

    /// After `;`, `,` or `}` a new statement begins, unless it is the `else` of the one before.
    fn end_statement(&mut self) {
        self.last = Last::Operator;
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let rest = rest.trim_ascii_start();
        if !rest.starts_with(b"else") {
            self.reset();
        }
    }

    fn reset(&mut self) {
        if let Some(run) = self.runs.last_mut() {
            self.depth = self.depth.saturating_sub(*run);
            *run = 0;
        }
    }

    fn word(&mut self) {
        let begin = self.at;
        while {
            let byte = self.peek(0);
            byte == b'_' || byte == b'$' || byte.is_ascii_alphanumeric() || byte >= 0x80
        } {
            self.at += 1;
        }
        let word = self.bytes.get(begin..self.at).unwrap_or_default();
        if OPENING.iter().any(|opening| opening.as_bytes() == word) {
            self.nest();
            self.last = Last::Operator;
            self.is_head = HEADS.contains(&word);
            return;
        }
        // Two operands side by side: a statement ended without a semicolon.
        if self.last == Last::Operand {
            self.reset();
        }
        self.last = Last::Operand;
    }

    fn string(&mut self, quote: u8) {
        self.at += 1;
        while self.at < self.bytes.len() {
            match self.peek(0) {
                b'\\' => self.at += 2,
                b'\n' => break,
                byte => {
                    self.at += 1;
                    if byte == quote {
                        break;
                    }
                }
            }
        }
        self.last = Last::Operand;
    }

    fn template(&mut self) {
        while self.at < self.bytes.len() {
            match self.peek(0) {
                b'\\' => self.at += 2,
                b'$' if self.peek(1) == b'{' => {
                    self.at += 1;
                    self.open();
                    self.templates.push(self.runs.len());
                    return;
                }
                b'`' => {
                    self.at += 1;
                    break;
                }
                _ => self.at += 1,
            }
        }
        self.last = Last::Operand;
    }

    fn slash(&mut self) {
        match (self.peek(1), self.last) {
            (b'/', _) => {
                while self.at < self.bytes.len() && self.peek(0) != b'\n' {
                    self.at += 1;
                }
            }
            (b'*', _) => {
                self.at += 2;
                while self.at < self.bytes.len() && !(self.peek(0) == b'*' && self.peek(1) == b'/') {
                    self.at += 1;
                }
                self.at += 2;
            }
            (_, Last::Operand) => {
                self.at += 1;
                self.last = Last::Operator;
            }
            (_, Last::Operator) => self.regular_expression(),
        }
    }

    fn regular_expression(&mut self) {
        self.at += 1;
        let mut in_class = false;
        while self.at < self.bytes.len() {
            match self.peek(0) {
                b'\\' => self.at += 1,
                b'[' => in_class = true,
                b']' => in_class = false,
                b'\n' => break,
                b'/' if !in_class => {
                    self.at += 1;
                    break;
                }
                _ => {}
            }
            self.at += 1;
        }
        self.last = Last::Operand;
    }
}

#[cfg(test)]
mod tests {
    use super::is_shallow;

    #[test]
    fn what_is_too_deep() {
        for unit in [
            "(",
            "[",
            "{",
            "!",
            "-",
            "a=>",
            "a?b:",
            "a=",
            "if(a)b;else ",
            "if(a)",
            "new ",
            "a**",
            "`${",
            "x:",
            "typeof ",
            "for(;;)",
            "do ",
            "await\n",
        ] {
            assert!(!is_shallow(&unit.repeat(100_000)), "{unit}");
        }
    }

    #[test]
    fn what_is_long_but_not_deep() {
        for unit in [
            "a.b(c);\n",
            "if(a){b}else{c}\n",
            "x = y\n",
            "f(`${a}`)\n",
            "/[({]/.test(a);\n",
            "'((((';\n",
            "// ((((\n",
            "/* [[[ */",
            "let a = b ? c : d;",
            "a / b; c = /[/(]/;\n",
            "`((${ {} })((`;",
            "({a:1,b:2}),",
        ] {
            assert!(is_shallow(&unit.repeat(100_000)), "{unit}");
        }
    }
}
