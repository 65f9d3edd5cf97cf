//! Doubles: what a test puts in place of steps, sleeps, retries and events of an instance (behaviour §9).
//!
//! They are in memory only, by workflow and instance id, so that they may be there before the instance is and outlive its restarts. A driver
//! has a copy and applies them at its edge; the journal tells what happened.

use crate::EngineError;
use cairn_core::{ErrorInfo, Selection, Skips, StepKey};
use cairn_runtime::Value;
use cairn_store::InstanceNo;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

/// Failures of one step that a test may ask for.
const FAILURES_MAX: usize = 100_000;

/// A step as tests name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StepSelector {
    /// Its name.
    pub name: String,
    /// 1 for the first step of this name and kind.
    pub index: u32,
}

/// Something put in place of what user code would do or wait for.
#[derive(Debug, Clone, PartialEq)]
pub enum Double {
    /// Sleeps end at once: these, or all.
    NoSleeps(Option<Vec<StepSelector>>),
    /// Retries are due at once: of these steps, or of all.
    NoRetryDelays(Option<Vec<StepSelector>>),
    /// A `step.do` gives this without its callback being called.
    StepResult {
        /// Which.
        step: StepSelector,
        /// The result.
        value: Value,
    },
    /// Attempts of a `step.do` fail without its callback being called.
    StepError {
        /// Which.
        step: StepSelector,
        /// With what.
        error: ErrorInfo,
        /// How many; all when absent.
        times: Option<u32>,
    },
    /// Attempts of a `step.do` time out at once, without its callback being called.
    StepTimeout {
        /// Which.
        step: StepSelector,
        /// How many; all when absent.
        times: Option<u32>,
    },
    /// An event comes as soon as it is waited for; real ones of its type are accepted and forgotten.
    Event {
        /// Its type.
        event_type: String,
        /// Its payload.
        payload: Value,
    },
    /// A `step.waitForEvent` times out at once.
    EventTimeout {
        /// Which.
        step: StepSelector,
    },
}

/// What an attempt comes to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ending {
    /// Its result.
    Result(Value),
    /// It fails.
    Failure(Failure),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Failure {
    /// With this.
    Error(ErrorInfo),
    /// It times out.
    Timeout,
}

/// The doubles of one instance.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Doubles {
    pub(crate) skips: Skips,
    steps: HashMap<StepSelector, StepDoubles>,
    events: HashMap<String, Vec<Value>>,
}

/// The doubles of one `step.do`.
#[derive(Debug, Clone, Default, PartialEq)]
struct StepDoubles {
    /// Failures of its first attempts, in order.
    first: Vec<Failure>,
    /// How all later attempts fail.
    later: Option<Failure>,
    result: Option<Value>,
}

impl Doubles {
    /// Whether a run must ask before it calls a callback.
    pub(crate) fn has_steps(&self) -> bool {
        !self.steps.is_empty()
    }

    /// What an attempt of a `step.do` comes to, when that is not for user code to say.
    pub(crate) fn ending(&self, key: &StepKey, attempt: u32) -> Option<Ending> {
        let doubles = self.steps.get(&StepSelector {
            name: key.name.clone(),
            index: key.count,
        })?;
        let first = doubles.first.get((attempt as usize).checked_sub(1)?);
        let failure = first.or(doubles.later.as_ref()).cloned().map(Ending::Failure);
        failure.or_else(|| doubles.result.clone().map(Ending::Result))
    }

    /// Whether real events of this type are forgotten.
    pub(crate) fn replaces_events(&self, event_type: &str) -> bool {
        self.events.contains_key(event_type)
    }

    /// The event of a type that follows `taken` others.
    pub(crate) fn event(&self, event_type: &str, taken: usize) -> Option<&Value> {
        self.events.get(event_type)?.get(taken)
    }

    /// Adds doubles: all of them, or none.
    pub(crate) fn with(&self, doubles: &[Double]) -> Result<Self, EngineError> {
        let mut all = self.clone();
        for double in doubles {
            all.add(double.clone())?;
        }
        Ok(all)
    }

    fn add(&mut self, double: Double) -> Result<(), EngineError> {
        match double {
            Double::NoSleeps(steps) => select(&mut self.skips.sleeps, steps),
            Double::NoRetryDelays(steps) => select(&mut self.skips.retry_delays, steps),
            Double::EventTimeout { step } => select(&mut self.skips.event_waits, Some(vec![step])),
            Double::Event { event_type, payload } => {
                self.events.entry(event_type).or_default().push(payload);
            }
            Double::StepResult { step, value } => {
                let doubles = self.steps.entry(step.clone()).or_default();
                if doubles.result.is_some() {
                    return Err(refused(&format!(
                        "Trying to mock step '{}' multiple times!",
                        step.name
                    )));
                }
                doubles.result = Some(value);
            }
            Double::StepError { step, error, times } => {
                self.fail(&step, "mock error on", (Failure::Error(error), times))?;
            }
            Double::StepTimeout { step, times } => {
                self.fail(&step, "force timeout on", (Failure::Timeout, times))?;
            }
        }
        Ok(())
    }

