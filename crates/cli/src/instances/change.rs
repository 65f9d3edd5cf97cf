//! What changes instances: events, pause, resume, restart, terminate, delete.

use super::list::{status_word, word};
use crate::Exit;
use crate::args::{
    DeleteArguments, RestartArguments, SelectionArguments, SendEventArguments, StatusArgument,
    StepKindArgument, TerminateArguments,
};
use crate::client::{RequestError, instance_path, read, segment};
use crate::failure::Failure;
use crate::input::{self, Consent, consent};
use crate::output::Form;
use crate::pages::{Pages, Want};
use crate::remote::Remote;
use crate::terminal::Tone;
use cairn_api::{
    ApiError, BatchDeleteRequest, BatchDeleteResult, InstanceRow, JobBegun, RestartFrom, StatusChange,
    StatusChanged, TerminateJob,
};
use reqwest::Method;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Most ids in one call that deletes.
const BATCH: usize = 100;

pub(super) async fn send_event(remote: &Remote, arguments: &SendEventArguments) -> Result<Exit, Failure> {
    let workflow = &arguments.instance.workflow;
    let payload = arguments.payload.as_deref();
    let payload = payload.map(|given| input::json(given, "PAYLOAD")).transpose()?;
    let id = remote.id(workflow, &arguments.instance.id).await?;
    let path = format!(
        "{}/events/{}",
        instance_path(workflow, &id),
        segment(&arguments.event_type)
    );
    let mut request = remote.api.request(Method::POST, &path);
    if let Some(payload) = &payload {
        request = request.json(payload);
    }
    let reply = match remote.api.reply(request).await {
        Ok(reply) => reply,
        Err(error) => return Err(remote.about_workflow(error, "Sending the event", workflow).await),
    };
    let sent = |_| format!("Sent event \"{}\" to {id}.", arguments.event_type);
    remote.output.result(&reply.result, sent)?;
    Ok(Exit::Complete)
}

/// A change of state, and what it is called once it is done.
struct Change {
    body: StatusChange,
    doing: &'static str,
    done: &'static str,
}

pub(super) async fn pause(remote: &Remote, selection: &SelectionArguments) -> Result<Exit, Failure> {
    let change = Change {
        body: StatusChange::Pause,
        doing: "Pausing",
        done: "Paused",
    };
    change.apply(remote, &selection.workflow, &selection.ids).await
}

pub(super) async fn resume(remote: &Remote, selection: &SelectionArguments) -> Result<Exit, Failure> {
    let change = Change {
        body: StatusChange::Resume,
        doing: "Resuming",
        done: "Resumed",
    };
    change.apply(remote, &selection.workflow, &selection.ids).await
}

pub(super) async fn restart(remote: &Remote, arguments: &RestartArguments) -> Result<Exit, Failure> {
    let from = arguments.from_step.as_ref().map(|name| RestartFrom {
        name: name.clone(),
        count: arguments.from_count,
        kind: arguments.from_type.map(|kind| {
            match kind {
                StepKindArgument::Do => "do",
                StepKindArgument::Sleep => "sleep",
                StepKindArgument::WaitForEvent => "waitForEvent",
            }
            .to_owned()
        }),
    });
    let change = Change {
        body: StatusChange::Restart { from },
        doing: "Restarting",
        done: "Restarted",
    };
    let SelectionArguments { workflow, ids } = &arguments.selection;
    change.apply(remote, workflow, ids).await
}

pub(super) async fn terminate(remote: &Remote, arguments: &TerminateArguments) -> Result<Exit, Failure> {
    if arguments.all {
        return terminate_all(remote, arguments).await;
    }
    let change = Change {
        body: StatusChange::Terminate {
            rollback: arguments.rollback.then_some(true),
        },
        doing: "Terminating",
        done: "Terminated",
    };
    change.apply(remote, &arguments.workflow, &arguments.ids).await
}

