//! Reads and plays scripts.

mod show;

use cairn_core::{
    CallId, CallRequest, Callback, Command, ConfigInput, DelayInput, DurationInput, Entry, ErrorInfo,
    FailedAttempt, Input, Instance, InvalidConfig, Limits, NonRetryableMessage, Origin, OutputKind, Raised,
    RestartFrom, RetriesInput, RollbackReport, RollbackResult, Slot, StepCall, StepKey, StepKind, StepNo,
    Timestamp, Undo,
};
use std::collections::BTreeMap;

/// Plays all scenarios of a script and gives it back with the answers.
pub(crate) fn run(script: &str) -> String {
    let mut out = String::new();
    let mut world = World::new();
    for line in script.lines() {
        if line.starts_with("  ") {
            continue;
        }
        out.push_str(line);
        out.push('\n');
        if line.starts_with("==") {
            world = World::new();
        } else if !line.is_empty() && !line.starts_with('#') {
            for answer in world.play(line) {
                out.push_str("  ");
                out.push_str(&answer);
                out.push('\n');
            }
        }
    }
    out
}

pub(crate) fn first_difference(written: &str, answered: &str) -> String {
    let mut title = "";
    for (number, (left, right)) in written
        .lines()
        .chain([""; 9])
        .zip(answered.lines().chain([""; 9]))
        .enumerate()
    {
        if left.starts_with("==") {
            title = left;
        }
        if left != right {
            return format!(
                "{title} line {}\n  written:  {left}\n  answered: {right}",
                number + 1
            );
        }
    }
    "they differ in length".into()
}

struct World {
    instance: Instance,
    journal: Vec<Entry>,
    limits: Limits,
    /// What an instance that is taken up has: `slots` limits them.
    slot: Slot,
}

impl World {
    fn new() -> Self {
        let limits = Limits::default();
        let (instance, created) = Instance::create(Timestamp(0), limits.clone());
        Self {
            instance,
            journal: vec![created],
            limits,
            slot: Slot::Unlimited,
        }
    }

    fn play(&mut self, line: &str) -> Vec<String> {
        let mut words = Words::of(line);
        let now = Timestamp(words.number());
        let verb = words.next();
        match verb.as_str() {
            "crash" => {
                self.instance = Instance::replay(&self.journal, self.limits.clone()).unwrap();
                self.instance.set_slot(self.slot);
                return vec![self.state()];
            }
            "limits" => {
                self.set_limits(&words);
                self.instance = Instance::replay(&self.journal, self.limits.clone()).unwrap();
                return Vec::new();
            }
            "slots" => {
                self.slot = Slot::Missing;
                self.instance.set_slot(self.slot);
                return Vec::new();
            }
            "leaving" => {
                self.instance.start_no_more();
                let executes = if self.instance.executes() {
                    "executes"
                } else {
                    "idle"
                };
                return vec![format!("{} {executes}", self.state())];
            }
            _ => {}
        }
        let input = input(&verb, &mut words);
        match self.instance.handle(now, input) {
            Err(rejected) => vec![format!("x {rejected}"), self.state()],
            Ok(effects) => {
                let mut lines: Vec<String> = effects
                    .entries
                    .iter()
                    .map(|entry| show::entry(entry, now))
                    .collect();
                lines.extend(effects.actions.iter().map(show::action));
                self.journal.extend(effects.entries);
                self.check_replay();
                if verb == "tick" {
                    let wake = self.instance.next_wake();
                    assert!(
                        wake.is_none_or(|wake| wake > now),
                        "{line}: asks to be asked again at once"
                    );
                }
                lines.push(self.state());
                lines
            }
        }
    }

    fn set_limits(&mut self, words: &Words) {
        if let Some(steps) = words.number_of("steps") {
            self.limits.steps = u32::try_from(steps).unwrap();
        }
        if let Some(bytes) = words.number_of("result") {
            self.limits.result_bytes = usize::try_from(bytes).unwrap();
        }
        if let Some(bytes) = words.number_of("state") {
            self.limits.state_bytes = u64::try_from(bytes).unwrap();
        }
        if words.has("wrapped") {
            self.limits.non_retryable_message = NonRetryableMessage::Wrapped;
        }
    }

