//! `cairn workflows`

use crate::Exit;
use crate::args::{ConsentArgument, TriggerArguments, WorkflowsArguments, WorkflowsCommand};
use crate::client::{read, segment};
use crate::failure::Failure;
use crate::follow::{self, Followed};
use crate::input::{self, Consent, as_params, consent};
use crate::moment::{full, now, short};
use crate::output::{Cell, Form, Look, Style, cell, facts, table};
use crate::pages::{Pages, Want};
use crate::remote::Remote;
use crate::terminal::Terminal;
use cairn_api::{InstanceCounts, InstanceCreate, InstanceCreated, Time, Workflow, WorkflowVersion};
use reqwest::Method;

/// Runs the command.
///
/// # Errors
/// When it cannot be carried out.
pub(crate) async fn workflows(arguments: &WorkflowsArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let remote = Remote::new(&arguments.remote, terminal)?;
    match &arguments.command {
        WorkflowsCommand::List { search } => list(&remote, search.as_deref()).await,
        WorkflowsCommand::Describe { workflow } => describe(&remote, workflow).await,
        WorkflowsCommand::Versions { workflow, limit } => versions(&remote, workflow, *limit).await,
        WorkflowsCommand::Delete { workflow, consent } => delete(&remote, workflow, *consent).await,
        WorkflowsCommand::Trigger(arguments) => trigger(&remote, arguments).await,
    }
}

async fn list(remote: &Remote, search: Option<&str>) -> Result<Exit, Failure> {
    let query: Vec<(&str, String)> = search
        .map(|part| ("search", part.to_owned()))
        .into_iter()
        .collect();
    let pages = Pages::new("/workflows".into(), query, Want::All);
    let found = pages.fetch(&remote.api).await;
    let found = found.map_err(|error| remote.failure(error, "Listing the workflows"))?;
    if remote.output.form() == Form::Json {
        return found.print_lines(remote).map(|()| Exit::Complete);
    }
    if found.rows.is_empty() {
        let which = search.map_or_else(String::new, |part| format!(" whose name has \"{part}\""));
        remote.terminal.line(&format!(
            "There are no workflows{which} in account \"{}\".",
            remote.api.account()
        ));
        return Ok(Exit::Complete);
    }
    let mut rows = Vec::new();
    for row in &found.rows {
        let workflow: Workflow = read(row).map_err(|error| remote.failure(error, "Listing the workflows"))?;
        rows.push(vec![
            cell(&workflow.name),
            cell(&workflow.class_name),
            cell(&workflow.script_name),
            cell(open(&workflow.instances).to_string()),
            failed(&workflow.instances),
            cell(workflow.triggered_on.map_or_else(|| "never".into(), short)),
        ]);
    }
    let headings = ["NAME", "CLASS", "SCRIPT", "OPEN", "ERRORED", "LAST INSTANCE"];
    remote
        .output
        .text(&table(remote.output.style(), &headings, &rows))?;
    Ok(Exit::Complete)
}

/// Instances that have not ended.
fn open(counts: &InstanceCounts) -> u64 {
    let InstanceCounts {
        complete: _,
        errored: _,
        terminated: _,
        paused,
        queued,
        rolling_back,
        running,
        waiting,
        waiting_for_pause,
    } = *counts;
    paused + queued + rolling_back + running + waiting + waiting_for_pause
}

fn failed(counts: &InstanceCounts) -> Cell {
    let look = if counts.errored > 0 {
        Look::Bad
    } else {
        Look::Plain
    };
    (look, counts.errored.to_string())
}

async fn describe(remote: &Remote, name: &str) -> Result<Exit, Failure> {
    let doing = format!("Reading workflow \"{name}\"");
    let request = remote
        .api
        .request(Method::GET, &format!("/workflows/{}", segment(name)));
    let reply = match remote.api.reply(request).await {
        Ok(reply) => reply,
        Err(error) => return Err(remote.about_workflow(error, &doing, name).await),
    };
    let workflow: Workflow = reply.read().map_err(|error| remote.failure(error, &doing))?;
    remote
        .output
        .result(&reply.result, |style| page(style, &workflow, now()))?;
    Ok(Exit::Complete)
}

/// A workflow for people.
fn page(style: Style, workflow: &Workflow, now: Time) -> String {
    let script = if workflow.script_deleted == Some(true) {
        (
            Look::Bad,
            format!(
                "{} (deleted: new instances fail until it is deployed again)",
                workflow.script_name
            ),
        )
    } else {
        cell(&workflow.script_name)
    };
    let counts = &workflow.instances;
    let schedules: Vec<String> = workflow
        .schedules
        .iter()
        .flatten()
        .map(|schedule| match schedule.next_instance {
            Some(next) => format!("{}, next {}", schedule.cron, full(next, now)),
            None => format!("{}, never again", schedule.cron),
        })
        .collect();
    let states = [
        ("queued", counts.queued),
        ("running", counts.running),
        ("waiting", counts.waiting),
        ("paused", counts.paused),
        ("waitingForPause", counts.waiting_for_pause),
        ("rollingBack", counts.rolling_back),
        ("complete", counts.complete),
        ("errored", counts.errored),
        ("terminated", counts.terminated),
    ];
    let states: Vec<String> = states
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    let states = if states.is_empty() {
        "none".to_owned()
    } else {
        states.join(", ")
    };
    facts(
        style,
        &[
            ("workflow", (Look::Strong, workflow.name.clone())),
            ("id", cell(&workflow.id)),
            ("class", cell(&workflow.class_name)),
            ("script", script),
            ("created", cell(full(workflow.created_on, now))),
            ("changed", cell(full(workflow.modified_on, now))),
            (
                "last instance",
                cell(
                    workflow
                        .triggered_on
                        .map_or_else(|| "never".to_owned(), |time| full(time, now)),
                ),
            ),
            ("schedules", cell(schedules.join("; "))),
            (
                "jurisdiction",
                cell(workflow.jurisdiction.clone().unwrap_or_default()),
            ),
            ("instances", cell(states)),
        ],
    )
}