impl Change {
    /// Changes each of the instances. What is wrong with one of several is told, and the others are changed.
    async fn apply(&self, remote: &Remote, workflow: &str, ids: &[String]) -> Result<Exit, Failure> {
        let mut exit = Exit::Complete;
        for id in ids {
            let id = remote.id(workflow, id).await?;
            let path = format!("{}/status", instance_path(workflow, &id));
            let request = remote.api.request(Method::PATCH, &path).json(&self.body);
            match remote.api.reply(request).await {
                Ok(reply) => self.tell(remote, &id, &reply.result)?,
                Err(error) => {
                    let is_about_one = is_about_one(&error);
                    let doing = format!("{} \"{id}\"", self.doing);
                    if ids.len() == 1 || !is_about_one {
                        return Err(remote.about_workflow(error, &doing, workflow).await);
                    }
                    tell_error(remote, &id, error, &doing)?;
                    exit = Exit::Errored;
                }
            }
        }
        Ok(exit)
    }

    fn tell(&self, remote: &Remote, id: &str, result: &RawValue) -> Result<(), Failure> {
        if remote.output.form() == Form::Json {
            return with_id(id, result, remote);
        }
        let changed: StatusChanged = read(result).map_err(|error| remote.failure(error, self.doing))?;
        remote
            .output
            .text(&format!("{} {id}: {}.", self.done, status_word(changed.status)))
    }
}

/// Whether an error concerns the one instance and not all of them.
fn is_about_one(error: &RequestError) -> bool {
    [
        ApiError::InstanceNotFound,
        ApiError::CannotTerminate,
        ApiError::CannotResume,
        ApiError::CannotRestart,
        ApiError::Body,
        ApiError::InboxFull,
    ]
    .into_iter()
    .any(|kind| error.is(kind))
}

/// Prints an object of the API with the id it is about.
fn with_id(id: &str, result: &RawValue, remote: &Remote) -> Result<(), Failure> {
    let mut object: Map<String, Value> = read(result).map_err(|error| remote.failure(error, "It"))?;
    object.insert("id".into(), id.into());
    remote.output.text(&Value::Object(object).to_string())
}

/// Tells of one of several that could not be changed.
fn tell_error(remote: &Remote, id: &str, error: RequestError, doing: &str) -> Result<(), Failure> {
    if let (Form::Json, RequestError::Refused { code, message, .. }) = (remote.output.form(), &error) {
        let line = serde_json::json!({ "id": id, "error": { "code": code, "message": message } });
        return remote.output.text(&line.to_string());
    }
    let text = remote.failure(error, doing).what().to_owned();
    remote.terminal.line(&remote.terminal.paint(Tone::Bad, &text));
    Ok(())
}

async fn terminate_all(remote: &Remote, arguments: &TerminateArguments) -> Result<Exit, Failure> {
    let workflow = &arguments.workflow;
    let which = match arguments.status {
        Some(status) => format!("all instances of \"{workflow}\" that are {}", word(status)),
        None => format!("all instances of \"{workflow}\" that have not ended"),
    };
    let question = format!("Terminate {which}?");
    if consent(arguments.consent, &remote.terminal, &question)? == Consent::Refused {
        return Ok(Exit::Complete);
    }
    let path = format!("/workflows/{}/instances/terminate", segment(workflow));
    let status = arguments.status.map(|status| ("status", word(status)));
    let request = remote
        .api
        .request(Method::PUT, &path)
        .query(&status.into_iter().collect::<Vec<_>>());
    let reply = match remote.api.reply(request).await {
        Ok(reply) => reply,
        Err(error) => {
            let doing = format!("Terminating {which}");
            return Err(remote.about_workflow(error, &doing, workflow).await);
        }
    };
    let job: JobBegun = reply
        .read()
        .map_err(|error| remote.failure(error, "Terminating"))?;
    remote.output.result(&reply.result, |_| match job.status {
        TerminateJob::Ok => {
            format!("The server terminates {which}, in the background.")
        }
        TerminateJob::AlreadyRunning => {
            "The server is at it already, from an earlier command; try again when that is done.".into()
        }
    })?;
    Ok(if job.status == TerminateJob::AlreadyRunning {
        Exit::Errored
    } else {
        Exit::Complete
    })
}

