//! What happens in an instance, told in lines: what is new since the last look, and what goes on right now.

use crate::terminal::{Terminal, Tone};
use cairn_api::{Attempt, InstanceDetails, NamedError, Retries, RetryDelay, Step, Time};
use std::collections::BTreeMap;

/// Live lines shown at once; the rest is counted.
const LIVE_LINES: usize = 12;

/// What has been told so far.
#[derive(Debug, Default)]
pub(crate) struct Story {
    told: BTreeMap<String, Told>,
}

/// What has been told of one step.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    failed_attempts: usize,
    has_begun: bool,
    has_ended: bool,
}

/// What is to be shown after a look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// What happened since the last look, to stay on the screen.
    pub(crate) lines: Vec<(Tone, String)>,
    /// What goes on, replaced at the next look.
    pub(crate) live: Vec<String>,
}

impl Story {
    /// Tells what is new in `details` at the time `now`.
    pub(crate) fn look(&mut self, details: &InstanceDetails, now: Time) -> News {
        let mut news = News::default();
        for step in &details.steps {
            match step {
                Step::Step { .. } | Step::Rollback { .. } => {
                    if let Some((key, work)) = Work::of(step) {
                        work.tell(self.told.entry(key).or_default(), &mut news, now);
                    }
                }
                Step::Sleep {
                    name,
                    start,
                    end,
                    finished,
                    ..
                } => {
                    let told = self.told.entry(format!("sleep {name}")).or_default();
                    let pause = Pause {
                        name: plain(name),
                        what: "sleeps".to_owned(),
                        done: format!("slept {}", span(end.0 - start.0)),
                        end: *end,
                        is_over: *finished,
                        error: None,
                    };
                    pause.tell(told, &mut news, now);
                }
                Step::WaitForEvent {
                    name,
                    start,
                    end,
                    finished,
                    error,
                    event_type,
                    ..
                } => {
                    let told = self.told.entry(format!("wait {name}")).or_default();
                    let event = plain(event_type.as_deref().unwrap_or("?"));
                    let pause = Pause {
                        name: plain(name),
                        what: format!("waits for event \"{event}\""),
                        done: format!("got event \"{event}\" after {}", span(end.0 - start.0)),
                        end: *end,
                        is_over: *finished,
                        error: error.as_ref(),
                    };
                    pause.tell(told, &mut news, now);
                }
                Step::Termination { .. } => {}
            }
        }
        let hidden = news.live.len().saturating_sub(LIVE_LINES);
        if hidden > 0 {
            news.live.truncate(LIVE_LINES);
            news.live.push(format!("and {hidden} more"));
        }
        news
    }
}

/// A `step.do`, or its rollback.
pub(crate) struct Work<'a> {
    /// What it is called.
    pub(crate) name: String,
    /// How long it took, once it has ended.
    pub(crate) took: Option<String>,
    /// How it ended.
    pub(crate) success: Option<bool>,
    /// Its retries.
    pub(crate) retries: &'a Retries,
    /// Its attempts, in order.
    pub(crate) attempts: &'a [Attempt],
}

impl<'a> Work<'a> {
    /// The work that a step is, and by what it is remembered.
    pub(crate) fn of(step: &'a Step) -> Option<(String, Self)> {
        let (key, shown) = match step {
            Step::Step { name, .. } => (format!("do {name}"), plain(name)),
            Step::Rollback { name, .. } => {
                (format!("rollback {name}"), format!("rollback of {}", plain(name)))
            }
            Step::Sleep { .. } | Step::WaitForEvent { .. } | Step::Termination { .. } => return None,
        };
        let (Step::Step {
            start,
            end,
            success,
            config,
            attempts,
            ..
        }
        | Step::Rollback {
            start,
            end,
            success,
            config,
            attempts,
            ..
        }) = step
        else {
            return None;
        };
        let work = Self {
            name: shown,
            took: end.map(|end| span(end.0 - start.0)),
            success: *success,
            retries: &config.retries,
            attempts,
        };
        Some((key, work))
    }
}