    fn fail(
        &mut self,
        step: &StepSelector,
        what: &str,
        (failure, times): (Failure, Option<u32>),
    ) -> Result<(), EngineError> {
        let doubles = self.steps.entry(step.clone()).or_default();
        if doubles.result.is_some() {
            return Err(refused(&format!(
                "Trying to {what} step '{}' after mocking its result!",
                step.name
            )));
        }
        let Some(times) = times else {
            doubles.later = Some(failure);
            return Ok(());
        };
        let length = doubles.first.len() + times as usize;
        if length > FAILURES_MAX {
            return Err(refused(&format!(
                "Step '{}' would fail {length} times; at most {FAILURES_MAX} can be asked for. Leave \"times\" out to let it fail always.",
                step.name
            )));
        }
        doubles.first.resize(length, failure);
        Ok(())
    }
}

fn select(selection: &mut Selection, steps: Option<Vec<StepSelector>>) {
    match steps {
        None => *selection = Selection::All,
        Some(steps) => {
            for step in steps {
                selection.add((step.name, step.index));
            }
        }
    }
}

fn refused(text: &str) -> EngineError {
    EngineError::InvalidInput(format!("[WorkflowIntrospector] {text}"))
}

/// Which instance: its workflow, and its id.
type Which = (i64, String);

/// The doubles of all instances, and the sessions that collect instances.
#[derive(Debug)]
pub(crate) struct AllDoubles {
    /// Whether there ever were any: the hot paths ask no more.
    in_use: AtomicBool,
    known: Mutex<Known>,
    /// Called when an instance is created, for those who wait for one.
    pub(crate) created: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Known {
    instances: HashMap<Which, Arc<Doubles>>,
    sessions: HashMap<i64, Session>,
}

/// The instances of a workflow that are created while it lasts.
#[derive(Debug, Default)]
struct Session {
    id: String,
    /// What each of them begins with.
    doubles: Doubles,
    instances: Vec<(InstanceNo, String)>,
}

impl Default for AllDoubles {
    fn default() -> Self {
        Self {
            in_use: AtomicBool::new(false),
            known: Mutex::default(),
            created: watch::Sender::new(()),
        }
    }
}

impl AllDoubles {
    fn are_in_use(&self) -> bool {
        self.in_use.load(Ordering::Relaxed)
    }

    /// The doubles of an instance.
    pub(crate) fn of(&self, workflow: i64, id: &str) -> Option<Arc<Doubles>> {
        if !self.are_in_use() {
            return None;
        }
        self.known
            .lock()
            .instances
            .get(&(workflow, id.to_owned()))
            .cloned()
    }

    /// Adds doubles of an instance.
    pub(crate) fn add(&self, (workflow, id): (i64, &str), doubles: &[Double]) -> Result<(), EngineError> {
        self.in_use.store(true, Ordering::Relaxed);
        self.known.lock().add((workflow, id.to_owned()), doubles)
    }

    /// Forgets the doubles of an instance.
    pub(crate) fn remove(&self, (workflow, id): (i64, &str)) {
        self.known.lock().instances.remove(&(workflow, id.to_owned()));
    }

    /// Begins a session; `false` when the workflow has one.
    pub(crate) fn begin(&self, workflow: i64, session: &str) -> bool {
        self.in_use.store(true, Ordering::Relaxed);
        let mut known = self.known.lock();
        let is_free = !known.sessions.contains_key(&workflow);
        if is_free {
            known.sessions.insert(
                workflow,
                Session {
                    id: session.into(),
                    ..Session::default()
                },
            );
        }
        is_free
    }

    /// The instances of a session; none when it is over.
    pub(crate) fn instances(&self, workflow: i64, session: &str) -> Option<Vec<String>> {
        let mut known = self.known.lock();
        let session = known.session(workflow, session)?;
        Some(session.instances.iter().map(|(_, id)| id.clone()).collect())
    }

