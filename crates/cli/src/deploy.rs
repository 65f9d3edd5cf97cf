//! Deploys a bundled project over HTTP: the upload that wrangler makes, then its workflows.

use crate::bundle::Bundle;
use crate::client::{Api, RequestError};
use crate::failure::Failure;
use crate::project::{Project, WorkflowConfig};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

/// Deploys a project and every workflow whose class it has.
///
/// # Errors
/// When the server refuses the script or a workflow.
pub(crate) async fn deploy(api: &Api, project: &Project, bundle: &Bundle) -> Result<(), Failure> {
    let name = &project.config.name;
    let refused = |error: RequestError| {
        error.while_doing(
            &format!("Deploying \"{name}\""),
            &format!("Mend the source or {} and try again.", project.file.display()),
        )
    };
    let form = form(project, bundle).map_err(refused)?;
    api.put_script(name, form).await.map_err(refused)?;
    for workflow in project.config.defined_workflows() {
        let mut body = workflow.settings.clone();
        body.insert("script_name".into(), name.as_str().into());
        body.insert("class_name".into(), workflow.class_name.as_str().into());
        let put = api.put_workflow(&workflow.name, &Value::Object(body)).await;
        put.map_err(|error| {
            error.while_doing(
                &format!("Setting up workflow \"{}\"", workflow.name),
                &format!("Correct \"workflows\" in {}.", project.file.display()),
            )
        })?;
    }
    Ok(())
}

fn form(project: &Project, bundle: &Bundle) -> Result<Form, RequestError> {
    let metadata = metadata(project, bundle).to_string();
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

fn metadata(project: &Project, bundle: &Bundle) -> Value {
    json!({
        "main_module": bundle.main,
        "bindings": bindings(project),
        "exports": exports(project),
        "compatibility_date": project.config.compatibility_date,
        "compatibility_flags": project.config.compatibility_flags,
    })
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
