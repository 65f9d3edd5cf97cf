//! Journals and the events they are told as (behaviour §7).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // test helpers outside of #[test] functions

use cairn_core::{
    Backoff, Entry, ErrorInfo, EventKind, EventTeller, EventType, InstanceEvent, Limits, Record, Restart,
    RetryDelay, Seq, StepConfig, StepNo, Timestamp, Visibility,
};
use std::collections::{BTreeSet, VecDeque};

/// A journal with an entry every 10 ms.
fn journal(records: impl IntoIterator<Item = Record>) -> Vec<Entry> {
    let created = std::iter::once(Record::Created);
    let timed = created.chain(records).zip(0..);
    timed
        .map(|(record, tenth)| Entry {
            at: Timestamp(tenth * 10),
            record,
        })
        .collect()
}

fn tell(journal: &[Entry]) -> VecDeque<InstanceEvent> {
    let mut teller = EventTeller::new(&Limits::default());
    let mut told = VecDeque::new();
    for entry in journal {
        teller.tell(entry, &mut told).unwrap();
    }
    told
}

fn lines(told: &VecDeque<InstanceEvent>) -> Vec<String> {
    told.iter().map(line).collect()
}

fn line(event: &InstanceEvent) -> String {
    let mut line = format!("{} {}", event.id, event.kind.event_type().as_str());
    if let Some(step) = event.kind.step() {
        line.push_str(&format!(" {step}"));
    }
    if let Some(attempt) = event.kind.attempt() {
        line.push_str(&format!(" #{attempt}"));
    }
    if let Some(error) = event.kind.error() {
        line.push_str(&format!(" {}: {}", error.name, error.message));
    }
    line.push_str(&detail(&event.kind));
    line
}

fn detail(kind: &EventKind) -> String {
    match kind {
        EventKind::WorkflowStarted { params } => format!(" params@{}", params.0),
        EventKind::WorkflowCompleted { output } => format!(" output@{}", output.0),
        EventKind::StepCompleted {
            output,
            visibility: Visibility::Shown,
            ..
        } => format!(" output@{}", output.0),
        EventKind::StepCompleted {
            visibility: Visibility::Redacted,
            ..
        } => " redacted".into(),
        EventKind::StepStarted { config, .. } | EventKind::RollbackStepStarted { config, .. } => {
            format!(" limit {}", config.limit)
        }
        EventKind::SleepStarted { duration_millis, .. } => format!(" {duration_millis}ms"),
        EventKind::WaitStarted { event_type, .. } => format!(" for {event_type}"),
        EventKind::AttemptErrored {
            retry_delay_millis: Some(millis),
            ..
        }
        | EventKind::RollbackAttemptErrored {
            retry_delay_millis: Some(millis),
            ..
        } => format!(" again in {millis}ms"),
        _ => String::new(),
    }
}

fn config(limit: u32) -> StepConfig {
    StepConfig {
        limit,
        delay: RetryDelay::Fixed {
            millis: 100,
            text: None,
        },
        backoff: Backoff::Constant,
        timeout_millis: 1_000,
        timeout_text: None,
        redacted: false,
    }
}

fn step(number: u32, name: &str) -> Record {
    Record::StepStarted {
        step: StepNo(number),
        name: name.into(),
        count: 1,
        config: None,
        rollback: None,
    }
}

fn done(number: u32) -> Record {
    Record::StepCompleted {
        step: StepNo(number),
        attempt: 1,
        bytes: 2,
    }
}

fn sleep(number: u32, name: &str, until: i64) -> Record {
    Record::SleepStarted {
        step: StepNo(number),
        name: name.into(),
        count: 1,
        until: Timestamp(until),
    }
}

fn wait(number: u32, name: &str) -> Record {
    Record::WaitStarted {
        step: StepNo(number),
        name: name.into(),
        count: 1,
        event_type: "go".into(),
        deadline: Timestamp(1_000),
        timeout_millis: 1_000,
    }
}

