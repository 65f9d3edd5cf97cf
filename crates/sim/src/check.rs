//! The end of a world: what clients are shown is what the journal says.

use crate::client::{ACCOUNT, WORKFLOW};
use crate::model::{Kept, Ledger, Model};
use cairn_engine::{Engine, InstanceDetails, StepView};
use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    /// What has panicked on this thread: a task of the engine may have, and nobody would see.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}
static HOOK: Once = Once::new();

/// Watches for panics from now on.
pub(crate) fn watch_panics() {
    HOOK.call_once(|| {
        let earlier = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANIC.with_borrow_mut(|panic| *panic = Some(info.to_string()));
            earlier(info);
        }));
    });
    PANIC.with_borrow_mut(|panic| *panic = None);
}

/// Sees whether something has panicked.
pub(crate) fn no_panic(model: &Model) {
    if let Some(panic) = PANIC.with_borrow_mut(Option::take) {
        model.wrong(panic);
    }
}

/// What stands still in a world in which nothing happens any more.
pub(crate) fn stuck(model: &Model) -> String {
    let mut text = String::from("stuck:");
    for id in model.ids() {
        let status = model.ask(&id, |ledger| ledger.status.as_str());
        text.push_str(&format!(" {id} is {},", status.unwrap_or("gone")));
    }
    text
}

/// Compares what is shown of every instance.
pub(crate) async fn at_the_end(model: &Model, engine: &Engine) {
    for id in model.ids() {
        match engine.instance(ACCOUNT, WORKFLOW, (&id, 10_000)).await {
            Ok(details) => {
                let fault = model
                    .ask(&id, |ledger| compare(ledger, &details))
                    .and_then(Result::err);
                if let Some(fault) = fault {
                    model.wrong(format!("{id}: {fault}"));
                }
            }
            Err(error) => model.wrong(format!("{id} cannot be told: {error}")),
        }
    }
}

fn compare(ledger: &Ledger, details: &InstanceDetails) -> Result<(), String> {
    let view = &details.view;
    same("status", &ledger.status, &details.row.status)?;
    same("error", &ledger.error, &view.error)?;
    let output = ledger.output.as_ref().map(Ledger::text);
    same("output", &output, &details.output)?;
    let undo = ledger.undo.as_ref();
    let outcome = undo.and_then(|undo| undo.outcome.clone());
    let shown = view
        .rollback
        .as_ref()
        .and_then(|rollback| rollback.outcome.clone());
    same("rollback", &outcome, &shown)?;
    if let (Some(undo), Some(rollback)) = (undo, &view.rollback) {
        let shown = rollback
            .steps
            .iter()
            .filter(|step| step.ended_at.is_some() && step.error.is_none());
        let shown: Vec<_> = shown.map(|step| step.key.clone()).collect();
        same("rolled back steps", &undo.done, &shown)?;
    }
    same("number of steps", &ledger.steps.len(), &view.steps.len())?;
    for (kept, shown) in ledger.steps.iter().zip(&view.steps) {
        same("step", &kept.key, &shown.key)?;
        let outcome = ledger.outcome(ledger.epoch, &kept.key).map(|(_, kept)| kept);
        if let Some(Kept::Value(value)) = outcome
            && Ledger::is_stream(value)
        {
            // What is shown of it is its beginning.
            continue;
        }
        same(
            &format!("outcome of {}", kept.key),
            &outcome.map(text),
            &shown_text(shown, details),
        )?;
    }
    Ok(())
}

fn text(kept: &Kept) -> String {
    match kept {
        Kept::Value(value) | Kept::Event(value) => Ledger::text(value),
        Kept::Slept => "slept".into(),
        Kept::Failed(error) => format!("{}: {}", error.name, error.message),
    }
}

fn shown_text(step: &StepView, details: &InstanceDetails) -> Option<String> {
    step.ended_at?;
    if let Some(error) = &step.error {
        return Some(format!("{}: {}", error.name, error.message));
    }
    let Some(seq) = step.output() else {
        return Some("slept".into());
    };
    Some(
        details
            .previews
            .get(&seq)
            .map_or_else(|| "gone".into(), |preview| preview.text.clone()),
    )
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, kept: &T, shown: &T) -> Result<(), String> {
    if kept == shown {
        Ok(())
    } else {
        Err(format!("{what}: {kept:?} is kept, and {shown:?} is shown"))
    }
}
