//! `cairn run`: one instance of a project's workflow, from start or from where it stopped, to its end.

use crate::args::RunArguments;
use crate::client::{Api, RequestError};
use crate::failure::Failure;
use crate::input::as_params;
use crate::local::Local;
use crate::moment::now;
use crate::project::Project;
use crate::signals::stop_wanted;
use crate::steps::{Display, Story, reason};
use crate::terminal::{Terminal, Tone};
use crate::tools::{self, Tool};
use crate::{Exit, bundle, deploy};
use cairn_api::{ApiError, InstanceCreate, InstanceDetails, InstanceStatus};
use serde_json::value::RawValue;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Time between two looks at the instance: short at first, for workflows that take no time at all.
const FIRST_PAUSE: Duration = Duration::from_millis(4);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// The instance to bring to its end.
struct Target<'a> {
    project: &'a Project,
    workflow: &'a str,
    id: String,
    params: Option<Box<RawValue>>,
}

/// Runs the command.
///
/// # Errors
/// When the instance could not be started or followed.
pub(crate) async fn run(arguments: &RunArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let params = arguments.params.as_deref().map(parse_params).transpose()?;
    let project = Project::read(&arguments.project)?;
    let target = Target {
        project: &project,
        workflow: &project.workflow(arguments.workflow.as_deref())?.name,
        id: arguments
            .id
            .clone()
            .unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
        params,
    };
    let tools = &arguments.tools;
    let workerd = tools.workerd.workerd.as_deref();
    let workerd = tools::find(Tool::Workerd, workerd, &project.folder, terminal).await?;
    let data_dir = arguments
        .data_dir
        .clone()
        .unwrap_or_else(|| project.folder.join(".cairn"));
    let local = Local::start(&data_dir, 0, (workerd.path, &arguments.settings)).await?;
    let outcome = tokio::select! {
        outcome = bring_to_its_end(&target, &local.api, tools.esbuild.clone(), terminal) => outcome,
        () = stop_wanted() => {
            terminal.line(&format!("Stopped. To go on:\n  {}", go_on(arguments, &target.id)));
            Ok(Exit::Stopped)
        }
    };
    let stopped = local.stop().await;
    let exit = outcome?;
    stopped?;
    Ok(exit)
}

fn parse_params(text: &str) -> Result<Box<RawValue>, Failure> {
    serde_json::from_str(text).map_err(|error| {
        Failure::new(
            format!("--params is not JSON: {error}, in {text:?}."),
            "Quote it for the shell: --params '{\"name\":\"Ada\"}'",
        )
    })
}

/// The command that goes on with the instance.
fn go_on(arguments: &RunArguments, id: &str) -> String {
    let mut words = vec![
        "cairn".to_owned(),
        "run".to_owned(),
        quoted(&arguments.project.to_string_lossy()),
    ];
    let mut option = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            words.extend([name.to_owned(), quoted(value)]);
        }
    };
    option("--workflow", arguments.workflow.as_deref());
    option(
        "--data-dir",
        arguments.data_dir.as_deref().and_then(|path| path.to_str()),
    );
    option("--id", Some(id));
    words.join(" ")
}

/// A word for the shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

async fn bring_to_its_end(
    target: &Target<'_>,
    api: &Api,
    esbuild: Option<PathBuf>,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    match find(target, api).await? {
        Some(details) => take_up(target, &details, api, terminal).await?,
        None => start(target, api, esbuild, terminal).await?,
    }
    let details = follow(target, api, terminal).await?;
    conclude(&details, terminal)
}

/// The instance, if there is one already.
async fn find(target: &Target<'_>, api: &Api) -> Result<Option<InstanceDetails>, Failure> {
    match api.instance(target.workflow, &target.id).await {
        Ok(details) => Ok(Some(details)),
        Err(error) if error.is(ApiError::InstanceNotFound) || error.is(ApiError::WorkflowNotFound) => {
            Ok(None)
        }
        Err(error) => Err(reading(target, error)),
    }
}

fn reading(target: &Target<'_>, error: RequestError) -> Failure {
    error.while_doing(
        &format!("Reading instance \"{}\"", target.id),
        "An id has letters, digits, \"-\" and \"_\", at most 100 of them. Correct --id, or leave it out: one is made up.",
    )
}