fn error(message: &str) -> ErrorInfo {
    ErrorInfo::new("Error", message)
}

#[test]
fn a_success() {
    let redacted = Record::StepStarted {
        step: StepNo(1),
        name: "b".into(),
        count: 2,
        config: Some(StepConfig {
            redacted: true,
            ..config(1)
        }),
        rollback: None,
    };
    let told = tell(&journal([
        Record::Started,
        step(0, "a"),
        done(0),
        redacted,
        done(1),
        Record::Completed,
    ]));
    assert_eq!(
        lines(&told),
        [
            "1 workflow_queued",
            "2 workflow_started params@0",
            "3 workflow_running",
            "4 step_started a-1 limit 5",
            "5 attempt_started a-1 #1",
            "6 attempt_completed a-1 #1",
            "7 step_completed a-1 output@3",
            "8 step_started b-2 limit 1",
            "9 attempt_started b-2 #1",
            "10 attempt_completed b-2 #1",
            "11 step_completed b-2 redacted",
            "12 workflow_completed output@6",
        ]
    );
    let times: Vec<i64> = told.iter().map(|event| event.at.0).collect();
    assert_eq!(times, [0, 10, 10, 20, 20, 30, 30, 40, 40, 50, 50, 60]);
}

/// The order is the one that was measured (behaviour §7).
#[test]
fn a_step_that_fails_twice() {
    let failing = Record::StepStarted {
        step: StepNo(0),
        name: "flaky".into(),
        count: 1,
        config: Some(config(1)),
        rollback: None,
    };
    let failed = |attempt, retry_at: Option<i64>| Record::AttemptFailed {
        step: StepNo(0),
        attempt,
        error: error("no"),
        retry_at: retry_at.map(Timestamp),
    };
    let told = tell(&journal([
        Record::Started,
        failing,
        failed(1, Some(130)),
        Record::Waiting,
        Record::AttemptStarted {
            step: StepNo(0),
            attempt: 2,
        },
        Record::Running,
        failed(2, None),
        Record::StepFailed {
            step: StepNo(0),
            error: error("no"),
        },
        Record::Errored { error: error("no") },
    ]));
    assert_eq!(
        lines(&told)[3..],
        [
            "4 step_started flaky-1 limit 1",
            "5 attempt_started flaky-1 #1",
            "6 attempt_errored flaky-1 #1 Error: no again in 100ms",
            "7 workflow_waiting",
            "8 attempt_started flaky-1 #2",
            "9 workflow_running",
            "10 attempt_errored flaky-1 #2 Error: no",
            "11 step_errored flaky-1",
            "12 workflow_errored Error: no",
        ]
    );
}

#[test]
fn sleeps_and_waits() {
    let told = tell(&journal([
        Record::Started,
        sleep(0, "nap", 520),
        Record::Waiting,
        Record::SleepCompleted { step: StepNo(0) },
        Record::Running,
        wait(1, "w"),
        Record::EventReceived {
            event_type: "go".into(),
            bytes: 3,
        },
        Record::WaitCompleted {
            step: StepNo(1),
            event: Seq(7),
        },
        wait(2, "late"),
        Record::WaitTimedOut {
            step: StepNo(2),
            timeout_millis: 1_000,
        },
        Record::Terminated,
    ]));
    assert_eq!(
        lines(&told)[3..],
        [
            "4 sleep_started nap-1 500ms",
            "5 workflow_waiting",
            "6 sleep_completed nap-1",
            "7 workflow_running",
            "8 wait_started w-1 for go",
            "9 wait_completed w-1",
            "10 wait_started late-1 for go",
            "11 wait_timed_out late-1",
            "12 workflow_terminated",
        ]
    );
}

