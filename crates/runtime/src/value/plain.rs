//! JSON text made safe for any reader: not too deep, and without halves of surrogate pairs, which JavaScript strings
//! may hold and most JSON readers refuse.

/// Levels of nesting that are shown; common readers stop at 128.
pub(super) const MAX_DEPTH: usize = 100;
/// Stands for what is nested deeper.
pub(super) const TOO_DEEP: &str = "\"[nested too deep]\"";

/// A valid JSON text, cut and mended where needed.
pub(super) fn for_reading(text: &str) -> String {
    if is_fine(text) {
        text.to_owned()
    } else {
        mend(text)
    }
}

fn is_fine(text: &str) -> bool {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for byte in text.bytes() {
        match byte {
            // `\u` may be half of a pair; look closely.
            b'u' if escaped => return false,
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return false;
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

fn mend(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let (mut at, mut copied, mut depth) = (0, 0, 0_usize);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                let end = string_end(bytes, at);
                if depth <= MAX_DEPTH {
                    out.push_str(&text[copied..at]);
                    mend_string(&text[at..end], &mut out);
                    copied = end;
                }
                at = end;
                continue;
            }
            b'[' | b'{' => {
                depth += 1;
                if depth == MAX_DEPTH + 1 {
                    out.push_str(&text[copied..at]);
                    out.push_str(TOO_DEEP);
                }
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == MAX_DEPTH {
                    copied = at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    out.push_str(&text[copied..]);
    out
}

/// The index after the string that begins at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// Appends a JSON string (with its quotes), replacing lone surrogates.
pub(super) fn mend_string(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = &rest[at..];
        let taken = match (surrogate(escape), escape.get(6..).and_then(surrogate)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(_), _) => {
                out.push_str("\\ufffd");
                rest = escape.get(6..).unwrap_or("");
                continue;
            }
            (None, _) => 2,
        };
        let (escape, after) = escape.split_at_checked(taken).unwrap_or((escape, ""));
        out.push_str(escape);
        rest = after;
    }
    out.push_str(rest);
}

/// The surrogate that a text begins with as an escape.
fn surrogate(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16)
        .ok()
        .filter(|unit| (0xD800..=0xDFFF).contains(unit))
}

#[cfg(test)]
mod tests {
    use super::for_reading;

    #[test]
    fn ordinary_text_is_kept() {
        for text in [
            r#"{"a":[1,"x\"]","\\u"]}"#,
            r#""\u0041\ud83d\ude00""#,
            "  12 ",
            "null",
            r#""\\ud800""#,
        ] {
            assert_eq!(for_reading(text), text);
        }
    }

    #[test]
    fn halves_of_pairs_are_replaced() {
        assert_eq!(
            for_reading(r#"["\ud800","a\udc00\ud83d\ude00\ud83d"]"#),
            r#"["\ufffd","a\ufffd\ud83d\ude00\ufffd"]"#
        );
    }

    #[test]
    fn depth_is_cut() {
        let text = format!("[{}7{},1]", "[".repeat(200_000), "]".repeat(200_000));
        let cut = for_reading(&text);
        assert_eq!(
            cut,
            format!("{}\"[nested too deep]\"{},1]", "[".repeat(100), "]".repeat(99))
        );
        assert!(serde_json::from_str::<serde_json::Value>(&cut).is_ok());
    }
}