/// Goes on with an instance. It stays on the version it was created with, so nothing is deployed.
async fn take_up(
    target: &Target<'_>,
    details: &InstanceDetails,
    api: &Api,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let Target { workflow, id, .. } = target;
    if details.status.is_final() {
        terminal.line(&format!(
            "{workflow}: instance {id} has ended already; this is its result."
        ));
    } else {
        terminal.line(&format!(
            "{workflow}: going on with instance {id}, on the version it was created with."
        ));
    }
    if target.params.is_some() {
        terminal.line("--params has no effect: the instance keeps those it was created with.");
    }
    if matches!(
        details.status,
        InstanceStatus::Paused | InstanceStatus::WaitingForPause
    ) {
        terminal.line("It was paused and is resumed.");
        api.resume(workflow, id)
            .await
            .map_err(|error| error.while_doing("Resuming the instance", "Run the command again."))?;
    }
    Ok(())
}

async fn start(
    target: &Target<'_>,
    api: &Api,
    esbuild: Option<PathBuf>,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let project = target.project;
    let esbuild = tools::find(Tool::Esbuild, esbuild.as_deref(), &project.folder, terminal).await?;
    let bundle = bundle::bundle(&esbuild.path, project).await?;
    deploy::deploy(api, project, &bundle).await?;
    let create = InstanceCreate {
        instance_id: Some(target.id.clone()),
        params: target.params.as_deref().map(as_params),
        ..InstanceCreate::default()
    };
    let created = api.create(target.workflow, &create).await.map_err(|error| {
        error.while_doing(
            &format!("Creating instance \"{}\"", target.id),
            "Correct --id and --params and try again.",
        )
    })?;
    terminal.line(&format!("{}: instance {}", target.workflow, created.id));
    Ok(())
}

/// Looks at the instance until it has ended, and tells what it sees.
async fn follow(target: &Target<'_>, api: &Api, terminal: &Terminal) -> Result<InstanceDetails, Failure> {
    let mut story = Story::default();
    let mut display = Display::new(terminal);
    let mut pause = FIRST_PAUSE;
    loop {
        let asked = Instant::now();
        let details = api.instance(target.workflow, &target.id).await;
        let details = details.map_err(|error| reading(target, error))?;
        let news = story.look(&details, now());
        display.show(&news);
        if details.status.is_final() {
            return Ok(details);
        }
        pause = if news.lines.is_empty() {
            (pause * 2).min(LONGEST_PAUSE)
        } else {
            FIRST_PAUSE * 4
        };
        // An instance of thousands of steps is not read all the time.
        tokio::time::sleep(pause.max(asked.elapsed() * 4)).await;
    }
}

/// The result: the output on standard output, all else on standard error.
fn conclude(details: &InstanceDetails, terminal: &Terminal) -> Result<Exit, Failure> {
    match details.status {
        InstanceStatus::Complete => {
            let output = details.output.as_deref().unwrap_or("null");
            let mut stdout = io::stdout().lock();
            writeln!(stdout, "{output}")
                .and_then(|()| stdout.flush())
                .map_err(|error| {
                    Failure::new(
                        format!("The output cannot be written to standard output: {error}."),
                        "Run the command again with the same --id: it prints the output again.",
                    )
                })?;
            Ok(Exit::Complete)
        }
        InstanceStatus::Terminated => {
            terminal.line(&terminal.paint(Tone::Bad, "The instance was terminated."));
            Ok(Exit::Errored)
        }
        _ => {
            let text = match &details.error {
                Some(error) => format!("error: the workflow failed with {}", reason(error)),
                None => "error: the workflow failed".to_owned(),
            };
            terminal.line(&terminal.paint(Tone::Bad, &text));
            terminal.line("Mend its cause and run it again with a new --id, or without one.");
            Ok(Exit::Errored)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Arguments, Command};
    use clap::Parser;

    fn arguments(words: &[&str]) -> RunArguments {
        let all = ["cairn", "run"].iter().chain(words);
        match Arguments::parse_from(all).command {
            Command::Run(arguments) => arguments,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_to_go_on_repeats_what_matters() {
        let given = arguments(&[
            "my project",
            "--workflow",
            "w",
            "--params",
            "{}",
            "--data-dir",
            "/d",
        ]);
        assert_eq!(
            go_on(&given, "abc"),
            "cairn run 'my project' --workflow w --data-dir /d --id abc"
        );
        assert_eq!(go_on(&arguments(&["p"]), "a"), "cairn run p --id a");
    }

    #[test]
    fn broken_params_are_told_with_an_example() {
        let failure = parse_params("{name:1}").unwrap_err().to_string();
        assert!(failure.contains("--params is not JSON"), "{failure}");
        assert!(failure.contains("'{\"name\":\"Ada\"}'"), "{failure}");
    }
}