#[test]
fn pauses() {
    let resumed = || Record::Resumed { shift_millis: 10 };
    let told = tell(&journal([
        Record::Paused,
        resumed(),
        Record::Started,
        step(0, "a"),
        Record::PauseRequested,
        Record::PauseCancelled,
        Record::PauseRequested,
        done(0),
        Record::Paused,
        resumed(),
        Record::Started,
        Record::Completed,
    ]));
    assert_eq!(
        lines(&told),
        [
            "1 workflow_queued",
            "2 workflow_paused",
            "3 workflow_queued",
            "4 workflow_started params@0",
            "5 workflow_running",
            "6 step_started a-1 limit 5",
            "7 attempt_started a-1 #1",
            "8 workflow_waiting_for_pause",
            "9 workflow_running",
            "10 workflow_waiting_for_pause",
            "11 attempt_completed a-1 #1",
            "12 step_completed a-1 output@8",
            "13 workflow_paused",
            "14 workflow_running",
            "15 workflow_completed output@12",
        ]
    );
}

fn undoable(number: u32, name: &str) -> Record {
    Record::StepStarted {
        step: StepNo(number),
        name: name.into(),
        count: 1,
        config: None,
        rollback: Some(config(7)),
    }
}

fn undo(number: u32, attempt: u32) -> Record {
    Record::RollbackAttemptStarted {
        step: StepNo(number),
        attempt,
    }
}

#[test]
fn a_rollback() {
    let told = tell(&journal([
        Record::Started,
        undoable(0, "a"),
        done(0),
        undoable(1, "b"),
        done(1),
        Record::RollbackStarted {
            error: Some(error("end")),
        },
        undo(1, 1),
        Record::RollbackAttemptFailed {
            step: StepNo(1),
            attempt: 1,
            error: error("once"),
            retry_at: Some(Timestamp(180)),
        },
        undo(1, 2),
        Record::RollbackStepCompleted { step: StepNo(1) },
        undo(0, 1),
        Record::RollbackStepCompleted { step: StepNo(0) },
        Record::RollbackEnded { error: None },
        Record::Errored { error: error("end") },
    ]));
    assert_eq!(
        lines(&told)[11..],
        [
            "12 rollback_started",
            "13 rollback_step_started b-1 limit 7",
            "14 rollback_attempt_started b-1 #1",
            "15 rollback_attempt_errored b-1 #1 Error: once again in 100ms",
            "16 rollback_attempt_started b-1 #2",
            "17 rollback_attempt_completed b-1 #2",
            "18 rollback_step_completed b-1",
            "19 rollback_step_started a-1 limit 7",
            "20 rollback_attempt_started a-1 #1",
            "21 rollback_attempt_completed a-1 #1",
            "22 rollback_step_completed a-1",
            "23 rollback_completed",
            "24 workflow_errored Error: end",
        ]
    );
}

#[test]
fn a_rollback_that_fails() {
    let told = tell(&journal([
        Record::Started,
        undoable(0, "a"),
        done(0),
        Record::RollbackStarted { error: None },
        undo(0, 1),
        Record::RollbackAttemptFailed {
            step: StepNo(0),
            attempt: 1,
            error: error("never"),
            retry_at: None,
        },
        Record::RollbackStepFailed {
            step: StepNo(0),
            error: error("never"),
        },
        Record::RollbackEnded {
            error: Some(error("never")),
        },
        Record::Terminated,
    ]));
    assert_eq!(
        lines(&told)[7..],
        [
            "8 rollback_started",
            "9 rollback_step_started a-1 limit 7",
            "10 rollback_attempt_started a-1 #1",
            "11 rollback_attempt_errored a-1 #1 Error: never",
            "12 rollback_step_errored a-1 Error: never",
            "13 rollback_errored",
            "14 workflow_terminated",
        ]
    );
}

/// A run, ended, begun again from its second step, ended, begun again wholly, ended.
fn restarts() -> [Vec<Record>; 3] {
    [
        vec![
            Record::Started,
            step(0, "a"),
            done(0),
            step(1, "b"),
            done(1),
            Record::Completed,
        ],
        vec![
            Record::RestartedFrom { step: StepNo(1) },
            Record::Started,
            step(1, "c"),
            done(1),
            Record::Completed,
        ],
        vec![
            Record::Restarted,
            Record::Started,
            step(0, "d"),
            Record::Terminated,
        ],
    ]
}

