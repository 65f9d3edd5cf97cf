//! Cron expressions: a table worked out by hand, random ones against a model that goes minute by minute, and text that is none.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers outside of #[test] functions

use cairn_core::{Cron, CronError, Timestamp, check_addressable_id};

const MINUTE: i64 = 60_000;
const DAY: i64 = 1_440;

fn cron(expression: &str) -> Cron {
    Cron::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
}

/// Days from the epoch to a date, counted one by one.
fn days_to(date: (i64, i64, i64)) -> i64 {
    let mut at = Date::EPOCH;
    let mut days = 0;
    while (at.year, at.month, at.day) != date {
        at = at.next();
        days += 1;
    }
    days
}

/// `2026-03-01 07:30`, or with seconds; a year from 1970 on.
fn at(text: &str) -> Timestamp {
    let numbers: Vec<i64> = text
        .split(['-', ' ', ':'])
        .map(|part| part.parse().unwrap())
        .collect();
    let days = days_to((numbers[0], numbers[1], numbers[2]));
    let seconds = numbers.get(5).copied().unwrap_or(0);
    Timestamp((days * DAY + numbers[3] * 60 + numbers[4]) * MINUTE + seconds * 1_000)
}

#[test]
fn worked_out_by_hand() {
    // 2024-02-29 was a Thursday, 2026-01-01 a Thursday, 2026-02-01 a Sunday, 2026-05-31 a Sunday, 2026-08-01 a Saturday.
    let table = [
        ("* * * * *", "2026-01-01 00:00", "2026-01-01 00:01"),
        ("* * * * *", "2026-01-01 00:00:59", "2026-01-01 00:01"),
        ("*/30 * * * *", "2026-08-06 07:29:59", "2026-08-06 07:30"),
        ("*/30 * * * *", "2026-08-06 07:30", "2026-08-06 08:00"),
        ("0 0 * * *", "2025-12-31 00:00", "2026-01-01 00:00"),
        ("05 04 * * *", "2026-01-01 04:05", "2026-01-02 04:05"),
        ("59 23 31 12 *", "2025-12-31 23:59", "2026-12-31 23:59"),
        ("0 0 29 2 *", "2024-02-29 00:00", "2028-02-29 00:00"),
        ("0 0 29 2 *", "2096-02-29 00:00", "2104-02-29 00:00"),
        ("0 0 29 FEB *", "1999-03-01 00:00", "2000-02-29 00:00"),
        // 1 is Sunday: 1-5 is Sunday to Thursday.
        ("0 12 * * 1-5", "2026-01-01 12:00", "2026-01-04 12:00"),
        ("0 12 * * MON-fri", "2026-01-02 12:00", "2026-01-05 12:00"),
        ("0 12 * * 7", "2026-01-01 00:00", "2026-01-03 12:00"),
        ("0 12 * * L", "2026-01-01 00:00", "2026-01-03 12:00"),
        // Ranges go on at the beginning.
        ("0 0 * * FRI-SUN", "2026-01-01 00:00", "2026-01-02 00:00"),
        ("0 0 * * FRI-SUN", "2026-01-04 00:00", "2026-01-09 00:00"),
        ("0 22-2 * * *", "2026-01-01 02:00", "2026-01-01 22:00"),
        ("50-10/5 * * * *", "2026-01-01 00:10", "2026-01-01 00:50"),
        ("50-10/5 * * * *", "2026-01-01 00:55", "2026-01-01 01:00"),
        ("0 0 1 NOV-2 *", "2026-02-01 00:00", "2026-11-01 00:00"),
        // A single number with a step goes to the end.
        ("0/25 * * * *", "2026-01-01 00:25", "2026-01-01 00:50"),
        ("7,3,5 * * * *", "2026-01-01 00:03", "2026-01-01 00:05"),
        ("0 0 */10 * *", "2026-01-21 00:00", "2026-01-31 00:00"),
        ("0 0 */10 * *", "2026-01-31 00:00", "2026-02-01 00:00"),
        // Last days.
        ("0 0 L * *", "2026-02-01 00:00", "2026-02-28 00:00"),
        ("0 0 L 2 *", "2026-02-28 00:00", "2027-02-28 00:00"),
        ("0 0 L-3 * *", "2026-02-01 00:00", "2026-02-25 00:00"),
        ("0 0 L-30 * *", "2026-02-01 00:00", "2026-03-01 00:00"),
        ("0 0 LW * *", "2026-05-01 00:00", "2026-05-29 00:00"),
        ("0 0 LW * *", "2026-02-01 00:00", "2026-02-27 00:00"),
        ("0 0 L-1W 5 *", "2026-01-01 00:00", "2026-05-29 00:00"),
        // Nearest workdays stay in their month.
        ("0 0 1W * *", "2026-07-31 00:00", "2026-08-03 00:00"),
        ("0 0 1W * *", "2026-01-31 00:00", "2026-02-02 00:00"),
        ("0 0 31W 5 *", "2026-01-01 00:00", "2026-05-29 00:00"),
        ("0 0 15W 8 *", "2026-08-01 00:00", "2026-08-14 00:00"),
        ("0 0 31W * *", "2026-01-31 00:00", "2026-03-31 00:00"),
        // Weekdays of the month.
        ("0 0 * * 2#1", "2026-01-01 00:00", "2026-01-05 00:00"),
        ("0 0 * * MON#5", "2026-01-01 00:00", "2026-03-30 00:00"),
        ("0 0 * * THU#1", "2025-12-31 23:59", "2026-01-01 00:00"),
        ("0 0 * * FRIL", "2026-01-01 00:00", "2026-01-30 00:00"),
        ("0 0 * 5 1L", "2026-01-01 00:00", "2026-05-31 00:00"),
        // Either field of days is enough when both say something; a step is something.
        ("0 0 13 * FRI", "2026-01-01 00:00", "2026-01-02 00:00"),
        ("0 0 13 * FRI", "2026-01-09 00:00", "2026-01-13 00:00"),
        ("0 0 31 2 MON", "2026-01-01 00:00", "2026-02-02 00:00"),
        ("0 0 L * MON#1", "2026-01-06 00:00", "2026-01-31 00:00"),
    ];
    for (expression, after, expected) in table {
        let (cron, expected) = (cron(expression), at(expected));
        assert_eq!(
            cron.next_after(at(after)),
            Some(expected),
            "{expression} after {after}"
        );
        assert_eq!(
            cron.latest_at_or_before(Timestamp(expected.0 + MINUTE - 1)),
            Some(expected),
            "{expression}, a minute later"
        );
    }
}