pub(super) async fn delete(remote: &Remote, arguments: &DeleteArguments) -> Result<Exit, Failure> {
    let workflow = &arguments.workflow;
    let ids = if arguments.all_finished {
        finished(remote, workflow).await?
    } else {
        let mut ids = Vec::new();
        for id in &arguments.ids {
            ids.push(remote.id(workflow, id).await?);
        }
        ids
    };
    if ids.is_empty() {
        remote
            .terminal
            .line("No instance has ended; nothing was deleted.");
        return Ok(Exit::Complete);
    }
    let question = match ids.as_slice() {
        [id] => format!("Delete instance \"{id}\" of \"{workflow}\" with all it holds?"),
        ids => format!(
            "Delete {} instances of \"{workflow}\" with all they hold?",
            ids.len()
        ),
    };
    // One that is named is meant.
    let is_bulk = arguments.all_finished || ids.len() > 1;
    if is_bulk && consent(arguments.consent, &remote.terminal, &question)? == Consent::Refused {
        return Ok(Exit::Complete);
    }
    let mut exit = Exit::Complete;
    for chunk in ids.chunks(BATCH) {
        if delete_chunk(remote, workflow, chunk).await? == Exit::Errored {
            exit = Exit::Errored;
        }
    }
    Ok(exit)
}

async fn delete_chunk(remote: &Remote, workflow: &str, ids: &[String]) -> Result<Exit, Failure> {
    let doing = "Deleting instances";
    let path = format!("/workflows/{}/instances/batch/delete", segment(workflow));
    let body = BatchDeleteRequest {
        instances: ids.to_vec(),
    };
    let result: BatchDeleteResult = match remote
        .api
        .send(remote.api.request(Method::POST, &path).json(&body))
        .await
    {
        Ok(result) => result,
        Err(error) => return Err(remote.about_workflow(error, doing, workflow).await),
    };
    for deleted in &result.deleted {
        let text = match remote.output.form() {
            Form::Json => serde_json::json!({ "id": deleted.id, "deleted": true }).to_string(),
            Form::Text => format!("Deleted {}.", deleted.id),
        };
        remote.output.text(&text)?;
    }
    for error in &result.errors {
        let message = if error.code == ApiError::InstanceNotFound.code() {
            "there is no such instance"
        } else {
            &error.message
        };
        let refused = RequestError::Refused {
            status: 409,
            code: error.code,
            message: message.to_owned(),
        };
        tell_error(remote, &error.id, refused, &format!("Deleting \"{}\"", error.id))?;
    }
    Ok(if result.errors.is_empty() {
        Exit::Complete
    } else {
        Exit::Errored
    })
}

/// The ids of all instances that have ended.
async fn finished(remote: &Remote, workflow: &str) -> Result<Vec<String>, Failure> {
    let mut ids = Vec::new();
    for status in [
        StatusArgument::Complete,
        StatusArgument::Errored,
        StatusArgument::Terminated,
    ] {
        let path = format!("/workflows/{}/instances", segment(workflow));
        let pages = Pages::new(path, vec![("status", word(status))], Want::All);
        let found = match pages.fetch(&remote.api).await {
            Ok(found) => found,
            Err(error) => {
                let doing = "Listing the instances that have ended";
                return Err(remote.about_workflow(error, doing, workflow).await);
            }
        };
        for row in &found.rows {
            let row: InstanceRow =
                read(row).map_err(|error| remote.failure(error, "Listing the instances that have ended"))?;
            ids.push(row.id);
        }
    }
    Ok(ids)
}