#[test]
fn a_restart_from_a_step_keeps_what_came_before_it() {
    let [first, second, _] = restarts();
    let told = tell(&journal([first, second].concat()));
    assert_eq!(
        lines(&told),
        [
            "1 workflow_queued",
            "2 workflow_started params@0",
            "4 step_started a-1 limit 5",
            "5 attempt_started a-1 #1",
            "6 attempt_completed a-1 #1",
            "7 step_completed a-1 output@3",
            "13 workflow_running",
            "14 step_started c-1 limit 5",
            "15 attempt_started c-1 #1",
            "16 attempt_completed c-1 #1",
            "17 step_completed c-1 output@10",
            "18 workflow_completed output@11",
        ]
    );
}

#[test]
fn numbers_count_on_through_restarts() {
    let told = tell(&journal(restarts().concat()));
    assert_eq!(
        lines(&told),
        [
            "19 workflow_queued",
            "20 workflow_started params@0",
            "21 workflow_running",
            "22 step_started d-1 limit 5",
            "23 attempt_started d-1 #1",
            "24 workflow_terminated",
        ]
    );
}

/// Who hands events on while the journal grows sees those that a restart wipes afterwards, and the same ones from there on.
#[test]
fn events_that_were_handed_on_are_not_told_again() {
    let journal = journal(restarts().concat());
    let mut teller = EventTeller::new(&Limits::default());
    let (mut told, mut handed_on) = (VecDeque::new(), Vec::new());
    for (entry, seq) in journal.iter().zip(0..) {
        assert_eq!(teller.next_seq(), Seq(seq));
        teller.tell(entry, &mut told).unwrap();
        handed_on.extend(told.drain(..).map(|event| event.id));
    }
    assert_eq!(handed_on, (1..=24).collect::<Vec<_>>());
}

/// Restarts that are known beforehand wipe what they would have wiped, wherever the journal is cut.
#[test]
fn expected_restarts_wipe_beforehand() {
    for parts in 1..=3 {
        let journal = journal(restarts()[..parts].concat());
        let restarts = journal
            .iter()
            .zip(0..)
            .filter_map(|(entry, seq)| Restart::of(Seq(seq), entry));
        let mut teller = EventTeller::new(&Limits::default());
        teller.expect(restarts);
        let (mut told, mut handed_on) = (VecDeque::new(), VecDeque::new());
        for entry in &journal {
            teller.tell(entry, &mut told).unwrap();
            handed_on.append(&mut told);
        }
        assert_eq!(handed_on, tell(&journal));
    }
}

#[test]
fn an_entry_that_does_not_fit_is_damage() {
    let mut teller = EventTeller::new(&Limits::default());
    let wrong = [
        step(1, "a"),
        done(0),
        undo(0, 1),
        Record::SleepCompleted { step: StepNo(3) },
    ];
    for record in wrong {
        let entry = Entry {
            at: Timestamp(0),
            record,
        };
        assert!(teller.tell(&entry, &mut VecDeque::new()).is_err(), "{entry:?}");
    }
}

#[test]
fn every_type_has_its_word() {
    let words: BTreeSet<&str> = EventType::ALL.iter().map(|known| known.as_str()).collect();
    assert_eq!(words.len(), 29);
    for known in EventType::ALL {
        assert_eq!(EventType::from_word(known.as_str()), Some(known));
    }
    assert_eq!(EventType::from_word("workflow_Queued"), None);
    let last: Vec<&str> = EventType::ALL
        .iter()
        .filter(|known| known.is_final())
        .map(|known| known.as_str())
        .collect();
    assert_eq!(
        last,
        ["workflow_completed", "workflow_errored", "workflow_terminated"]
    );
}
