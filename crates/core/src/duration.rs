//! Durations as user code writes them: a number of milliseconds, or `"<n> <unit>[s]"` (behaviour §3.3).

/// A duration before it is checked.
#[derive(Debug, Clone, PartialEq)]
pub enum DurationInput {
    /// A JavaScript number: milliseconds, possibly negative, fractional or NaN.
    Millis(f64),
    /// Text such as `"5 minutes"`.
    Text(String),
}

/// A duration that says nothing; displays as the engine's own message does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid duration \"{0}\"")]
pub struct InvalidDuration(pub String);

const UNITS: [(&str, f64); 8] = [
    ("millisecond", 1.0),
    ("second", 1_000.0),
    ("minute", 60_000.0),
    ("hour", 3_600_000.0),
    ("day", 86_400_000.0),
    ("week", 604_800_000.0),
    ("month", 2_592_000_000.0),
    ("year", 31_536_000_000.0),
];

/// Milliseconds of a duration; negative where the number was. Fractions of a millisecond are cut off.
///
/// # Errors
/// [`InvalidDuration`] for NaN, infinity, text of another form and unknown units.
pub fn parse_duration(input: &DurationInput) -> Result<i64, InvalidDuration> {
    let millis = match input {
        DurationInput::Millis(millis) => *millis,
        DurationInput::Text(text) => parse_text(text).ok_or_else(|| InvalidDuration(text.clone()))?,
    };
    if !millis.is_finite() || millis.abs() > 9.0e15 {
        return Err(InvalidDuration(match input {
            DurationInput::Millis(millis) => millis.to_string(),
            DurationInput::Text(text) => text.clone(),
        }));
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded to 9e15 just above")]
    Ok(millis as i64)
}

fn parse_text(text: &str) -> Option<f64> {
    let text = text.trim();
    let digits = text
        .bytes()
        .take_while(|c| c.is_ascii_digit() || *c == b'.')
        .count();
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let unit = unit.trim_start();
    let unit = unit.strip_suffix('s').unwrap_or(unit);
    UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, millis)| number * millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Result<i64, InvalidDuration> {
        parse_duration(&DurationInput::Text(text.into()))
    }

    #[test]
    fn text_with_units() {
        assert_eq!(text("10 seconds"), Ok(10_000));
        assert_eq!(text("1 second"), Ok(1_000));
        assert_eq!(text("1.5 minutes"), Ok(90_000));
        assert_eq!(text("2 months"), Ok(5_184_000_000));
        assert_eq!(text("1 year"), Ok(31_536_000_000));
    }

    #[test]
    fn refused() {
        for bad in [
            "1s",
            "5 lightyears",
            "",
            "seconds",
            "-1 second",
            "1 secondss",
            "1..5 days",
            "1 2 days",
        ] {
            assert!(text(bad).is_err(), "{bad}");
        }
        assert_eq!(text("1s").unwrap_err().to_string(), "Invalid duration \"1s\"");
        assert!(parse_duration(&DurationInput::Millis(f64::NAN)).is_err());
        assert!(parse_duration(&DurationInput::Millis(f64::INFINITY)).is_err());
    }

    #[test]
    fn numbers_are_milliseconds() {
        assert_eq!(parse_duration(&DurationInput::Millis(1500.9)), Ok(1500));
        assert_eq!(parse_duration(&DurationInput::Millis(-5.0)), Ok(-5));
    }
}
