//! An instance on a server, watched until it has ended.

use crate::Exit;
use crate::client::{RequestError, instance_path};
use crate::failure::Failure;
use crate::moment::now;
use crate::output::Form;
use crate::remote::Remote;
use crate::signals::stop_wanted;
use crate::steps::{Display, Story, reason};
use crate::terminal::Tone;
use cairn_api::{InstanceDetails, InstanceStatus};
use reqwest::Method;
use serde_json::value::RawValue;
use std::time::{Duration, Instant};

/// Time between two looks.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How long a server may be away, as at a restart.
const PATIENCE: Duration = Duration::from_secs(60);

/// An instance as it was when it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// It.
    pub(crate) details: InstanceDetails,
    /// The same, as it was sent.
    pub(crate) raw: Box<RawValue>,
}

/// How the watch ended.
#[derive(Debug)]
pub(crate) enum Followed {
    /// The instance did.
    Ended(Box<Ended>),
    /// The user wanted no more.
    Stopped,
}

/// Looks at the instance until it has ended, and tells what it sees.
///
/// # Errors
/// When it cannot be read any more.
pub(crate) async fn to_its_end(remote: &Remote, place: (&str, &str)) -> Result<Followed, Failure> {
    tokio::select! {
        ended = watch(remote, place) => ended.map(|ended| Followed::Ended(Box::new(ended))),
        () = stop_wanted() => Ok(Followed::Stopped),
    }
}

async fn watch(remote: &Remote, (workflow, id): (&str, &str)) -> Result<Ended, Failure> {
    let mut story = Story::default();
    let mut display = Display::new(&remote.terminal);
    let mut pause = FIRST_PAUSE;
    let mut away_since: Option<Instant> = None;
    loop {
        let asked = Instant::now();
        let request = remote.api.request(Method::GET, &instance_path(workflow, id));
        let reply = match remote.api.reply(request).await {
            Ok(reply) => reply,
            Err(error) if is_passing(&error) && away_since.unwrap_or(asked).elapsed() < PATIENCE => {
                if away_since.is_none() {
                    remote.terminal.line("The server does not answer; trying again.");
                }
                away_since.get_or_insert(asked);
                tokio::time::sleep(LONGEST_PAUSE).await;
                continue;
            }
            Err(error) => {
                return Err(remote
                    .about_workflow(error, "Reading the instance", workflow)
                    .await);
            }
        };
        away_since = None;
        let details: InstanceDetails = reply
            .read()
            .map_err(|error| remote.failure(error, "Reading the instance"))?;
        let news = story.look(&details, now());
        display.show(&news);
        if details.status.is_final() {
            return Ok(Ended {
                details,
                raw: reply.result,
            });
        }
        pause = if news.lines.is_empty() {
            (pause * 2).min(LONGEST_PAUSE)
        } else {
            FIRST_PAUSE
        };
        // An instance of thousands of steps is not read all the time.
        tokio::time::sleep(pause.max(asked.elapsed() * 4)).await;
    }
}

/// Whether waiting may help.
pub(crate) fn is_passing(error: &RequestError) -> bool {
    match error {
        RequestError::Unreachable(_) | RequestError::Broken(_) => true,
        RequestError::Refused { status, .. } => *status >= 500 || *status == 429,
    }
}

/// Prints how it ended: the output alone, or the whole of it as JSON.
///
/// # Errors
/// When standard output takes no more.
pub(crate) fn conclude(remote: &Remote, ended: &Ended) -> Result<Exit, Failure> {
    let details = &ended.details;
    let is_complete = details.status == InstanceStatus::Complete;
    match remote.output.form() {
        Form::Json => remote.output.text(ended.raw.get())?,
        Form::Text if is_complete => remote.output.text(details.output.as_deref().unwrap_or("null"))?,
        Form::Text => {}
    }
    if is_complete {
        return Ok(Exit::Complete);
    }
    let terminal = &remote.terminal;
    terminal.line(&terminal.paint(Tone::Bad, &ending(details)));
    Ok(Exit::Errored)
}

/// How an instance ended that did not end well.
pub(crate) fn ending(details: &InstanceDetails) -> String {
    match (details.status, &details.error) {
        (InstanceStatus::Terminated, _) => "The instance was terminated.".into(),
        (_, Some(error)) => format!("The workflow failed with {}", reason(error)),
        (_, None) => "The workflow failed.".into(),
    }
}
