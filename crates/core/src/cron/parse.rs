//! Reading a cron expression.

use super::{Cron, MonthDays, Weekdays, bit};
use std::fmt;

/// Longest expression, characters (behaviour §4).
const LENGTH_MAX: usize = 256;

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// Why an expression was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// It is too long.
    #[error("it has {0} characters; at most {LENGTH_MAX} are allowed")]
    TooLong(usize),
    /// It has too few fields, or too many.
    #[error(
        "it has {0} fields; it must have five, with spaces between them alone: minute, hour, day of month, month, day of week"
    )]
    Fields(usize),
    /// It begins or ends with a space.
    #[error(
        "it begins or ends with a space; its first character belongs to the minute and its last to the day of week"
    )]
    Spaces,
    /// A field is not what it may be.
    #[error("its {field} is \"{text}\"; {}", .field.allowed())]
    Field {
        /// The field.
        field: CronField,
        /// As given.
        text: String,
    },
}

/// A field of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CronField {
    /// Of the hour.
    Minute,
    /// Of the day.
    Hour,
    /// Of the month.
    DayOfMonth,
    /// Of the year.
    Month,
    /// 1 is Sunday.
    DayOfWeek,
}

impl fmt::Display for CronField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day of month",
            Self::Month => "month",
            Self::DayOfWeek => "day of week",
        })
    }
}

impl CronField {
    /// What it may hold, for the reader.
    pub fn allowed(self) -> &'static str {
        match self {
            Self::Minute => {
                "allowed are * and lists of 0 to 59, ranges and steps up to 59, such as 0,30 or 10-50/10 or */5"
            }
            Self::Hour => {
                "allowed are * and lists of 0 to 23, ranges and steps up to 23, such as 9,17 or 9-17 or */2"
            }
            Self::DayOfMonth => {
                "allowed are * and lists of 1 to 31, ranges and steps up to 30, such as 1,15 or 1-7 or */2; \
                 or one of L (the last day), L-3 (three days before it), LW (the last workday), 15W (the workday nearest to the 15th)"
            }
            Self::Month => {
                "allowed are * and lists of 1 to 12 or JAN to DEC, ranges and steps up to 11, such as 1,7 or JAN-MAR or */3"
            }
            Self::DayOfWeek => {
                "allowed are * and lists of 1 (Sunday) to 7 (Saturday) or SUN to SAT, ranges and steps up to 6, such as MON-FRI or 1,7; \
                 or one of MON#1 (the first Monday of the month), FRIL (the last Friday), L (Saturday)"
            }
        }
    }

    /// Least and largest number.
    fn bounds(self) -> (i64, i64) {
        match self {
            Self::Minute => (0, 59),
            Self::Hour => (0, 23),
            Self::DayOfMonth => (1, 31),
            Self::Month => (1, 12),
            Self::DayOfWeek => (1, 7),
        }
    }

    /// Names of its numbers, from 1 on.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Minute | Self::Hour | Self::DayOfMonth => &[],
            Self::Month => &MONTHS,
            Self::DayOfWeek => &WEEKDAYS,
        }
    }

    fn error(self, text: &str) -> CronError {
        CronError::Field {
            field: self,
            text: text.into(),
        }
    }

    /// `*`, or a list.
    fn star_or_set(self, text: &str) -> Result<u64, CronError> {
        if text == "*" {
            return Ok(u64::MAX);
        }
        self.set(text).ok_or_else(|| self.error(text))
    }

    /// A list of numbers, ranges and steps.
    fn set(self, text: &str) -> Option<u64> {
        text.split(',')
            .try_fold(0, |set, part| Some(set | self.part(part)?))
    }

    /// `5`, `5-10`, `5/2`, `5-10/2`, `*/2`. A range whose end is before its begin goes on at the least number.
    fn part(self, text: &str) -> Option<u64> {
        let (least, most) = self.bounds();
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(number(step, (1, most - least))?)),
            None => (text, None),
        };
        let (first, last) = match (range, range.split_once('-'), step) {
            ("*", _, Some(_)) => (least, most),
            (_, Some((first, last)), _) => (self.value(first)?, self.value(last)?),
            (_, None, Some(_)) => (self.value(range)?, most),
            (_, None, None) => (self.value(range)?, self.value(range)?),
        };
        let size = most - least + 1;
        let steps = (last - first).rem_euclid(size) / step.unwrap_or(1);
        let numbers = (0..=steps).map(|nth| least + (first - least + nth * step.unwrap_or(1)) % size);
        Some(numbers.fold(0, |set, number| set | bit(number)))
    }

    /// A number or its name.
    fn value(self, text: &str) -> Option<i64> {
        let named = (1..)
            .zip(self.names())
            .find(|(_, name)| name.eq_ignore_ascii_case(text));
        match named {
            Some((number, _)) => Some(number),
            None => number(text, self.bounds()),
        }
    }
}

pub(super) fn parse(expression: &str) -> Result<Cron, CronError> {
    let length = expression.chars().count();
    if length > LENGTH_MAX {
        return Err(CronError::TooLong(length));
    }
    if expression.starts_with(' ') || expression.ends_with(' ') {
        return Err(CronError::Spaces);
    }
    let fields: Vec<&str> = expression.split(' ').filter(|field| !field.is_empty()).collect();
    let &[minutes, hours, month_days, months, weekdays] = fields.as_slice() else {
        return Err(CronError::Fields(fields.len()));
    };
    Ok(Cron {
        minutes: CronField::Minute.star_or_set(minutes)?,
        hours: CronField::Hour.star_or_set(hours)?,
        month_days: read_month_days(month_days).ok_or_else(|| CronField::DayOfMonth.error(month_days))?,
        months: CronField::Month.star_or_set(months)?,
        weekdays: read_weekdays(weekdays).ok_or_else(|| CronField::DayOfWeek.error(weekdays))?,
    })
}

fn read_month_days(text: &str) -> Option<MonthDays> {
    if text == "*" {
        return Some(MonthDays::Every);
    }
    if let Some(rest) = text.strip_prefix('L') {
        let (rest, is_workday) = match rest.strip_suffix('W') {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let back = match rest.strip_prefix('-') {
            Some(back) => number(back, (1, 30))?,
            None if rest.is_empty() => 0,
            None => return None,
        };
        return Some(if is_workday {
            MonthDays::LastWorkday(back)
        } else {
            MonthDays::Last(back)
        });
    }
    match text.strip_suffix('W') {
        Some(day) => CronField::DayOfMonth.value(day).map(MonthDays::Workday),
        None => CronField::DayOfMonth.set(text).map(MonthDays::Set),
    }
}

fn read_weekdays(text: &str) -> Option<Weekdays> {
    let weekday = |text| CronField::DayOfWeek.value(text);
    match text {
        "*" => return Some(Weekdays::Every),
        "L" => return Some(Weekdays::Set(bit(super::calendar::SATURDAY))),
        _ => {}
    }
    if let Some((day, nth)) = text.split_once('#') {
        return Some(Weekdays::Nth(weekday(day)?, number(nth, (1, 5))?));
    }
    match text.strip_suffix('L') {
        Some(day) => weekday(day).map(Weekdays::Last),
        None => CronField::DayOfWeek.set(text).map(Weekdays::Set),
    }
}

/// A whole number within bounds.
fn number(text: &str, (least, most): (i64, i64)) -> Option<i64> {
    let is_digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    let number = is_digits.then(|| text.parse().ok()).flatten()?;
    (least..=most).contains(&number).then_some(number)
}
