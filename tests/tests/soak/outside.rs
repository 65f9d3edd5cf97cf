//! What the world outside saw: every effect of every step, and what steps say they have been told of others.
//!
//! A report carries the nonces of earlier steps. So it is known here, without asking Cairn, which execution of a step user code was told of; from then
//! on that step must not be executed again, and must never be told otherwise.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// A step in the scope of a marker: a restart that goes back behind the marker makes another scope.
pub(crate) type Key = (String, String);

/// What was seen of one step.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// The nonces of its executions, each with when it was sent, in the order in which they were: a process that was killed, or told to stop, may
    /// have sent one that arrives after those of its successor.
    executions: Vec<(i64, String)>,
    /// The one that user code was told.
    pub(crate) told: Option<String>,
    reopened: usize,
}

impl Step {
    /// The nonces of its executions.
    pub(crate) fn nonces(&self) -> Vec<&str> {
        self.executions.iter().map(|(_, nonce)| nonce.as_str()).collect()
    }

    /// Whether no execution was sent after this one.
    pub(crate) fn is_last(&self, nonce: &str) -> bool {
        let last = self.executions.last().map(|(sent, _)| *sent);
        let mut executions = self.executions.iter();
        executions.any(|(sent, known)| known == nonce && Some(*sent) == last)
    }

    fn add(&mut self, sent: i64, nonce: &str) {
        let at = self.executions.partition_point(|(before, _)| *before <= sent);
        self.executions.insert(at, (sent, nonce.to_owned()));
    }
}

/// What was seen of one instance.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) steps: BTreeMap<Key, Step>,
    /// Where each nonce was reported.
    pub(crate) nonces: BTreeMap<String, Key>,
    /// Restarts that were asked for, whatever was answered.
    pub(crate) restarts: usize,
    /// When the last report was sent, by the clock of user code: Unix time in milliseconds.
    pub(crate) last_sent: i64,
    /// Steps whose handlers were called, in the order of the first calls.
    pub(crate) undone: Vec<String>,
    /// Markers of scopes that a restart has left.
    left: BTreeSet<String>,
    mails: Vec<Value>,
    has_ended: bool,
    is_wrong: bool,
    log: Vec<String>,
}

/// What was seen of all instances that are under way.
#[derive(Debug)]
pub(crate) struct Outside {
    begun: Instant,
    pub(crate) instances: BTreeMap<String, Seen>,
    /// What must not be.
    pub(crate) wrong: Vec<String>,
    pub(crate) effects: usize,
    /// Steps with an effect, and executions of them beyond the first.
    pub(crate) steps: usize,
    pub(crate) repeated: usize,
}

fn text(report: &Value, name: &str) -> String {
    report[name].as_str().unwrap_or_default().to_owned()
}

impl Outside {
    pub(crate) fn new() -> Self {
        Self {
            begun: Instant::now(),
            instances: BTreeMap::new(),
            wrong: Vec::new(),
            effects: 0,
            steps: 0,
            repeated: 0,
        }
    }

    /// Takes a report in.
    pub(crate) fn report(&mut self, report: &Value) {
        self.effects += 1;
        let at = self.begun.elapsed().as_millis();
        let instance = text(report, "instance");
        let seen = self.instances.entry(instance.clone()).or_default();
        match seen.report(at, report) {
            Ok(Execution::First) => self.steps += 1,
            Ok(Execution::Again) => self.repeated += 1,
            Ok(Execution::OfNoScope) => {}
            // The first mistake makes others.
            Err(_) if seen.is_wrong => {}
            Err(wrong) => {
                seen.is_wrong = true;
                let story = seen.story();
                self.wrong
                    .push(format!("{instance}: {wrong}\nits reports:\n  {story}"));
            }
        }
    }

    /// Notes what was done to an instance, or to all of them, for the story of one that goes wrong.
    pub(crate) fn note(&mut self, instance: Option<&str>, what: &str) {
        let line = format!("{} ms: {what}", self.begun.elapsed().as_millis());
        match instance {
            Some(instance) => self
                .instances
                .entry(instance.to_owned())
                .or_default()
                .log
                .push(line),
            None => {
                let under_way = self.instances.values_mut().filter(|seen| !seen.has_ended);
                under_way.for_each(|seen| seen.log.push(line.clone()));
            }
        }
    }

    /// Ends an instance: nothing of it may be executed from now on. What was seen of it is given back.
    pub(crate) fn end(&mut self, instance: &str) -> Seen {
        let ended = Seen {
            has_ended: true,
            ..Seen::default()
        };
        self.instances
            .insert(instance.to_owned(), ended)
            .unwrap_or_default()
    }
}