impl Work<'_> {
    fn tell(&self, told: &mut Told, news: &mut News, now: Time) {
        let failed = self
            .attempts
            .iter()
            .filter(|attempt| attempt.success == Some(false))
            .count();
        for (index, attempt) in self.attempts.iter().enumerate().skip(told.failed_attempts) {
            if attempt.success == Some(false) {
                news.lines
                    .push((Tone::Warning, self.failure(index, attempt, now)));
                told.failed_attempts = index + 1;
            }
        }
        let Some(took) = &self.took else {
            news.live.push(self.going_on(failed, now));
            return;
        };
        if told.has_ended {
            return;
        }
        told.has_ended = true;
        let attempts = self.attempts.len();
        news.lines.push(match self.success {
            Some(false) => (Tone::Bad, format!("✗ {} failed for good after {took}", self.name)),
            Some(true) | None if attempts > 1 => (
                Tone::Good,
                format!("✓ {} done in {took}, attempt {attempts}", self.name),
            ),
            Some(true) | None => (Tone::Good, format!("✓ {} done in {took}", self.name)),
        });
    }

    fn failure(&self, index: usize, attempt: &Attempt, now: Time) -> String {
        let reason = attempt
            .error
            .as_ref()
            .map_or_else(|| "no reason given".to_owned(), reason);
        let number = format!("attempt {} of {}", index + 1, u64::from(self.retries.limit) + 1);
        let is_last = index + 1 == self.attempts.len();
        let again = match self.left(now).filter(|_| is_last && self.took.is_none()) {
            Some(left) => format!(", the next one in {}", span(left)),
            None => String::new(),
        };
        format!("! {} {number} failed: {reason}{again}", self.name)
    }

    /// Milliseconds until the next attempt, when that is what the step waits for and it can be told.
    pub(crate) fn left(&self, now: Time) -> Option<i64> {
        let last = self
            .attempts
            .last()
            .filter(|attempt| attempt.success == Some(false))?;
        let delay = delay_millis(&self.retries.delay)?;
        let failed = i64::try_from(self.attempts.len()).ok()?;
        let factor = match self.retries.backoff.as_deref() {
            Some("constant") => 1,
            Some("linear") => failed,
            _ => 1_i64.checked_shl(u32::try_from(failed - 1).ok()?)?,
        };
        let due = last.end?.0.saturating_add(delay.saturating_mul(factor));
        Some((due - now.0).max(0))
    }

    fn going_on(&self, failed: usize, now: Time) -> String {
        if let Some(left) = self.left(now) {
            return format!("{} attempt {} in {}", self.name, failed + 1, span(left));
        }
        let since = self.attempts.last().map_or(0, |attempt| now.0 - attempt.start.0);
        match failed {
            0 => format!("{} {}", self.name, span(since)),
            _ => format!("{} attempt {}, {}", self.name, failed + 1, span(since)),
        }
    }
}

/// A sleep, or a wait for an event.
struct Pause<'a> {
    name: String,
    what: String,
    done: String,
    end: Time,
    is_over: bool,
    error: Option<&'a NamedError>,
}

impl Pause<'_> {
    fn tell(&self, told: &mut Told, news: &mut News, now: Time) {
        let Self { name, what, done, .. } = self;
        if !self.is_over {
            let left = span(self.end.0 - now.0);
            if !told.has_begun {
                told.has_begun = true;
                news.lines
                    .push((Tone::Faint, format!("… {name} {what}, {left} left")));
            }
            news.live.push(format!("{name} {what}, {left} left"));
            return;
        }
        if !told.has_ended {
            told.has_ended = true;
            news.lines.push(match self.error {
                Some(error) => (Tone::Bad, format!("✗ {name} failed: {}", reason(error))),
                None => (Tone::Good, format!("✓ {name} {done}")),
            });
        }
    }
}

/// An error in one line.
pub(crate) fn reason(error: &NamedError) -> String {
    plain(&format!("{}: {}", error.name, error.message))
}