    fn check_replay(&self) {
        let stored: Vec<Vec<u8>> = self.journal.iter().map(Entry::encode).collect();
        let read: Vec<Entry> = stored.iter().map(|bytes| Entry::decode(bytes).unwrap()).collect();
        assert_eq!(read, self.journal);
        let replayed = Instance::replay(&read, self.limits.clone()).unwrap();
        assert_eq!(replayed.durable(), self.instance.durable());
    }

    fn state(&self) -> String {
        let wake = self
            .instance
            .next_wake()
            .map_or("-".into(), |wake| wake.0.to_string());
        format!("= {} {wake}", self.instance.summary().status.as_str())
    }
}

/// The words of a line; `"…"` is one word, `key=value` an option.
struct Words {
    words: std::vec::IntoIter<String>,
    options: BTreeMap<String, String>,
}

impl Words {
    fn of(line: &str) -> Self {
        let mut all = Vec::new();
        let (mut word, mut quoted) = (String::new(), false);
        for c in line.chars() {
            match c {
                '"' => quoted = !quoted,
                ' ' if !quoted => all.push(std::mem::take(&mut word)),
                c => word.push(c),
            }
        }
        all.push(word);
        let (options, words): (Vec<_>, Vec<_>) = all
            .into_iter()
            .filter(|word| !word.is_empty())
            .partition(|word| word.contains('='));
        let options = options.iter().map(|word| word.split_once('=').unwrap());
        Self {
            options: options.map(|(key, value)| (key.into(), value.into())).collect(),
            words: words.into_iter(),
        }
    }

    fn next(&mut self) -> String {
        self.words.next().expect("another word")
    }

    fn number(&mut self) -> i64 {
        self.next().parse().expect("a number")
    }

    fn call(&mut self) -> CallId {
        CallId(u32::try_from(self.number()).unwrap())
    }

    fn option(&self, key: &str) -> Option<&str> {
        self.options.get(key).map(String::as_str)
    }

    fn number_of(&self, key: &str) -> Option<i64> {
        self.option(key).map(|value| value.parse().expect("a number"))
    }

    fn has(&self, word: &str) -> bool {
        self.words.as_slice().iter().any(|known| known == word)
    }
}

fn input(verb: &str, words: &mut Words) -> Input {
    match verb {
        "claimed" => Input::Claimed,
        "tick" => Input::Tick,
        "lost" => Input::RunLost,
        "faulted" => Input::RunFaulted {
            times: u32::try_from(words.number_of("times").unwrap_or(1)).unwrap(),
            error: ErrorInfo::new(words.next(), words.next()),
        },
        "granted" => Input::SlotGranted,
        "denied" => Input::SlotDenied,
        "do" | "sleep" | "until" | "wait" => Input::Called(step_call(verb, words)),
        "done" => {
            let (call, attempt) = (words.call(), words.call().0);
            let bytes = u64::try_from(words.number_of("bytes").unwrap_or(10)).unwrap();
            let output = if words.has("stream") {
                OutputKind::Stream
            } else {
                OutputKind::Value
            };
            Input::AttemptSucceeded {
                call,
                attempt,
                bytes,
                output,
            }
        }
        "threw" => Input::AttemptFailed(FailedAttempt {
            call: words.call(),
            attempt: words.call().0,
            error: ErrorInfo::new(words.next(), words.next()),
            dynamic_delay: dynamic_delay(words),
        }),
        "returned" => Input::Returned {
            bytes: usize::try_from(words.number_of("bytes").unwrap_or(10)).unwrap(),
        },
        "rebuilt" => Input::Rebuilt,
        "undone" | "undo-threw" | "undo-missing" => Input::RolledBack(rollback_report(verb, words)),
        "raised" => Input::Raised(Raised {
            origin: if words.has("fatal") {
                Origin::Fatal
            } else {
                Origin::Thrown
            },
            error: ErrorInfo::new(words.next(), words.next()),
            from_call: words
                .number_of("from")
                .map(|call| CallId(u32::try_from(call).unwrap())),
        }),
        "event" => Input::Command(Command::Event {
            event_type: words.next(),
            bytes: usize::try_from(words.number_of("bytes").unwrap_or(10)).unwrap(),
        }),
        "pause" => Input::Command(Command::Pause),
        "resume" => Input::Command(Command::Resume),
        "terminate" => Input::Command(Command::Terminate(if words.has("rollback") {
            Undo::Steps
        } else {
            Undo::Nothing
        })),
        "restart" => Input::Command(Command::Restart(restart_from(words))),
        other => panic!("no such input: {other}"),
    }
}

