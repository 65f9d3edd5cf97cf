//! One instance as a page for people: its facts, its steps on a line of time, how it ended.

use super::list::{look, source, status_word};
use crate::moment::{full, relative};
use crate::output::{Look, Style, cell, facts};
use crate::steps::{Work, plain, reason, span};
use cairn_api::{Attempt, InstanceDetails, InstanceStatus, NamedError, RollbackOutcome, Step, Time};

/// Characters of a value that are shown.
const VALUE_CHARS: usize = 300;
/// Characters of a name up to which what follows is aligned.
const NAME_CHARS: usize = 32;

/// Whether something is shown that need not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    Shown,
    Hidden,
}

/// An instance, and how to show it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeline<'a> {
    pub(super) workflow: &'a str,
    pub(super) id: &'a str,
    pub(super) details: &'a InstanceDetails,
    pub(super) now: Time,
    pub(super) outputs: Detail,
    pub(super) attempts: Detail,
    pub(super) style: Style,
}

/// A step in a line, with lines of its own below it.
struct Line {
    at: Option<Time>,
    look: Look,
    mark: &'static str,
    name: String,
    what: String,
    below: Vec<(Look, String)>,
}

impl Timeline<'_> {
    /// The page.
    pub(super) fn text(&self) -> String {
        let mut text = self.head();
        let lines: Vec<Line> = self.details.steps.iter().map(|step| self.line(step)).collect();
        if !lines.is_empty() {
            text.push('\n');
        }
        let width = lines
            .iter()
            .map(|line| line.name.chars().count())
            .max()
            .unwrap_or(0)
            .min(NAME_CHARS);
        for line in &lines {
            self.push(&mut text, line, width);
        }
        let foot = self.foot();
        if !foot.is_empty() {
            text.push('\n');
            text.push_str(&foot);
        }
        text
    }

    fn head(&self) -> String {
        let details = self.details;
        let now = self.now;
        let status = status_word(details.status);
        let state = match details.end.zip(details.start) {
            Some((end, start)) if details.status.is_final() => {
                format!("{status}, {} after it started", span(end.0 - start.0))
            }
            _ => status.to_owned(),
        };
        let by = match &details.schedule {
            Some(firing) => format!("by schedule {}", plain(&firing.cron)),
            None => format!("by {}", source(details.trigger.source)),
        };
        let started = match details.start {
            Some(start) => format!(
                "{}, {} after its creation",
                relative(start, now),
                span(start.0 - details.queued.0)
            ),
            None => "not yet".to_owned(),
        };
        let params = value(details.params.get());
        facts(
            self.style,
            &[
                ("instance", (Look::Strong, plain(self.id))),
                ("workflow", cell(plain(self.workflow))),
                ("state", (look(details.status), state)),
                ("created", cell(format!("{} {by}", full(details.queued, now)))),
                ("started", cell(started)),
                ("version", cell(plain(&details.version_id))),
                ("params", cell(params)),
                ("steps", cell(details.step_count.to_string())),
            ],
        )
    }

    fn foot(&self) -> String {
        let details = self.details;
        let rollback = details.rollback.as_ref().map(|rollback| match rollback.outcome {
            RollbackOutcome::Complete => (Look::Good, "all steps were rolled back".to_owned()),
            RollbackOutcome::Failed => (
                Look::Bad,
                match &rollback.error {
                    Some(error) => format!("stopped at {}", reason(error)),
                    None => "stopped before its end".to_owned(),
                },
            ),
        });
        let output = match details.status {
            InstanceStatus::Complete => details.output.as_deref().map_or_else(|| "null".into(), value),
            _ => String::new(),
        };
        let error = details.error.as_ref().map(reason).unwrap_or_default();
        facts(
            self.style,
            &[
                ("output", cell(output)),
                ("error", (Look::Bad, error)),
                ("rollback", rollback.unwrap_or_else(|| cell(""))),
            ],
        )
    }

    fn push(&self, text: &mut String, line: &Line, width: usize) {
        let offset = line.at.map_or_else(String::new, |at| {
            format!("+{}", span(at.0 - self.details.queued.0))
        });
        let lead = self.style.paint(Look::Faint, &format!("{offset:>12}"));
        let padding = width.saturating_sub(line.name.chars().count());
        let head = format!("{} {}", line.mark, line.name);
        let row = format!(
            "{lead}  {}{}  {}",
            self.style.paint(line.look, &head),
            " ".repeat(padding),
            line.what
        );
        text.push_str(row.trim_end());
        text.push('\n');
        for (look, below) in &line.below {
            text.push_str(&format!("{:16}{}\n", "", self.style.paint(*look, below)));
        }
    }

    fn line(&self, step: &Step) -> Line {
        match step {
            Step::Step { start, output, .. } | Step::Rollback { start, output, .. } => {
                self.work(step, *start, output.as_deref())
            }
            Step::Sleep {
                name,
                start,
                end,
                finished,
                error,
            } => {
                let pause = Pause {
                    name,
                    start: *start,
                    end: *end,
                    is_over: *finished,
                    error: error.as_ref(),
                };
                let done = format!("slept {}", span(end.0 - start.0));
                self.pause(&pause, (done, "sleeps".into()))
            }
            Step::WaitForEvent {
                name,
                start,
                end,
                finished,
                error,
                output,
                event_type,
            } => {
                let pause = Pause {
                    name,
                    start: *start,
                    end: *end,
                    is_over: *finished,
                    error: error.as_ref(),
                };
                let event = plain(event_type.as_deref().unwrap_or("?"));
                let done = format!("got event \"{event}\" after {}", span(end.0 - start.0));
                let mut line = self.pause(&pause, (done, format!("waits for event \"{event}\"")));
                line.below.extend(self.output(output.as_deref()));
                line
            }
            Step::Termination { trigger } => Line {
                at: self.details.end,
                look: Look::Bad,
                mark: "■",
                name: "terminated".into(),
                what: format!("by {}", source(trigger.source)),
                below: Vec::new(),
            },
        }
    }

    fn output(&self, output: Option<&str>) -> Option<(Look, String)> {
        let shown = output.filter(|_| self.outputs == Detail::Shown)?;
        Some((Look::Faint, format!("= {}", value(shown))))
    }

    /// A `step.do`, or its rollback.
    fn work(&self, step: &Step, start: Time, output: Option<&str>) -> Line {
        let Some((_, work)) = Work::of(step) else {
            return Line {
                at: Some(start),
                look: Look::Plain,
                mark: "?",
                name: String::new(),
                what: String::new(),
                below: Vec::new(),
            };
        };
        let count = work.attempts.len();
        let most = u64::from(work.retries.limit) + 1;
        let (look, mark, what) = match (&work.took, work.success) {
            (Some(took), Some(false)) => (
                Look::Bad,
                "✗",
                format!("failed for good after {took}, attempt {count} of {most}"),
            ),
            (Some(took), _) if count > 1 => (Look::Good, "✓", format!("{took}, attempt {count}")),
            (Some(took), _) => (Look::Good, "✓", took.clone()),
            (None, _) if self.details.status.is_final() => (Look::Faint, "–", "did not end".into()),
            (None, _) => self.open(&work),
        };
        let mut below = self.attempts(&work, most);
        below.extend(self.output(output));
        Line {
            at: Some(start),
            look,
            mark,
            name: work.name,
            what,
            below,
        }
    }

    /// Work that has not ended.
    fn open(&self, work: &Work<'_>) -> (Look, &'static str, String) {
        let count = work.attempts.len();
        let most = u64::from(work.retries.limit) + 1;
        let last = work.attempts.last();
        if let Some(left) = work.left(self.now) {
            let paused = self.paused();
            return (
                Look::Warning,
                "…",
                format!("attempt {} of {most} in {}{paused}", count + 1, span(left)),
            );
        }
        match last {
            Some(last) if last.end.is_none() => {
                let since = span(self.now.0 - last.start.0);
                (
                    Look::Plain,
                    "▸",
                    format!("executes since {since}, attempt {count} of {most}"),
                )
            }
            Some(_) => (
                Look::Warning,
                "…",
                format!("attempt {} of {most} follows", count + 1),
            ),
            None => (Look::Plain, "▸", "begins".into()),
        }
    }

    fn attempts(&self, work: &Work<'_>, most: u64) -> Vec<(Look, String)> {
        let mut lines = Vec::new();
        for (index, attempt) in work.attempts.iter().enumerate() {
            let number = format!("attempt {} of {most}", index + 1);
            let Attempt { end, error, .. } = attempt;
            let took = end.map(|end| span(end.0 - attempt.start.0));
            match (attempt.success, took) {
                (Some(false), took) => {
                    let reason = error.as_ref().map_or_else(|| "no reason given".into(), reason);
                    let took = took.map_or_else(String::new, |took| format!(" after {took}"));
                    lines.push((Look::Warning, format!("! {number} failed{took}: {reason}")));
                }
                (Some(true), Some(took)) if self.attempts == Detail::Shown => {
                    lines.push((Look::Faint, format!("✓ {number} took {took}")));
                }
                _ => {}
            }
        }
        lines
    }

    fn pause(&self, pause: &Pause<'_>, (done, goes_on): (String, String)) -> Line {
        let left = span(pause.end.0 - self.now.0);
        let (look, mark, what) = match (pause.is_over, pause.error) {
            (true, Some(error)) => {
                let took = span(pause.end.0 - pause.start.0);
                (Look::Bad, "✗", format!("failed after {took}: {}", reason(error)))
            }
            (true, None) => (Look::Good, "✓", done),
            (false, _) if self.details.status.is_final() => (Look::Faint, "–", "did not end".into()),
            (false, _) => (
                Look::Plain,
                "…",
                format!("{goes_on}, {left} left{}", self.paused()),
            ),
        };
        Line {
            at: Some(pause.start),
            look,
            mark,
            name: plain(pause.name),
            what,
            below: Vec::new(),
        }
    }

    /// What is to be known of a deadline while the instance is paused.
    fn paused(&self) -> &'static str {
        match self.details.status {
            InstanceStatus::Paused => ", and longer by the time it is paused",
            _ => "",
        }
    }
}

/// A sleep, or a wait for an event.
struct Pause<'a> {
    name: &'a str,
    start: Time,
    end: Time,
    is_over: bool,
    error: Option<&'a NamedError>,
}

/// A value in one line, cut.
fn value(text: &str) -> String {
    let flat: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(VALUE_CHARS + 1)
        .collect();
    if flat.chars().count() > VALUE_CHARS {
        let cut: String = flat.chars().take(VALUE_CHARS).collect();
        return format!("{cut}…");
    }
    flat
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
