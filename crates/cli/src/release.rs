//! `cairn deploy`: bundles a project and deploys it, with its workflows, to a server.

use crate::Exit;
use crate::args::DeployArguments;
use crate::bundle::{self, Bundle};
use crate::client::{RequestError, is_loopback};
use crate::deploy::{self, DeployError, Deployed, OldSecrets, Release};
use crate::failure::Failure;
use crate::output::{Form, Look, Style, cell, facts, table};
use crate::project::{Project, read_secrets};
use crate::remote::Remote;
use crate::terminal::Terminal;
use crate::tools::{self, Tool};
use cairn_api::ApiError;
use serde_json::json;

/// Runs the command.
///
/// # Errors
/// When the project is none, does not build, or is refused.
pub(crate) async fn deploy(arguments: &DeployArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let remote = Remote::new(&arguments.remote, terminal)?;
    let project = project(arguments)?;
    let esbuild = arguments.tools.esbuild.as_deref();
    let esbuild = tools::find(Tool::Esbuild, esbuild, &project.folder, terminal).await?;
    let bundle = bundle::bundle(&esbuild.path, &project).await?;
    if arguments.dry_run {
        return print_plan(&remote, &project, &bundle).map(|()| Exit::Complete);
    }
    let release = Release {
        message: arguments.message.clone(),
        tag: arguments.tag.clone(),
        secrets: OldSecrets::Keep,
    };
    let deployed = deploy::release(&remote.api, &project, (&bundle, &release)).await;
    let deployed = deployed.map_err(|error| explain(&remote, &project, error))?;
    print(&remote, &project, &deployed).map(|()| Exit::Complete)
}

/// The project as it is to be deployed: under the name that is wanted, with the secrets of a file that is named instead of the local ones.
fn project(arguments: &DeployArguments) -> Result<Project, Failure> {
    let mut project = Project::read(&arguments.project)?;
    if let Some(name) = &arguments.name {
        project.config.name.clone_from(name);
    }
    project.secrets = match &arguments.secrets_file {
        Some(file) => read_secrets(file)?,
        None => Vec::new(),
    };
    Ok(project)
}

/// What the server has against the project is told with the project's file, all else with the server.
fn explain(remote: &Remote, project: &Project, error: DeployError) -> Failure {
    let cause = match &error {
        DeployError::Script(cause) | DeployError::Crons(cause) | DeployError::Workflow(_, cause) => cause,
    };
    let is_about_project = matches!(cause, RequestError::Refused { status, .. } if ![401, 403].contains(status))
        && !cause.is(ApiError::Internal);
    match error {
        error if is_about_project => error.about(project),
        DeployError::Script(cause) | DeployError::Crons(cause) | DeployError::Workflow(_, cause) => {
            remote.failure(cause, &format!("Deploying \"{}\"", project.config.name))
        }
    }
}

fn size(bundle: &Bundle) -> String {
    let bytes: usize = bundle.modules.iter().map(|module| module.content.len()).sum();
    format!("{}.{} KiB", bytes / 1024, bytes % 1024 * 10 / 1024)
}

fn print_plan(remote: &Remote, project: &Project, bundle: &Bundle) -> Result<(), Failure> {
    let config = &project.config;
    let workflows: Vec<_> = config.defined_workflows().collect();
    if remote.output.form() == Form::Json {
        let workflows: Vec<_> = workflows
            .iter()
            .map(|workflow| json!({ "name": workflow.name, "class_name": workflow.class_name }))
            .collect();
        let modules: Vec<_> = bundle
            .modules
            .iter()
            .map(|module| json!({ "name": module.name, "bytes": module.content.len() }))
            .collect();
        let names: Vec<_> = project.secrets.iter().map(|(name, _)| name).collect();
        let plan = json!({ "dry_run": true, "script": config.name, "modules": modules, "workflows": workflows, "secrets": names });
        return remote.output.text(&plan.to_string());
    }
    let style = remote.output.style();
    let secrets: Vec<&str> = project.secrets.iter().map(|(name, _)| name.as_str()).collect();
    let mut text = facts(
        style,
        &[
            ("script", (Look::Strong, config.name.clone())),
            (
                "size",
                cell(format!("{} in {} modules", size(bundle), bundle.modules.len())),
            ),
            ("secrets", cell(secrets.join(", "))),
            (
                "to",
                cell(format!(
                    "{}, account {}",
                    remote.api.origin(),
                    remote.api.account()
                )),
            ),
        ],
    );
    let rows: Vec<_> = workflows
        .iter()
        .map(|workflow| vec![cell(&workflow.name), cell(&workflow.class_name)])
        .collect();
    if !rows.is_empty() {
        text.push_str(&format!("\n{}", table(style, &["WORKFLOW", "CLASS"], &rows)));
    }
    remote.output.text(&text)?;
    remote
        .terminal
        .line("This was a dry run: it builds, and nothing was sent.");
    Ok(())
}

fn print(remote: &Remote, project: &Project, deployed: &Deployed) -> Result<(), Failure> {
    let url = url(remote.api.origin(), &project.config.name, deployed);
    if remote.output.form() == Form::Json {
        let result = json!({ "script": deployed.script, "workflows": deployed.workflows, "url": url });
        return remote.output.text(&result.to_string());
    }
    remote.output.text(&shown(remote.output.style(), deployed, url))?;
    if let Some(workflow) = deployed.workflows.first() {
        remote.terminal.line(&format!(
            "\nTo start an instance: cairn workflows trigger {} --wait",
            workflow.name
        ));
    }
    Ok(())
}

fn shown(style: Style, deployed: &Deployed, url: Option<String>) -> String {
    let script = &deployed.script;
    let mut text = facts(
        style,
        &[
            ("deployed", (Look::Strong, script.id.clone())),
            ("version", cell(&script.deployment_id)),
            ("url", cell(url.unwrap_or_default())),
        ],
    );
    let rows: Vec<_> = deployed
        .workflows
        .iter()
        .map(|put| vec![cell(&put.name), cell(&put.class_name), cell(&put.version_id)])
        .collect();
    if !rows.is_empty() {
        text.push_str(&format!(
            "\n{}",
            table(style, &["WORKFLOW", "CLASS", "VERSION"], &rows)
        ));
    }
    text
}

/// Where the Worker's own `fetch` answers, where that can be told: a server elsewhere may have any name.
fn url(origin: &str, script: &str, deployed: &Deployed) -> Option<String> {
    let answers = deployed.script.handlers.iter().any(|handler| handler == "fetch");
    let url = reqwest::Url::parse(origin).ok()?;
    if !answers || !is_loopback(origin) {
        return None;
    }
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://{script}.localhost{port}/", url.scheme()))
}
