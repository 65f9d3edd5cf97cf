//! Deploys a bundled project over HTTP: the upload that wrangler makes, then its workflows.

use crate::bundle::Bundle;
use crate::client::{Api, RequestError};
use crate::failure::Failure;
use crate::project::{Project, WorkflowConfig};
use cairn_api::{PutResult, ScriptUploaded};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

/// What is said of a version, and what becomes of the secrets that it does not name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Release {
    /// What it is about.
    pub(crate) message: Option<String>,
    /// Its tag.
    pub(crate) tag: Option<String>,
    /// What becomes of secrets of the version before.
    pub(crate) secrets: OldSecrets,
}

/// What becomes of the secrets of the version before that are not given again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum OldSecrets {
    /// They go.
    #[default]
    Drop,
    /// They stay.
    Keep,
}

/// What was deployed.
#[derive(Debug)]
pub(crate) struct Deployed {
    /// The script.
    pub(crate) script: ScriptUploaded,
    /// Its workflows.
    pub(crate) workflows: Vec<PutResult>,
}

/// A deployment that was not done.
#[derive(Debug)]
pub(crate) enum DeployError {
    /// The script was refused.
    Script(RequestError),
    /// Its cron triggers were refused; the script is deployed.
    Crons(RequestError),
    /// A workflow was refused; the script is deployed.
    Workflow(String, RequestError),
}

/// Deploys a project and every workflow whose class it has, with its own secrets and no others.
///
/// # Errors
/// When the server refuses the script or a workflow.
pub(crate) async fn deploy(api: &Api, project: &Project, bundle: &Bundle) -> Result<(), Failure> {
    let deployed = release(api, project, (bundle, &Release::default())).await;
    deployed.map(|_| ()).map_err(|error| error.about(project))
}

impl DeployError {
    /// As a failure of deploying a project.
    pub(crate) fn about(self, project: &Project) -> Failure {
        let file = project.file.display();
        match self {
            Self::Script(error) => error.while_doing(
                &format!("Deploying \"{}\"", project.config.name),
                &format!("Mend the source or {file} and try again."),
            ),
            Self::Crons(error) => error.while_doing(
                &format!("Setting the cron triggers of \"{}\"", project.config.name),
                &format!("Correct \"triggers.crons\" in {file}."),
            ),
            Self::Workflow(name, error) => error.while_doing(
                &format!("Setting up workflow \"{name}\""),
                &format!("Correct \"workflows\" in {file}."),
            ),
        }
    }
}

/// Deploys a project and every workflow whose class it has.
///
/// # Errors
/// When the server refuses the script or a workflow.
pub(crate) async fn release(
    api: &Api,
    project: &Project,
    (bundle, release): (&Bundle, &Release),
) -> Result<Deployed, DeployError> {
    let name = &project.config.name;
    let form = form(project, (bundle, release)).map_err(DeployError::Script)?;
    let script = api.put_script(name, form).await.map_err(DeployError::Script)?;
    if let Some(crons) = &project.config.crons {
        api.put_crons(name, crons).await.map_err(DeployError::Crons)?;
    }
    let mut workflows = Vec::new();
    for workflow in project.config.defined_workflows() {
        let mut body = workflow.settings.clone();
        body.insert("script_name".into(), name.as_str().into());
        body.insert("class_name".into(), workflow.class_name.as_str().into());
        let put = api.put_workflow(&workflow.name, &Value::Object(body)).await;
        workflows.push(put.map_err(|error| DeployError::Workflow(workflow.name.clone(), error))?);
    }
    Ok(Deployed { script, workflows })
}

fn form(project: &Project, (bundle, release): (&Bundle, &Release)) -> Result<Form, RequestError> {
    let metadata = metadata(project, (bundle, release)).to_string();
    let mut form = Form::new().part("metadata", part(metadata.into_bytes(), "application/json")?);
    for module in &bundle.modules {
        let part = part(module.content.clone(), module.media_type)?.file_name(module.name.clone());
        form = form.part(module.name.clone(), part);
    }
    Ok(form)
}

fn part(content: Vec<u8>, media_type: &str) -> Result<Part, RequestError> {
    Part::bytes(content)
        .mime_str(media_type)
        .map_err(|error| RequestError::Broken(error.to_string()))
}

fn metadata(project: &Project, (bundle, release): (&Bundle, &Release)) -> Value {
    let mut metadata = json!({
        "main_module": bundle.main,
        "bindings": bindings(project),
        "exports": exports(project),
        "compatibility_date": project.config.compatibility_date,
        "compatibility_flags": project.config.compatibility_flags,
    });
    if release.secrets == OldSecrets::Keep {
        metadata["keep_bindings"] = json!(["secret_text", "secret_key"]);
    }
    let notes = [
        ("workers/message", &release.message),
        ("workers/tag", &release.tag),
    ];
    for (name, text) in notes {
        if let Some(text) = text {
            metadata["annotations"][name] = text.as_str().into();
        }
    }
    metadata
}

