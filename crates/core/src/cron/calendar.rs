//! Months of the Gregorian calendar, in days since the Unix epoch.

pub(super) const SUNDAY: i64 = 1;
pub(super) const SATURDAY: i64 = 7;

/// January 1970 was month 0, and began with a Thursday.
const EPOCH_YEAR: i64 = 1_970;
const EPOCH_WEEKDAY: i64 = 5;
/// Days and months of 400 years.
const CYCLE: (i64, i64) = (146_097, 4_800);

/// A month of some year.
pub(super) struct Month {
    /// Months since the epoch.
    index: i64,
    /// The day since the epoch that it begins with.
    begin: i64,
    length: i64,
}

impl Month {
    fn new(index: i64) -> Self {
        let begin = begin(index);
        Self {
            index,
            begin,
            length: begin_of_next(index) - begin,
        }
    }

    /// The month that has this day since the epoch.
    pub(super) fn of(day: i64) -> Self {
        let (days, months) = CYCLE;
        // The mean length of a month leads there, or close by.
        let cycle = day.div_euclid(days);
        let mut index = cycle * months + day.rem_euclid(days) * months / days;
        while begin(index) > day {
            index -= 1;
        }
        while begin_of_next(index) <= day {
            index += 1;
        }
        Self::new(index)
    }

    pub(super) fn next(&self) -> Self {
        Self::new(self.index + 1)
    }

    pub(super) fn previous(&self) -> Self {
        Self::new(self.index - 1)
    }

    /// 1 for January.
    pub(super) fn number(&self) -> i64 {
        self.index.rem_euclid(12) + 1
    }

    /// Its days.
    pub(super) fn length(&self) -> i64 {
        self.length
    }

    /// The weekday of one of its days.
    pub(super) fn weekday(&self, day: i64) -> i64 {
        (self.begin + day - 1 + EPOCH_WEEKDAY - 1).rem_euclid(7) + 1
    }

    /// Its first day that is this weekday.
    pub(super) fn first_on(&self, weekday: i64) -> i64 {
        (weekday - self.weekday(1)).rem_euclid(7) + 1
    }

    /// Its days that are in a set, as days since the epoch.
    pub(super) fn days(&self, set: u64) -> impl DoubleEndedIterator<Item = i64> + use<> {
        let begin = self.begin;
        (1..=self.length)
            .filter(move |day| super::has(set, *day))
            .map(move |day| begin + day - 1)
    }
}

fn begin_of_next(index: i64) -> i64 {
    begin(index + 1)
}

/// The first day of a month, since the epoch.
fn begin(index: i64) -> i64 {
    const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let year = EPOCH_YEAR + index.div_euclid(12);
    let month = index.rem_euclid(12);
    let leap_day = i64::from(is_leap(year) && month >= 2);
    let before = usize::try_from(month).ok().and_then(|month| BEFORE.get(month));
    365 * (year - EPOCH_YEAR) + leap_days(year) - leap_days(EPOCH_YEAR)
        + before.copied().unwrap_or(0)
        + leap_day
}

fn is_leap(year: i64) -> bool {
    year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0)
}

/// Leap days before a year, up to a constant.
fn leap_days(year: i64) -> i64 {
    let last = year - 1;
    last.div_euclid(4) - last.div_euclid(100) + last.div_euclid(400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_follow_each_other() {
        let (mut day, mut index) = (0, 0);
        for year in 1_970..2_801 {
            let february = if year % 400 == 0 || year % 4 == 0 && year % 100 != 0 {
                29
            } else {
                28
            };
            for (length, number) in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
                .into_iter()
                .zip(1..)
            {
                for inside in [day, day + length - 1] {
                    let month = Month::of(inside);
                    assert_eq!(
                        (month.index, month.begin, month.length),
                        (index, day, length),
                        "{year}-{number}"
                    );
                    assert_eq!(month.number(), number);
                }
                day += length;
                index += 1;
            }
        }
    }

    #[test]
    fn weekdays_of_known_dates() {
        let january_1970 = Month::of(0);
        assert_eq!(january_1970.weekday(1), 5, "a Thursday");
        let february_2024 = Month::of(19_754);
        assert_eq!((february_2024.number(), february_2024.length()), (2, 29));
        assert_eq!(february_2024.weekday(29), 5, "2024-02-29 was a Thursday");
        assert_eq!(february_2024.first_on(SUNDAY), 4);
        let december_1969 = Month::of(-1);
        assert_eq!((december_1969.number(), december_1969.weekday(31)), (12, 4));
    }
}