#[test]
fn what_never_fires_says_so() {
    for expression in [
        "0 0 31 2 *",
        "0 0 30 FEB *",
        "0 0 31 4,6,9,11 *",
        "* * L-30 2 *",
        "0 0 31W 4 *",
    ] {
        let cron = cron(expression);
        assert_eq!(cron.next_after(at("2026-01-01 00:00")), None, "{expression}");
        assert_eq!(
            cron.latest_at_or_before(at("2026-01-01 00:00")),
            None,
            "{expression}"
        );
    }
}

#[test]
fn times_at_the_ends_of_time_do_no_harm() {
    for expression in [
        "* * * * *",
        "0 0 29 2 *",
        "0 0 LW 5 *",
        "0 0 31 2 *",
        "59 23 * * SATL",
    ] {
        let cron = cron(expression);
        for time in [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX].map(Timestamp) {
            assert!(
                cron.next_after(time).is_none_or(|next| next > time),
                "{expression} after {time:?}"
            );
            let latest = cron.latest_at_or_before(time);
            assert!(
                latest.is_none_or(|latest| latest <= time),
                "{expression} before {time:?}"
            );
        }
    }
    assert_eq!(cron("* * * * *").next_after(Timestamp(-1)), Some(Timestamp(0)));
    assert_eq!(
        cron("0 0 1 1 *").latest_at_or_before(Timestamp(0)),
        Some(Timestamp(0))
    );
}