/// Text of user code, fit for a line of a terminal.
pub(crate) fn plain(text: &str) -> String {
    let first = text.lines().next().unwrap_or_default();
    first
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A delay as it was written, in milliseconds; none when a function decides.
pub(crate) fn delay_millis(delay: &RetryDelay) -> Option<i64> {
    let text = match delay {
        RetryDelay::Millis(millis) => return i64::try_from(*millis).ok(),
        RetryDelay::Text(text) => text.trim(),
    };
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number: f64 = text[..unit_at].parse().ok()?;
    let unit = match text[unit_at..].trim().trim_end_matches('s') {
        "millisecond" => 1.0,
        "second" => 1e3,
        "minute" => 60e3,
        "hour" => 3_600e3,
        "day" => 86_400e3,
        "week" => 7.0 * 86_400e3,
        _ => return None,
    };
    Some((number * unit) as i64)
}

/// A span of milliseconds for people: `340 ms`, `3.4 s`, `12 min 5 s`, `3 h 20 min`, `2 d 4 h`.
pub(crate) fn span(millis: i64) -> String {
    let millis = millis.max(0);
    let seconds = millis / 1000;
    match seconds {
        0 => format!("{millis} ms"),
        1..=59 => format!("{seconds}.{} s", millis % 1000 / 100),
        60..=3_599 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..=86_399 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// Shows news on a terminal.
pub(crate) struct Display<'a> {
    terminal: &'a Terminal,
    bars: Vec<indicatif::ProgressBar>,
}

impl<'a> Display<'a> {
    /// Nothing shown yet.
    pub(crate) fn new(terminal: &'a Terminal) -> Self {
        Self {
            terminal,
            bars: Vec::new(),
        }
    }

    /// Prints what is new and replaces what is live.
    pub(crate) fn show(&mut self, news: &News) {
        if self.terminal.is_live() {
            self.replace_live(news);
        }
        for (tone, line) in &news.lines {
            self.terminal.line(&self.terminal.paint(*tone, line));
        }
    }

    fn replace_live(&mut self, news: &News) {
        while self.bars.len() > news.live.len() {
            if let Some(bar) = self.bars.pop() {
                bar.finish_and_clear();
            }
        }
        for (index, text) in news.live.iter().enumerate() {
            match self.bars.get(index) {
                Some(bar) => bar.set_message(text.clone()),
                None => self.bars.push(self.terminal.spinner(text)),
            }
        }
    }
}

impl Drop for Display<'_> {
    fn drop(&mut self) {
        for bar in self.bars.drain(..) {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[expect(clippy::needless_pass_by_value, reason = "json! makes values")]
    fn details(steps: serde_json::Value) -> InstanceDetails {
        serde_json::from_value(json!({
            "status": "running", "params": {}, "trigger": { "source": "api" }, "versionId": "v",
            "queued": "1970-01-01T00:00:00.000Z", "start": null, "end": null, "success": null, "error": null,
            "output": null, "rollback": null, "step_count": 1, "steps": steps,
        }))
        .unwrap()
    }

    #[expect(clippy::needless_pass_by_value, reason = "json! makes values")]
    fn step(attempts: serde_json::Value, end: Option<&str>, success: Option<bool>) -> InstanceDetails {
        details(json!([{
            "type": "step", "name": "charge-1", "start": "1970-01-01T00:00:00.000Z", "end": end, "success": success,
            "output": null, "attempts": attempts,
            "config": { "retries": { "limit": 2, "delay": "2 seconds", "backoff": "exponential" }, "timeout": "10 minutes" },
        }]))
    }

    fn lines(news: &News) -> Vec<&str> {
        news.lines.iter().map(|(_, line)| line.as_str()).collect()
    }

    #[test]
    fn attempts_are_told_once_with_the_time_to_the_next() {
        let mut story = Story::default();
        let failed = json!({ "start": "1970-01-01T00:00:00.000Z", "end": "1970-01-01T00:00:01.000Z", "success": false,
            "error": { "name": "Error", "message": "503\nstack" } });
        let running =
            json!({ "start": "1970-01-01T00:00:00.000Z", "end": null, "success": null, "error": null });
        let good = json!({ "start": "1970-01-01T00:00:03.000Z", "end": "1970-01-01T00:00:04.000Z", "success": true, "error": null });

        let news = story.look(&step(json!([running]), None, None), Time(500));
        assert!(news.lines.is_empty());
        assert_eq!(news.live, ["charge-1 500 ms"]);

        let news = story.look(&step(json!([failed]), None, None), Time(1500));
        assert_eq!(
            lines(&news),
            ["! charge-1 attempt 1 of 3 failed: Error: 503, the next one in 1.5 s"]
        );
        assert_eq!(news.live, ["charge-1 attempt 2 in 1.5 s"]);

        let news = story.look(&step(json!([failed]), None, None), Time(2500));
        assert!(lines(&news).is_empty());

        let done = step(
            json!([failed, good]),
            Some("1970-01-01T00:00:04.000Z"),
            Some(true),
        );
        let news = story.look(&done, Time(4000));
        assert_eq!(lines(&news), ["✓ charge-1 done in 4.0 s, attempt 2"]);
        assert!(story.look(&done, Time(5000)).lines.is_empty());
    }

    #[test]
    fn a_step_that_failed_for_good_says_so() {
        let failed = json!({ "start": "1970-01-01T00:00:00.000Z", "end": "1970-01-01T00:00:01.000Z", "success": false,
            "error": { "name": "NonRetryableError", "message": "no" } });
        let news = Story::default().look(
            &step(json!([failed]), Some("1970-01-01T00:00:01.000Z"), Some(false)),
            Time(2000),
        );
        assert_eq!(
            lines(&news),
            [
                "! charge-1 attempt 1 of 3 failed: NonRetryableError: no",
                "✗ charge-1 failed for good after 1.0 s",
            ]
        );
    }

    #[test]
    fn sleeps_and_waits_show_the_time_left() {
        let sleep = |finished: bool| {
            json!({ "type": "sleep", "name": "nap-1", "start": "1970-01-01T00:00:00.000Z",
            "end": "1970-01-01T00:10:00.000Z", "finished": finished, "error": null })
        };
        let wait = json!({ "type": "waitForEvent", "name": "ok-1", "start": "1970-01-01T00:00:00.000Z", "end": "1970-01-02T00:00:00.000Z",
            "finished": true, "error": { "name": "WorkflowTimeoutError", "message": "late" }, "event_type": "ok" });
        let mut story = Story::default();
        let news = story.look(&details(json!([sleep(false), wait])), Time(60_000));
        assert_eq!(
            lines(&news),
            [
                "… nap-1 sleeps, 9 min 0 s left",
                "✗ ok-1 failed: WorkflowTimeoutError: late",
            ]
        );
        assert_eq!(news.live, ["nap-1 sleeps, 9 min 0 s left"]);
        let news = story.look(&details(json!([sleep(true)])), Time(600_000));
        assert_eq!(lines(&news), ["✓ nap-1 slept 10 min 0 s"]);
    }

    #[test]
    fn names_of_user_code_cannot_steer_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\u{7}"), "a [2Jb ");
    }

    #[test]
    fn delays_are_read_as_they_are_written() {
        assert_eq!(
            delay_millis(&RetryDelay::Text("1.5 minutes".into())),
            Some(90_000)
        );
        assert_eq!(delay_millis(&RetryDelay::Text("10second".into())), Some(10_000));
        assert_eq!(delay_millis(&RetryDelay::Text("[dynamic]".into())), None);
        assert_eq!(delay_millis(&RetryDelay::Millis(5)), Some(5));
    }

    #[test]
    fn spans_are_for_people() {
        let spans = [-5, 340, 3_400, 725_000, 12_000_000, 190_000_000].map(span);
        assert_eq!(
            spans,
            ["0 ms", "340 ms", "3.4 s", "12 min 5 s", "3 h 20 min", "2 d 4 h"]
        );
    }
}