async fn versions(remote: &Remote, workflow: &str, limit: usize) -> Result<Exit, Failure> {
    let doing = format!("Listing the versions of \"{workflow}\"");
    let path = format!("/workflows/{}/versions", segment(workflow));
    let pages = Pages::new(path, Vec::new(), Want::AtMost(limit));
    let found = match pages.fetch(&remote.api).await {
        Ok(found) => found,
        Err(error) => return Err(remote.about_workflow(error, &doing, workflow).await),
    };
    if remote.output.form() == Form::Json {
        return found.print_lines(remote).map(|()| Exit::Complete);
    }
    let now = now();
    let mut rows = Vec::new();
    for row in &found.rows {
        let version: WorkflowVersion = read(row).map_err(|error| remote.failure(error, &doing))?;
        let steps = version.limits.and_then(|limits| limits.steps);
        let running = version.concurrency.and_then(|concurrency| concurrency.limit);
        rows.push(vec![
            cell(&version.id),
            cell(&version.class_name),
            cell(full(version.created_on, now)),
            cell(steps.map_or_else(|| "-".into(), |limit| limit.to_string())),
            cell(running.map_or_else(|| "-".into(), |limit| limit.to_string())),
        ]);
    }
    let headings = ["VERSION", "CLASS", "CREATED", "STEPS", "AT ONCE"];
    remote
        .output
        .text(&table(remote.output.style(), &headings, &rows))?;
    found.tell_the_rest(remote, "versions");
    Ok(Exit::Complete)
}

async fn delete(remote: &Remote, name: &str, argument: ConsentArgument) -> Result<Exit, Failure> {
    let doing = format!("Deleting workflow \"{name}\"");
    let path = format!("/workflows/{}", segment(name));
    let workflow: Workflow = match remote.api.send(remote.api.request(Method::GET, &path)).await {
        Ok(workflow) => workflow,
        Err(error) => return Err(remote.about_workflow(error, &doing, name).await),
    };
    let counts = &workflow.instances;
    let ended = counts.complete + counts.errored + counts.terminated;
    let question = format!(
        "Delete workflow \"{name}\" with {} open and {ended} ended instances?",
        open(counts)
    );
    if consent(argument, &remote.terminal, &question)? == Consent::Refused {
        return Ok(Exit::Complete);
    }
    let reply = remote.api.reply(remote.api.request(Method::DELETE, &path)).await;
    let reply = reply.map_err(|error| remote.failure(error, &doing))?;
    let done = |_: Style| format!("Deleted workflow {name}.");
    remote.output.result(&reply.result, done)?;
    Ok(Exit::Complete)
}

async fn trigger(remote: &Remote, arguments: &TriggerArguments) -> Result<Exit, Failure> {
    let workflow = &arguments.workflow;
    let given = arguments.params.as_deref().or(arguments.params_option.as_deref());
    let params = given.map(|given| input::json(given, "PARAMS")).transpose()?;
    let create = InstanceCreate {
        instance_id: arguments.id.clone(),
        params: params.as_deref().map(as_params),
        ..InstanceCreate::default()
    };
    let doing = format!("Starting an instance of \"{workflow}\"");
    let path = format!("/workflows/{}/instances", segment(workflow));
    let request = remote.api.request(Method::POST, &path).json(&create);
    let reply = match remote.api.reply(request).await {
        Ok(reply) => reply,
        Err(error) => return Err(remote.about_workflow(error, &doing, workflow).await),
    };
    let created: InstanceCreated = reply.read().map_err(|error| remote.failure(error, &doing))?;
    if !arguments.wait {
        let next = format!(
            "To follow it: cairn instances logs {workflow} {} --follow",
            created.id
        );
        if remote.output.form() == Form::Text {
            remote.terminal.line(&next);
        }
        remote.output.result(&reply.result, |_| created.id.clone())?;
        return Ok(Exit::Complete);
    }
    remote
        .terminal
        .line(&format!("{workflow}: instance {}", created.id));
    match follow::to_its_end(remote, (workflow, &created.id)).await? {
        Followed::Ended(details) => follow::conclude(remote, &details),
        Followed::Stopped => {
            remote.terminal.line(&format!(
                "No longer followed; it goes on. To follow it again: cairn instances logs {workflow} {} --follow",
                created.id
            ));
            Ok(Exit::Stopped)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_api::Schedule;

    #[test]
    fn a_workflow_is_told_by_its_facts() {
        let workflow = Workflow {
            id: "w1".into(),
            name: "order".into(),
            script_name: "shop".into(),
            class_name: "Order".into(),
            created_on: Time(0),
            modified_on: Time(60_000),
            triggered_on: None,
            instances: InstanceCounts {
                running: 2,
                errored: 1,
                ..InstanceCounts::default()
            },
            schedules: Some(vec![Schedule {
                cron: "0 * * * *".into(),
                next_instance: Some(Time(3_600_000)),
            }]),
            script_deleted: Some(true),
            jurisdiction: None,
        };
        let text = page(Style::PLAIN, &workflow, Time(120_000));
        let expected = "\
workflow       order
id             w1
class          Order
script         shop (deleted: new instances fail until it is deployed again)
created        1970-01-01 00:00:00 (2 min 0 s ago)
changed        1970-01-01 00:01:00 (1 min 0 s ago)
last instance  never
schedules      0 * * * *, next 1970-01-01 01:00:00 (in 58 min 0 s)
instances      2 running, 1 errored
";
        assert_eq!(text, expected);
    }
}