    /// Adds doubles to all instances of a session, those to come and those that are there. None when it is over.
    pub(crate) fn add_to_all(
        &self,
        (workflow, session): (i64, &str),
        doubles: &[Double],
    ) -> Option<Result<Vec<InstanceNo>, EngineError>> {
        let mut known = self.known.lock();
        let session = known.session(workflow, session)?;
        let instances = session.instances.clone();
        match session.doubles.with(doubles) {
            Ok(all) => session.doubles = all,
            Err(error) => return Some(Err(error)),
        }
        for (_, id) in &instances {
            if let Err(error) = known.add((workflow, id.clone()), doubles) {
                return Some(Err(error));
            }
        }
        Some(Ok(instances.into_iter().map(|(no, _)| no).collect()))
    }

    /// Ends a session, and forgets the doubles of its instances; their ids. None when it is over.
    pub(crate) fn end(&self, workflow: i64, session: &str) -> Option<Vec<String>> {
        let mut known = self.known.lock();
        known.session(workflow, session)?;
        let session = known.sessions.remove(&workflow)?;
        let ids: Vec<String> = session.instances.into_iter().map(|(_, id)| id).collect();
        for id in &ids {
            known.instances.remove(&(workflow, id.clone()));
        }
        Some(ids)
    }

    /// An instance was created. Whether it has doubles now.
    pub(crate) fn created(&self, (workflow, no): (i64, InstanceNo), id: &str) -> bool {
        if self.created.receiver_count() > 0 {
            self.created.send_replace(());
        }
        if !self.are_in_use() {
            return false;
        }
        let mut known = self.known.lock();
        let which = (workflow, id.to_owned());
        if let Some(session) = known.sessions.get_mut(&workflow) {
            session.instances.push((no, id.to_owned()));
            let doubles = session.doubles.clone();
            // What was asked for this very instance counts.
            known
                .instances
                .entry(which.clone())
                .or_insert_with(|| Arc::new(doubles));
        }
        known.instances.contains_key(&which)
    }
}

impl Known {
    fn add(&mut self, which: Which, doubles: &[Double]) -> Result<(), EngineError> {
        let slot = self.instances.entry(which).or_default();
        *slot = Arc::new(slot.with(doubles)?);
        Ok(())
    }

    fn session(&mut self, workflow: i64, id: &str) -> Option<&mut Session> {
        self.sessions
            .get_mut(&workflow)
            .filter(|session| session.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_core::StepKind;

    fn step(name: &str) -> StepSelector {
        StepSelector {
            name: name.into(),
            index: 1,
        }
    }

    fn key(name: &str) -> StepKey {
        StepKey {
            kind: StepKind::Do,
            name: name.into(),
            count: 1,
        }
    }

    fn error(message: &str, times: Option<u32>) -> Double {
        Double::StepError {
            step: step("a"),
            error: ErrorInfo::new("Error", message),
            times,
        }
    }

    #[test]
    fn failures_follow_each_other_and_then_comes_the_result() {
        let value = Value::empty_object();
        let result = Double::StepResult {
            step: step("a"),
            value: value.clone(),
        };
        let timeout = Double::StepTimeout {
            step: step("a"),
            times: Some(1),
        };
        let doubles = [error("one", Some(2)), timeout, result];
        let doubles = Doubles::default().with(&doubles).unwrap();
        let one = Ending::Failure(Failure::Error(ErrorInfo::new("Error", "one")));
        let endings: Vec<_> = (1..=5)
            .map(|attempt| doubles.ending(&key("a"), attempt))
            .collect();
        let result = Some(Ending::Result(value));
        assert_eq!(
            endings,
            [
                Some(one.clone()),
                Some(one),
                Some(Ending::Failure(Failure::Timeout)),
                result.clone(),
                result
            ]
        );
        assert_eq!(doubles.ending(&key("b"), 1), None);
        assert_eq!(doubles.ending(&StepKey { count: 2, ..key("a") }, 1), None);
    }

    #[test]
    fn a_result_is_said_once_and_last() {
        let result = Double::StepResult {
            step: step("a"),
            value: Value::undefined(),
        };
        let doubles = Doubles::default().with(std::slice::from_ref(&result)).unwrap();
        let refused = |double: Double| doubles.with(&[double]).unwrap_err().to_string();
        assert_eq!(
            refused(result),
            "[WorkflowIntrospector] Trying to mock step 'a' multiple times!"
        );
        assert_eq!(
            refused(error("late", None)),
            "[WorkflowIntrospector] Trying to mock error on step 'a' after mocking its result!"
        );
        assert!(
            refused(Double::StepTimeout {
                step: step("a"),
                times: None
            })
            .contains("force timeout")
        );
    }

    #[test]
    fn too_many_failures_are_refused() {
        let doubles = Doubles::default();
        assert!(doubles.with(&[error("x", Some(u32::MAX))]).is_err());
    }
}