#[test]
fn what_is_wrong_is_named() {
    for (expression, field) in [
        ("60 * * * *", "minute"),
        ("*/60 * * * *", "minute"),
        ("*/0 * * * *", "minute"),
        ("5,* * * * *", "minute"),
        ("*-5 * * * *", "minute"),
        ("1- * * * *", "minute"),
        ("+5 * * * *", "minute"),
        ("1//2 * * * *", "minute"),
        ("1-2-3 * * * *", "minute"),
        ("99999999999999999999 * * * *", "minute"),
        (", * * * *", "minute"),
        ("*\t * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* */24 * * *", "hour"),
        ("* * 0 * *", "day of month"),
        ("* * 32W * *", "day of month"),
        ("* * ? * *", "day of month"),
        ("* * 3,L * *", "day of month"),
        ("* * L-31 * *", "day of month"),
        ("* * L-0 * *", "day of month"),
        ("* * L3 * *", "day of month"),
        ("* * MON * *", "day of month"),
        ("* * * 13 *", "month"),
        ("* * * JANUARY *", "month"),
        ("* * * * 0", "day of week"),
        ("* * * * 8", "day of week"),
        ("* * * * */7", "day of week"),
        ("* * * * MON#6", "day of week"),
        ("* * * * MON#", "day of week"),
        ("* * * * MON,FRIL", "day of week"),
        ("* * * * JAN", "day of week"),
    ] {
        let error = Cron::parse(expression).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("its {field} is \"")),
            "{expression}: {error}"
        );
        assert!(error.contains("allowed are * and lists of"), "{error}");
    }
    assert_eq!(Cron::parse(""), Err(CronError::Fields(0)));
    assert_eq!(Cron::parse("@daily"), Err(CronError::Fields(1)));
    assert_eq!(Cron::parse("0 0 * * * *"), Err(CronError::Fields(6)));
    assert_eq!(Cron::parse(" * * * * *"), Err(CronError::Spaces));
    assert_eq!(Cron::parse("* * * * * "), Err(CronError::Spaces));
    let longest = format!("{} * * * *", ["0"; 124].join(","));
    assert_eq!(longest.len(), 255);
    assert!(Cron::parse(&longest).is_ok());
    assert_eq!(
        Cron::parse(&longest.replace(" * * *", "   * * *")),
        Err(CronError::TooLong(257))
    );
}

/// The same numbers on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn within(&mut self, least: i64, most: i64) -> i64 {
        least + self.below((most - least + 1) as usize) as i64
    }
}

#[test]
fn no_text_panics_and_what_is_accepted_can_be_an_id() {
    let characters: Vec<char> = "0123456789*/-,#LWMONFRIJAN   ?+é\t\n".chars().collect();
    let mut accepted = 0;
    for seed in 0..50_000 {
        let mut random = Random(seed);
        let mut text: String = match random.below(2) {
            0 => (0..random.below(40))
                .map(|_| characters[random.below(characters.len())])
                .collect(),
            _ => Expression::random(&mut random).text,
        };
        if random.below(2) == 0 && !text.is_empty() {
            let mut changed: Vec<char> = text.chars().collect();
            let place = random.below(changed.len());
            changed[place] = characters[random.below(characters.len())];
            text = changed.into_iter().collect();
        }
        if Cron::parse(&text).is_ok() {
            accepted += 1;
            check_addressable_id(&format!("{text}-{}", 8_640_000_000_000_000_i64)).unwrap();
        }
    }
    assert!(accepted > 12_000, "{accepted}");
}

/// A date that counts on, day by day: the model's calendar.
#[derive(Clone, Copy)]
struct Date {
    year: i64,
    month: i64,
    day: i64,
    /// 1 is Sunday.
    weekday: i64,
}

impl Date {
    /// A Thursday.
    const EPOCH: Self = Self {
        year: 1970,
        month: 1,
        day: 1,
        weekday: 5,
    };

