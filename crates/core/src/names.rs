//! Which names and ids are allowed (behaviour §1.5).

/// Why a name or id was refused: what was expected, for the reader.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidName(&'static str);

const RESERVED_IDS: [&str; 3] = ["batch", "terminate", "terminateAll"];

fn is_word(text: &str, max: usize) -> bool {
    let mut chars = text.bytes();
    chars
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == b'_' || c == b'-')
        && text.len() <= max
}

/// A workflow name: 1 to 64 letters, digits, `-` and `_`, not starting with `-`.
///
/// # Errors
/// [`InvalidName`] with what is allowed.
pub fn check_workflow_name(name: &str) -> Result<(), InvalidName> {
    if is_word(name, 64) {
        return Ok(());
    }
    Err(InvalidName(
        "a workflow name has 1 to 64 letters, digits, '-' and '_' and does not start with '-'",
    ))
}

/// An id that a new instance may have.
///
/// # Errors
/// [`InvalidName`] with what is allowed.
pub fn check_instance_id(id: &str) -> Result<(), InvalidName> {
    if RESERVED_IDS.contains(&id) || is_engine_id(id) {
        return Err(InvalidName(
            "this instance id is reserved: 'batch', 'terminate', 'terminateAll' and 'cf_<64 hex>' are",
        ));
    }
    if is_word(id, 100) {
        return Ok(());
    }
    Err(InvalidName(
        "an instance id has 1 to 100 letters, digits, '-' and '_' and does not start with '-'",
    ))
}

fn is_engine_id(id: &str) -> bool {
    id.strip_prefix("cf_").is_some_and(|hex| {
        hex.len() == 64
            && hex
                .bytes()
                .all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
    })
}

/// An id that an existing instance may have: wider than [`check_instance_id`], as schedules make ids of their own.
///
/// # Errors
/// [`InvalidName`] with what is allowed.
pub fn check_addressable_id(id: &str) -> Result<(), InvalidName> {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b", */#_-".contains(&c);
    if (1..=271).contains(&id.len()) && id.bytes().all(allowed) {
        return Ok(());
    }
    Err(InvalidName(
        "an instance id has 1 to 271 letters, digits, spaces and ',*/#_-'",
    ))
}

/// An event type: the characters of a workflow name, 1 to 100.
///
/// # Errors
/// [`InvalidName`] with what is allowed.
pub fn check_event_type(event_type: &str) -> Result<(), InvalidName> {
    if is_word(event_type, 100) {
        return Ok(());
    }
    Err(InvalidName(
        "an event type has 1 to 100 letters, digits, '-' and '_' and does not start with '-'",
    ))
}

/// A step name: at most 256 UTF-16 units, no control characters below U+0020; may be empty.
///
/// # Errors
/// [`InvalidName`] with what is allowed.
pub fn check_step_name(name: &str) -> Result<(), InvalidName> {
    if name.encode_utf16().count() <= 256 && !name.chars().any(|c| c < '\u{20}') {
        return Ok(());
    }
    Err(InvalidName(
        "a step name has at most 256 characters and no control characters",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workflow_names() {
        for good in ["a", "_x", "9lives", "A-b_c", &"x".repeat(64)] {
            assert!(check_workflow_name(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a b", "ä", "a/b", &"x".repeat(65)] {
            assert!(check_workflow_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_reserved_for_routes_and_the_engine() {
        let engine_id = format!("cf_{}", "0a".repeat(32));
        for bad in [
            "batch",
            "terminate",
            "terminateAll",
            &engine_id,
            "",
            "-x",
            &"x".repeat(101),
        ] {
            assert!(check_instance_id(bad).is_err(), "{bad}");
        }
        assert!(check_instance_id("cf_00").is_ok());
        assert!(check_addressable_id("*/30 * * * *-1786001400000").is_ok());
        assert!(check_addressable_id("a?b").is_err());
    }

    #[test]
    fn step_names_are_measured_in_utf16() {
        assert!(check_step_name("").is_ok());
        assert!(check_step_name(&"😀".repeat(128)).is_ok());
        assert!(check_step_name(&"😀".repeat(129)).is_err());
        assert!(check_step_name("a\nb").is_err());
    }
}