/// The workflows of `exports`, with the settings that are put for each of them later: what is put twice alike changes nothing.
fn exports(project: &Project) -> Value {
    let exported = project
        .config
        .own_workflows()
        .filter(|workflow| workflow.binding.is_none());
    let entry = |workflow: &WorkflowConfig| {
        let mut entry = workflow.settings.clone();
        if let Some(Value::Array(schedules)) = entry.get_mut("schedules") {
            for schedule in schedules {
                *schedule = schedule["cron"].take();
            }
        }
        entry.insert("type".into(), "workflow".into());
        entry.insert("name".into(), workflow.name.as_str().into());
        (workflow.class_name.clone(), Value::Object(entry))
    };
    Value::Object(exported.map(entry).collect())
}

/// What `env` is to hold. A secret of `.dev.vars` stands before a variable of its name, as with `wrangler dev`.
fn bindings(project: &Project) -> Vec<Value> {
    let mut bindings = Vec::new();
    for workflow in &project.config.workflows {
        let Some(binding) = &workflow.binding else {
            continue;
        };
        let mut entry = json!({
            "type": "workflow",
            "name": binding,
            "workflow_name": workflow.name,
            "class_name": workflow.class_name,
        });
        if let Some(script) = &workflow.script_name {
            entry["script_name"] = script.as_str().into();
        }
        bindings.push(entry);
    }
    for service in &project.config.services {
        let mut entry = json!({ "type": "service", "name": service.binding, "service": service.service });
        if let Some(entrypoint) = &service.entrypoint {
            entry["entrypoint"] = entrypoint.as_str().into();
        }
        if let Some(props) = &service.props {
            entry["props"] = props.clone().into();
        }
        bindings.push(entry);
    }
    for (name, value) in &project.config.vars {
        if project.secrets.iter().any(|(secret, _)| secret == name) {
            continue;
        }
        bindings.push(match value {
            Value::String(text) => json!({ "type": "plain_text", "name": name, "text": text }),
            other => json!({ "type": "json", "name": name, "json": other }),
        });
    }
    for (name, text) in &project.secrets {
        bindings.push(json!({ "type": "secret_text", "name": name, "text": text }));
    }
    bindings
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn services_crons_and_what_is_said_of_a_version_travel_along() {
        let folder = tempfile::tempdir().unwrap();
        let configuration = r#"{
            "name": "shop", "main": "index.js", "compatibility_date": "2026-11-01",
            "services": [
                { "binding": "MAIL", "service": "mail", "entrypoint": "Outbox", "props": { "from": "shop" } },
                { "binding": "BARE", "service": "bare" }
            ],
            "triggers": { "crons": ["0 * * * *"] }
        }"#;
        fs::write(folder.path().join("wrangler.json"), configuration).unwrap();
        fs::write(folder.path().join("index.js"), "").unwrap();
        let project = Project::read(folder.path()).unwrap();
        assert_eq!(project.config.crons, Some(vec!["0 * * * *".to_owned()]));
        let bundle = Bundle {
            main: "index.js".into(),
            modules: Vec::new(),
            exports: Vec::new(),
            sources: std::collections::BTreeSet::default(),
        };
        let release = Release {
            message: Some("why".into()),
            tag: None,
            secrets: OldSecrets::Keep,
        };
        let metadata = metadata(&project, (&bundle, &release));
        assert_eq!(
            metadata["bindings"],
            json!([
                { "type": "service", "name": "MAIL", "service": "mail", "entrypoint": "Outbox", "props": { "from": "shop" } },
                { "type": "service", "name": "BARE", "service": "bare" },
            ])
        );
        assert_eq!(metadata["annotations"], json!({ "workers/message": "why" }));
        assert_eq!(metadata["keep_bindings"], json!(["secret_text", "secret_key"]));
    }

    #[test]
    fn declared_workflows_travel_with_their_settings_and_are_put_once() {
        let folder = tempfile::tempdir().unwrap();
        let configuration = r#"{
            "name": "shop", "main": "index.js", "compatibility_date": "2026-11-01",
            "workflows": [
                { "binding": "ORDER", "name": "order", "class_name": "Order" },
                { "binding": "BOUND", "name": "bound", "class_name": "Bound" }
            ],
            "exports": {
                "Order": { "type": "workflow", "name": "order", "schedules": "0 * * * *", "limits": { "steps": 9 } },
                "Plain": { "type": "worker" }
            }
        }"#;
        fs::write(folder.path().join("wrangler.json"), configuration).unwrap();
        fs::write(folder.path().join("index.js"), "").unwrap();
        let project = Project::read(folder.path()).unwrap();
        assert_eq!(
            exports(&project),
            json!({ "Order": { "type": "workflow", "name": "order", "schedules": ["0 * * * *"], "limits": { "steps": 9 } } })
        );
        let put: Vec<(&str, bool)> = project
            .config
            .defined_workflows()
            .map(|workflow| (workflow.name.as_str(), workflow.settings.is_empty()))
            .collect();
        assert_eq!(put, [("bound", true), ("order", false)]);
    }
}