    fn length(self) -> i64 {
        match self.month {
            2 if self.year % 400 == 0 || self.year % 4 == 0 && self.year % 100 != 0 => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    fn next(self) -> Self {
        let weekday = self.weekday % 7 + 1;
        if self.day < self.length() {
            return Self {
                day: self.day + 1,
                weekday,
                ..self
            };
        }
        let (year, month) = if self.month == 12 {
            (self.year + 1, 1)
        } else {
            (self.year, self.month + 1)
        };
        Self {
            year,
            month,
            day: 1,
            weekday,
        }
    }

    fn is_workday(self) -> bool {
        (2..=6).contains(&self.weekday)
    }
}

/// One element of a list: from, to, step.
type Part = (i64, i64, i64);

enum Days {
    Star,
    List(Vec<Part>),
    Last(i64),
    Workday(i64),
    LastWorkday(i64),
    Nth(i64, i64),
    LastOf(i64),
}

/// An expression with what it means, apart from its text.
struct Expression {
    text: String,
    minutes: Option<Vec<Part>>,
    hours: Option<Vec<Part>>,
    days: Days,
    months: Option<Vec<Part>>,
    weekdays: Days,
}

fn part(random: &mut Random, (least, most): (i64, i64), name: &dyn Fn(i64) -> String) -> (String, Part) {
    let (from, to) = (random.within(least, most), random.within(least, most));
    let step = random.within(1, most - least);
    match random.below(5) {
        0 => (format!("{}-{}", name(from), name(to)), (from, to, 1)),
        1 => (format!("{}-{}/{step}", name(from), name(to)), (from, to, step)),
        2 => (format!("{}/{step}", name(from)), (from, most, step)),
        3 => (format!("*/{step}"), (least, most, step)),
        _ => (name(from), (from, from, 1)),
    }
}

fn list(random: &mut Random, bounds: (i64, i64), name: &dyn Fn(i64) -> String) -> (String, Vec<Part>) {
    let parts: Vec<(String, Part)> = (0..=random.below(3))
        .map(|_| part(random, bounds, name))
        .collect();
    let texts: Vec<&str> = parts.iter().map(|(text, _)| text.as_str()).collect();
    (texts.join(","), parts.iter().map(|(_, part)| *part).collect())
}

fn star_or_list(
    random: &mut Random,
    bounds: (i64, i64),
    name: &dyn Fn(i64) -> String,
) -> (String, Option<Vec<Part>>) {
    if random.below(3) == 0 {
        return ("*".into(), None);
    }
    let (text, parts) = list(random, bounds, name);
    (text, Some(parts))
}

/// Whether a number is among those that counting from the first by the step reaches, on the circle of all numbers.
fn holds(parts: &[Part], number: i64, (least, most): (i64, i64)) -> bool {
    parts.iter().any(|&(from, to, step)| {
        let mut at = from;
        let mut since = 0;
        loop {
            if since == 0 && at == number {
                return true;
            }
            if at == to {
                return false;
            }
            at = if at == most { least } else { at + 1 };
            since = (since + 1) % step;
        }
    })
}

impl Expression {
    fn random(random: &mut Random) -> Self {
        let digits = |number: i64| number.to_string();
        let month_names = [
            "jan", "FEB", "Mar", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "nov", "DEC",
        ];
        let weekday_names = ["SUN", "mon", "TUE", "WED", "Thu", "FRI", "SAT"];
        let month_name = |number: i64| month_names[number as usize - 1].to_string();
        let weekday_name = |number: i64| weekday_names[number as usize - 1].to_string();
        let (minute_text, minutes) = star_or_list(random, (0, 59), &digits);
        let (hour_text, hours) = star_or_list(random, (0, 23), &digits);
        let (month_text, months) = match random.below(2) {
            0 => star_or_list(random, (1, 12), &digits),
            _ => star_or_list(random, (1, 12), &month_name),
        };
        let (back, day) = (random.within(1, 30), random.within(1, 31));
        let (day_text, days) = match random.below(10) {
            0 => ("L".into(), Days::Last(0)),
            1 => (format!("L-{back}"), Days::Last(back)),
            2 => ("LW".into(), Days::LastWorkday(0)),
            3 => (format!("L-{back}W"), Days::LastWorkday(back)),
            4 => (format!("{day}W"), Days::Workday(day)),
            5 => {
                let (text, parts) = list(random, (1, 31), &digits);
                (text, Days::List(parts))
            }
            _ => ("*".into(), Days::Star),
        };
        let (weekday, nth) = (random.within(1, 7), random.within(1, 5));
        let (weekday_text, weekdays) = match random.below(8) {
            0 => (format!("{weekday}#{nth}"), Days::Nth(weekday, nth)),
            1 => (format!("{}L", weekday_name(weekday)), Days::LastOf(weekday)),
            2 => ("L".into(), Days::List(vec![(7, 7, 1)])),
            3 => {
                let (text, parts) = list(random, (1, 7), &weekday_name);
                (text, Days::List(parts))
            }
            _ => ("*".into(), Days::Star),
        };
        Self {
            text: format!("{minute_text} {hour_text} {day_text} {month_text} {weekday_text}"),
            minutes,
            hours,
            days,
            months,
            weekdays,
        }
    }

    fn is_on(&self, date: Date) -> bool {
        if self
            .months
            .as_ref()
            .is_some_and(|parts| !holds(parts, date.month, (1, 12)))
        {
            return false;
        }
        let by_date = is_named(&self.days, date, (date.day, (1, 31)));
        let by_weekday = is_named(&self.weekdays, date, (date.weekday, (1, 7)));
        match (by_date, by_weekday) {
            (None, None) => true,
            (Some(is), None) | (None, Some(is)) => is,
            (Some(one), Some(other)) => one || other,
        }
    }

    fn is_at(&self, minute: i64) -> bool {
        let is = |parts: &Option<Vec<Part>>, number, bounds| {
            parts.as_ref().is_none_or(|parts| holds(parts, number, bounds))
        };
        is(&self.minutes, minute % 60, (0, 59)) && is(&self.hours, minute / 60, (0, 23))
    }
}

/// Whether a field of days names a date; none for `*`.
fn is_named(days: &Days, date: Date, (number, bounds): (i64, (i64, i64))) -> Option<bool> {
    Some(match days {
        Days::Star => return None,
        Days::List(parts) => holds(parts, number, bounds),
        Days::Last(back) => date.day == date.length() - back,
        Days::Workday(day) => is_nearest_workday(date, *day),
        Days::LastWorkday(back) => is_nearest_workday(date, date.length() - back),
        Days::Nth(weekday, nth) => date.weekday == *weekday && (date.day - 1) / 7 + 1 == *nth,
        Days::LastOf(weekday) => date.weekday == *weekday && date.day + 7 > date.length(),
    })
}

/// Tries the distances to `day` from small to large, earlier days first.
fn is_nearest_workday(date: Date, day: i64) -> bool {
    if !(1..=date.length()).contains(&day) {
        return false;
    }
    let nearest = [0, -1, 1, -2, 2]
        .into_iter()
        .map(|distance| day + distance)
        .find(|candidate| {
            let weekday = (date.weekday - 1 + candidate - date.day).rem_euclid(7) + 1;
            (1..=date.length()).contains(candidate) && Date { weekday, ..date }.is_workday()
        });
    nearest == Some(date.day)
}

/// Firings of the model in some years, as minutes since the epoch, of at most so many days each.
fn firings(expression: &Expression, (first, days): (Date, i64), first_day: i64) -> Vec<i64> {
    let minutes: Vec<i64> = (0..DAY).filter(|minute| expression.is_at(*minute)).collect();
    let (mut date, mut found) = (first, Vec::new());
    for day in first_day..first_day + days {
        if expression.is_on(date) {
            found.extend(minutes.iter().map(|minute| day * DAY + minute));
        }
        date = date.next();
    }
    found
}

#[test]
fn as_the_model_that_goes_minute_by_minute() {
    const DAYS: i64 = 800;
    let (mut compared, mut silent) = (0, 0);
    for seed in 0..200 {
        let mut random = Random(seed);
        let expression = Expression::random(&mut random);
        let cron = cron(&expression.text);
        let mut first = Date::EPOCH;
        let first_day = random.within(0, 60_000);
        for _ in 0..first_day {
            first = first.next();
        }
        let expected = firings(&expression, (first, DAYS), first_day);
        silent += usize::from(expected.is_empty());
        let end = (first_day + DAYS) * DAY;
        // All in a row when there are few, and from random times.
        let mut at = Timestamp(first_day * DAY * MINUTE - 1);
        for minute in expected.iter().take(3_000) {
            let next = cron.next_after(at).unwrap();
            assert_eq!(
                next,
                Timestamp(minute * MINUTE),
                "seed {seed}: {} after {at:?}",
                expression.text
            );
            at = next;
            compared += 1;
        }
        for _ in 0..200 {
            let time = random.within(first_day * DAY * MINUTE, end * MINUTE - 1);
            let after = expected.partition_point(|minute| minute * MINUTE <= time);
            let next = cron
                .next_after(Timestamp(time))
                .filter(|next| next.0 < end * MINUTE);
            let model = expected.get(after).map(|minute| Timestamp(minute * MINUTE));
            assert_eq!(next, model, "seed {seed}: {} after {time}", expression.text);
            let latest = cron.latest_at_or_before(Timestamp(time));
            let latest = latest.filter(|latest| latest.0 >= first_day * DAY * MINUTE);
            let model = after
                .checked_sub(1)
                .map(|before| Timestamp(expected[before] * MINUTE));
            assert_eq!(latest, model, "seed {seed}: {} until {time}", expression.text);
        }
    }
    assert!(
        compared > 50_000 && silent < 50,
        "{compared} firings, {silent} silent"
    );
}
