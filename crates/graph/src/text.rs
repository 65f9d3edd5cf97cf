//! Source as text: names of properties, conditions as they are shown, and whether a variable is set more than once.

use oxc_ast::ast::{Argument, Class, ClassElement, Expression, MemberExpression, PropertyKey, Statement};
use oxc_span::Span;
use oxc_syntax::operator::LogicalOperator;
use std::fmt;

/// What stands for a part of a name that only a run knows.
pub(crate) const HOLE: &str = "${...}";
/// Characters of a condition.
const LONGEST: usize = 120;

/// A value that is the same in every run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Constant {
    Text(String),
    Number(f64),
}

impl fmt::Display for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// The name of a property, where it is written down.
pub(crate) fn key_name<'a>(key: &'a PropertyKey<'a>) -> Option<&'a str> {
    match key {
        PropertyKey::StaticIdentifier(name) => Some(name.name.as_str()),
        PropertyKey::PrivateIdentifier(name) => Some(name.name.as_str()),
        PropertyKey::StringLiteral(name) => Some(name.value.as_str()),
        _ => None,
    }
}

/// The name of the property that is taken, where it is written down.
pub(crate) fn member_name<'a>(member: &'a MemberExpression<'a>) -> Option<&'a str> {
    match member {
        MemberExpression::StaticMemberExpression(member) => Some(member.property.name.as_str()),
        MemberExpression::PrivateFieldExpression(member) => Some(member.field.name.as_str()),
        MemberExpression::ComputedMemberExpression(member) => match &member.expression {
            Expression::StringLiteral(name) => Some(name.value.as_str()),
            _ => None,
        },
    }
}

/// The name of a class: the one a bundler keeps for it (`static { __name(this, "Flow") }`), or the one it has.
pub(crate) fn class_name<'a>(class: &'a Class<'a>) -> Option<&'a str> {
    let kept = class.body.body.iter().find_map(|element| match element {
        ClassElement::StaticBlock(block) => match block.body.first() {
            Some(Statement::ExpressionStatement(statement)) => match &statement.expression {
                Expression::CallExpression(call) => match call.arguments.as_slice() {
                    [Argument::ThisExpression(_), Argument::StringLiteral(name)] => Some(name.value.as_str()),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    kept.or_else(|| class.id.as_ref().map(|id| id.name.as_str()))
}

/// Source of an expression on one line, shortened.
pub(crate) fn condition(source: &str, span: Span) -> String {
    let (start, end) = (span.start as usize, span.end as usize);
    // What is shown at most needs no more than this, however much white space there is.
    let end = end.min(start.saturating_add(16 * LONGEST));
    let bytes = source.as_bytes().get(start..end).unwrap_or_default();
    let text = String::from_utf8_lossy(bytes);
    let words: Vec<&str> = text.split_whitespace().collect();
    shortened(&words.join(" "), LONGEST)
}

/// At most so many characters.
pub(crate) fn shortened(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => {
            let kept = text.get(..end).unwrap_or_default();
            format!("{}…", kept.trim_end())
        }
        None => text.into(),
    }
}

/// When the right side is evaluated.
pub(crate) fn negated(operator: LogicalOperator, left: &str) -> String {
    let is_simple = |text: &str| {
        text.chars()
            .all(|one| one.is_alphanumeric() || matches!(one, '_' | '$' | '.' | '?'))
    };
    match operator {
        LogicalOperator::And => left.into(),
        LogicalOperator::Or if is_simple(left) => format!("!{left}"),
        LogicalOperator::Or => format!("!({left})"),
        LogicalOperator::Coalesce if is_simple(left) => format!("{left} == null"),
        LogicalOperator::Coalesce => format!("({left}) == null"),
    }
}

/// Whether a variable is set anywhere but where it is declared, as far as the text says. A variable of the same name counts, too.
pub(crate) fn is_set_again(source: &str, name: &str, span: Span) -> bool {
    let text = source
        .get(span.start as usize..span.end as usize)
        .unwrap_or(source);
    let bytes = text.as_bytes();
    let is_word = |byte: u8| byte == b'_' || byte == b'$' || byte >= 0x80 || byte.is_ascii_alphanumeric();
    let mut sets = 0;
    for (at, _) in text.match_indices(name) {
        let end = at + name.len();
        let before = at.checked_sub(1).and_then(|at| bytes.get(at)).copied();
        if before.is_some_and(|byte| is_word(byte) || byte == b'.')
            || bytes.get(end).is_some_and(|byte| is_word(*byte))
        {
            continue;
        }
        let after = bytes.get(end..).unwrap_or_default().trim_ascii_start();
        let earlier = bytes.get(..at).unwrap_or_default().trim_ascii_end();
        if earlier.ends_with(b"++") || earlier.ends_with(b"--") || sets_variable(after) {
            sets += 1;
        }
        if sets > 1 {
            return true;
        }
    }
    false
}

/// Whether this begins with an operator that sets what is before it.
fn sets_variable(after: &[u8]) -> bool {
    if after.starts_with(b"++") || after.starts_with(b"--") {
        return true;
    }
    let operator = after
        .iter()
        .take_while(|byte| b"=+-*/%&|^?<>!".contains(byte))
        .count();
    let operator = after.get(..operator).unwrap_or_default();
    let is_comparison = [b"==".as_slice(), b"===", b"=>", b"<=", b">=", b"!=", b"!=="].contains(&operator);
    operator.ends_with(b"=") && !is_comparison || operator == b"=!" || operator == b"=-" || operator == b"=+"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(source: &str, name: &str) -> bool {
        is_set_again(source, name, Span::new(0, u32::try_from(source.len()).unwrap()))
    }

    #[test]
    fn variables_that_are_set_again() {
        for source in [
            "let a=1;a=2",
            "let a = 1; a += 2",
            "let a=1;a++",
            "let a=1;++a",
            "var a=1;for(;;a--);",
            "let a=1;a??=2",
            "let a=1; if(b){a=!0}",
            "let a=1; a=-1",
        ] {
            assert!(again(source, "a"), "{source}");
        }
        for source in [
            "let a=1;f(a==2)",
            "let a=1;b=a=>3",
            "let a=1;aa=2;b.a=3",
            "let a=1;a===b;a<=b;a>=b;a!==b;a!=b",
            "let a=1+a",
        ] {
            assert!(!again(source, "a"), "{source}");
        }
    }

    #[test]
    fn conditions_are_short() {
        let source = format!("a  &&\n  {}", "ä".repeat(500));
        let shown = condition(&source, Span::new(0, u32::try_from(source.len()).unwrap()));
        assert!(shown.starts_with("a && ä"));
        assert_eq!(shown.chars().count(), LONGEST + 1);
        assert_eq!(condition("x", Span::new(5, 9)), "");
    }
}
