//! Points in time as a user writes them, and as they are shown.

use crate::failure::Failure;
use crate::steps::span;
use cairn_api::Time;
use std::time::{SystemTime, UNIX_EPOCH};

/// In which direction a bare span such as `7d` goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// It is an age.
    Past,
    /// It is a time to live.
    Future,
}

/// Now.
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Reads a span from now, a date or a full time.
///
/// # Errors
/// When it is none of these; `option` is where it was given.
pub(crate) fn parse(text: &str, (option, direction): (&str, Direction), now: Time) -> Result<Time, Failure> {
    let full = || text.parse().ok();
    let date = || format!("{text}T00:00:00Z").parse().ok();
    let relative = || {
        let millis = span_millis(text)?;
        let signed = match direction {
            Direction::Past => now.0.checked_sub(millis)?,
            Direction::Future => now.0.checked_add(millis)?,
        };
        Some(Time(signed))
    };
    relative().or_else(full).or_else(date).ok_or_else(|| {
        Failure::new(
            format!("{option} is \"{text}\", which is no time."),
            "Give a span (90s, 30m, 24h, 7d), a date (2026-01-31) or a full time (2026-01-31T09:30:00Z).",
        )
    })
}

fn span_millis(text: &str) -> Option<i64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let number: i64 = text[..unit_at].parse().ok()?;
    let unit = match &text[unit_at..] {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 7 * 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// How long ago something was, or how far it is.
pub(crate) fn relative(time: Time, now: Time) -> String {
    if time.0 > now.0 {
        format!("in {}", span(time.0 - now.0))
    } else {
        format!("{} ago", span(now.0 - time.0))
    }
}

/// A point in time with its distance: `2026-01-31 09:30:00 (3 h 20 min ago)`.
pub(crate) fn full(time: Time, now: Time) -> String {
    format!("{} ({})", short(time), relative(time, now))
}

/// A point in time to the second, UTC: `2026-01-31 09:30:00`.
pub(crate) fn short(time: Time) -> String {
    let text = time.to_string();
    text.get(..19).unwrap_or(&text).replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_786_001_400_007);

    fn read(text: &str, direction: Direction) -> Option<i64> {
        parse(text, ("--since", direction), NOW).ok().map(|time| time.0)
    }

    #[test]
    fn spans_dates_and_times_are_read() {
        assert_eq!(read("90s", Direction::Past), Some(NOW.0 - 90_000));
        assert_eq!(read("7d", Direction::Future), Some(NOW.0 + 7 * 86_400_000));
        assert_eq!(read("1970-01-02", Direction::Past), Some(86_400_000));
        assert_eq!(read("1970-01-01T01:00:00+01:00", Direction::Past), Some(0));
    }

    #[test]
    fn what_is_no_time_is_told_with_where_it_was_given() {
        for text in ["", "7", "d", "7y", "yesterday", "-7d", "9223372036854775807w"] {
            let failure = parse(text, ("--since", Direction::Past), NOW).unwrap_err();
            assert!(failure.to_string().contains("--since is"), "{text}");
        }
    }

    #[test]
    fn times_are_shown_with_their_distance() {
        assert_eq!(
            full(Time(NOW.0 - 12_000_000), NOW),
            "2026-08-06 04:10:00 (3 h 20 min ago)"
        );
        assert_eq!(relative(Time(NOW.0 + 3_400), NOW), "in 3.4 s");
    }
}