fn rollback_report(verb: &str, words: &mut Words) -> RollbackReport {
    RollbackReport {
        step: StepNo(words.call().0),
        attempt: words.call().0,
        result: match verb {
            "undone" => RollbackResult::Returned,
            "undo-missing" => RollbackResult::Missing,
            _ => RollbackResult::Threw {
                error: ErrorInfo::new(words.next(), words.next()),
                dynamic_delay: dynamic_delay(words),
            },
        },
    }
}

/// `restart`, or `restart do charge count=2`.
fn restart_from(words: &mut Words) -> RestartFrom {
    let kind = match words.words.next().as_deref() {
        None => return RestartFrom::Beginning,
        Some("do") => StepKind::Do,
        Some("sleep") => StepKind::Sleep,
        Some("wait") => StepKind::WaitForEvent,
        Some(other) => panic!("no such kind of step: {other}"),
    };
    RestartFrom::Step(StepKey {
        kind,
        name: words.next(),
        count: u32::try_from(words.number_of("count").unwrap_or(1)).unwrap(),
    })
}

fn dynamic_delay(words: &Words) -> Option<Result<u64, ErrorInfo>> {
    let delay = words
        .number_of("delay")
        .map(|millis| Ok(u64::try_from(millis).unwrap()));
    delay.or_else(|| {
        words
            .option("delay-error")
            .map(|text| Err(ErrorInfo::new("NonRetryableDelayError", text)))
    })
}

fn step_call(verb: &str, words: &mut Words) -> StepCall {
    let (call, name) = (words.call(), words.next());
    let count = u32::try_from(words.number_of("count").unwrap_or(1)).unwrap();
    let parent = words
        .number_of("parent")
        .map(|call| CallId(u32::try_from(call).unwrap()));
    let (kind, request) = match verb {
        "do" => {
            let callback = if words.has("idle") {
                Callback::Idle
            } else {
                Callback::Executing
            };
            (
                StepKind::Do,
                CallRequest::Do {
                    config: config(words),
                    callback,
                    rollback: words.has("undo").then(|| rollback_config(words)),
                },
            )
        }
        "sleep" => (
            StepKind::Sleep,
            CallRequest::Sleep {
                duration: duration(&words.next()),
            },
        ),
        "until" => (
            StepKind::Sleep,
            CallRequest::SleepUntil {
                millis: words.next().parse().unwrap_or(f64::NAN),
            },
        ),
        _ => {
            let event_type = words.next();
            let timeout = words.option("timeout").map(duration);
            (
                StepKind::WaitForEvent,
                CallRequest::WaitForEvent { event_type, timeout },
            )
        }
    };
    StepCall {
        call,
        parent,
        key: StepKey { kind, name, count },
        request,
    }
}

fn config(words: &Words) -> Result<ConfigInput, InvalidConfig> {
    if words.has("invalid") {
        return Err(InvalidConfig);
    }
    let retries = words.option("limit").map(|limit| RetriesInput {
        limit: limit.parse().unwrap(),
        delay: match words.option("delay").unwrap_or("1000") {
            "dynamic" => DelayInput::Dynamic,
            text => DelayInput::Fixed(duration(text)),
        },
        backoff: words.option("backoff").map(Into::into),
    });
    let sensitive = words.option("sensitive").map(Into::into);
    Ok(ConfigInput {
        retries,
        timeout: words.option("timeout").map(duration),
        sensitive,
    })
}

fn rollback_config(words: &Words) -> Result<ConfigInput, InvalidConfig> {
    if words.has("undo-invalid") {
        return Err(InvalidConfig);
    }
    let retries = words.option("undo-limit").map(|limit| RetriesInput {
        limit: limit.parse().unwrap(),
        delay: match words.option("undo-delay").unwrap_or("1000") {
            "dynamic" => DelayInput::Dynamic,
            text => DelayInput::Fixed(duration(text)),
        },
        backoff: None,
    });
    Ok(ConfigInput {
        retries,
        timeout: words.option("undo-timeout").map(duration),
        sensitive: None,
    })
}

fn duration(text: &str) -> DurationInput {
    text.parse()
        .map_or_else(|_| DurationInput::Text(text.into()), DurationInput::Millis)
}