enum Execution {
    First,
    Again,
    OfNoScope,
}

impl Seen {
    fn report(&mut self, at: u128, report: &Value) -> Result<Execution, String> {
        let (mark, step, nonce) = (text(report, "mark"), text(report, "step"), text(report, "nonce"));
        let told = report["told"].as_object().cloned().unwrap_or_default();
        let known: Vec<String> = told
            .iter()
            .map(|(step, nonce)| {
                format!(
                    "{step}={}",
                    nonce.as_str().unwrap_or_default().get(..4).unwrap_or("?")
                )
            })
            .collect();
        self.log.push(format!(
            "{at} ms: [{mark:.4}] {step} {nonce:.4}, sent at {}, told {}",
            report["at"],
            known.join(" ")
        ));
        self.last_sent = self.last_sent.max(report["at"].as_i64().unwrap_or(i64::MAX));
        if self.has_ended {
            return Err(format!("{step} was executed after the instance had ended"));
        }
        if self.left.contains(&mark) {
            // An execution that a restart left behind, and that has arrived late.
            return Ok(Execution::OfNoScope);
        }
        if !mark.is_empty() {
            let marker = self.nonces.get(&mark).cloned();
            let marker =
                marker.ok_or_else(|| format!("{step} knows the marker {mark}, which was never reported"))?;
            self.learn(&marker, &mark)?;
        }
        for (other, nonce) in &told {
            self.learn(&(mark.clone(), other.clone()), nonce.as_str().unwrap_or_default())?;
        }
        self.mails(report["mails"].as_array().cloned().unwrap_or_default())?;
        if let Some(undone) = step.strip_prefix("undo ") {
            self.undo(undone)?;
        }
        self.execute((mark, step), (report["at"].as_i64().unwrap_or(i64::MAX), &nonce))
    }

    /// Somebody was told this of a step.
    fn learn(&mut self, key: &Key, nonce: &str) -> Result<(), String> {
        let step = self.steps.entry(key.clone()).or_default();
        match &step.told {
            None if step.is_last(nonce) => {
                step.told = Some(nonce.to_owned());
                Ok(())
            }
            None => Err(format!(
                "{key:?} was told to be {nonce}, and its executions were {:?}",
                step.nonces()
            )),
            Some(before) if before == nonce => Ok(()),
            Some(before) => Err(format!("{key:?} was told to be {before}, then {nonce}")),
        }
    }

    fn execute(&mut self, key: Key, (sent, nonce): (i64, &str)) -> Result<Execution, String> {
        let restarts = self.restarts;
        let step = self.steps.entry(key.clone()).or_default();
        let is_late = step.executions.last().is_some_and(|(last, _)| sent <= *last);
        if !is_late && let Some(told) = step.told.take() {
            let may_reopen = key.1.starts_with("mark ") && step.reopened < restarts;
            if !may_reopen {
                step.told = Some(told.clone());
                return Err(format!(
                    "{key:?} was executed again after it was told to be {told}"
                ));
            }
            step.reopened += 1;
            self.left.insert(told);
        }
        let execution = if step.executions.is_empty() {
            Execution::First
        } else {
            Execution::Again
        };
        step.add(sent, nonce);
        if self.nonces.insert(nonce.to_owned(), key).is_some() {
            return Err(format!("the nonce {nonce} came twice"));
        }
        Ok(execution)
    }

    /// Events that were told once are told in the same order for ever.
    fn mails(&mut self, mails: Vec<Value>) -> Result<(), String> {
        let known = self.mails.len().min(mails.len());
        if self.mails[..known] != mails[..known] {
            return Err(format!("the events were {:?}, then {mails:?}", self.mails));
        }
        if mails.len() > known {
            self.mails = mails;
        }
        Ok(())
    }

    /// A handler is called; those before it are done.
    fn undo(&mut self, step: &str) -> Result<(), String> {
        match self.undone.iter().position(|undone| undone == step) {
            None => self.undone.push(step.to_owned()),
            Some(at) if at + 1 == self.undone.len() => {}
            Some(_) => return Err(format!("{step} was undone again after {:?}", self.undone)),
        }
        Ok(())
    }

    /// The steps of the scopes that a journal with these nonces is of.
    pub(crate) fn in_scope<'a>(
        &'a self,
        journal: &'a BTreeSet<String>,
    ) -> impl Iterator<Item = (&'a Key, &'a Step)> {
        self.steps
            .iter()
            .filter(|((mark, _), _)| mark.is_empty() || journal.contains(mark))
    }

    /// All reports, a line each.
    pub(crate) fn story(&self) -> String {
        self.log.join("\n  ")
    }
}
