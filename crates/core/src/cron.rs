//! When a schedule fires: cron expressions in Cloudflare's dialect (behaviour §4), in UTC.
//!
//! The days of a month that an expression names are a set of bits, so finding a firing is going through months; the calendar
//! repeats after 400 years, and so does the search.

mod calendar;
mod parse;

use crate::Timestamp;
use calendar::{Month, SUNDAY};

pub use parse::{CronError, CronField};

const MINUTE_MILLIS: i64 = 60_000;
const MINUTES_OF_DAY: i64 = 1_440;
/// After so many months all days of the week are on the same dates again.
const MONTHS_OF_CALENDAR: usize = 4_800;

/// A cron expression: when a schedule fires, in UTC. Sets are bits, by the number of the minute, hour, day, month or weekday.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    month_days: MonthDays,
    months: u64,
    weekdays: Weekdays,
}

/// The day-of-month field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MonthDays {
    /// `*`
    Every,
    /// Days 1 to 31.
    Set(u64),
    /// `L`, `L-3`: so many days before the last.
    Last(i64),
    /// `LW`, `L-3W`: the workday nearest to that.
    LastWorkday(i64),
    /// `15W`: the workday nearest to that day.
    Workday(i64),
}

/// The day-of-week field; 1 is Sunday, 7 is Saturday.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weekdays {
    /// `*`
    Every,
    /// Weekdays 1 to 7.
    Set(u64),
    /// `2#1`: the first Monday of the month.
    Nth(i64, i64),
    /// `2L`: the last Monday of the month.
    Last(i64),
}

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`CronError`], which names the field and what it may hold.
    pub fn parse(expression: &str) -> Result<Self, CronError> {
        parse::parse(expression)
    }

    /// The first firing after `time`; none when it never fires (such as on the 31st of February), or not before the end of time.
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let minute = time.0.div_euclid(MINUTE_MILLIS) + 1;
        let (first_day, minute) = (
            minute.div_euclid(MINUTES_OF_DAY),
            minute.rem_euclid(MINUTES_OF_DAY),
        );
        let mut month = Month::of(first_day);
        for _ in 0..=MONTHS_OF_CALENDAR {
            for day in month.days(self.days_of(&month)) {
                let found = match day.cmp(&first_day) {
                    std::cmp::Ordering::Less => None,
                    std::cmp::Ordering::Equal => self.first_minute_from(minute),
                    std::cmp::Ordering::Greater => self.first_minute_from(0),
                };
                if let Some(minute) = found {
                    return timestamp(day, minute);
                }
            }
            month = month.next();
        }
        None
    }

    /// The last firing at `time` or before it.
    pub fn latest_at_or_before(&self, time: Timestamp) -> Option<Timestamp> {
        let minute = time.0.div_euclid(MINUTE_MILLIS);
        let (last_day, minute) = (
            minute.div_euclid(MINUTES_OF_DAY),
            minute.rem_euclid(MINUTES_OF_DAY),
        );
        let mut month = Month::of(last_day);
        for _ in 0..=MONTHS_OF_CALENDAR {
            for day in month.days(self.days_of(&month)).rev() {
                let found = match day.cmp(&last_day) {
                    std::cmp::Ordering::Less => self.last_minute_to(MINUTES_OF_DAY - 1),
                    std::cmp::Ordering::Equal => self.last_minute_to(minute),
                    std::cmp::Ordering::Greater => None,
                };
                if let Some(minute) = found {
                    return timestamp(day, minute);
                }
            }
            month = month.previous();
        }
        None
    }

    /// The days of a month on which it fires. Where both fields of days say something, one of them is enough.
    fn days_of(&self, month: &Month) -> u64 {
        if !has(self.months, month.number()) {
            return 0;
        }
        match (self.month_days, self.weekdays) {
            (MonthDays::Every, Weekdays::Every) => u64::MAX,
            (MonthDays::Every, weekdays) => weekdays.in_month(month),
            (month_days, Weekdays::Every) => month_days.in_month(month),
            (month_days, weekdays) => month_days.in_month(month) | weekdays.in_month(month),
        }
    }

    /// The first minute of a day on which it fires, from `minute` on.
    fn first_minute_from(&self, minute: i64) -> Option<i64> {
        let (hour, minute) = (minute / 60, minute % 60);
        (hour..24).filter(|at| has(self.hours, *at)).find_map(|at| {
            let from = if at == hour { minute } else { 0 };
            let found = (from..60).find(|minute| has(self.minutes, *minute));
            found.map(|minute| at * 60 + minute)
        })
    }

    /// The last minute of a day on which it fires, up to `minute`.
    fn last_minute_to(&self, minute: i64) -> Option<i64> {
        let (hour, minute) = (minute / 60, minute % 60);
        let hours = (0..=hour).rev();
        hours.filter(|at| has(self.hours, *at)).find_map(|at| {
            let to = if at == hour { minute } else { 59 };
            let found = (0..=to).rev().find(|minute| has(self.minutes, *minute));
            found.map(|minute| at * 60 + minute)
        })
    }
}

impl MonthDays {
    fn in_month(self, month: &Month) -> u64 {
        match self {
            Self::Every => u64::MAX,
            Self::Set(days) => days,
            Self::Last(back) => bit(month.length() - back),
            Self::LastWorkday(back) => nearest_workday(month, month.length() - back),
            Self::Workday(day) => nearest_workday(month, day),
        }
    }
}

impl Weekdays {
    fn in_month(self, month: &Month) -> u64 {
        let of = |weekday| month.first_on(weekday);
        match self {
            Self::Every => u64::MAX,
            Self::Set(weekdays) => (1..=month.length())
                .filter(|day| has(weekdays, month.weekday(*day)))
                .fold(0, |days, day| days | bit(day)),
            Self::Nth(weekday, nth) => bit(of(weekday) + 7 * (nth - 1)),
            Self::Last(weekday) => bit(of(weekday) + (month.length() - of(weekday)) / 7 * 7),
        }
    }
}

/// The workday nearest to a day, in the same month; nothing where the month has no such day.
fn nearest_workday(month: &Month, day: i64) -> u64 {
    if !(1..=month.length()).contains(&day) {
        return 0;
    }
    let nearest = match month.weekday(day) {
        SUNDAY if day == month.length() => day - 2,
        SUNDAY => day + 1,
        calendar::SATURDAY if day == 1 => day + 2,
        calendar::SATURDAY => day - 1,
        _ => day,
    };
    bit(nearest)
}

/// The set of one number; empty where it is no number of a set.
fn bit(number: i64) -> u64 {
    if (0..64).contains(&number) { 1 << number } else { 0 }
}

fn has(set: u64, number: i64) -> bool {
    set & bit(number) != 0
}

fn timestamp(day: i64, minute: i64) -> Option<Timestamp> {
    let minute = day.checked_mul(MINUTES_OF_DAY)?.checked_add(minute)?;
    minute.checked_mul(MINUTE_MILLIS).map(Timestamp)
}
