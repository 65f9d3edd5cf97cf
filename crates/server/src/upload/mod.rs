//! An upload: from the multipart body to what the engine keeps.

mod amend;
mod bindings;
mod form;
mod metadata;

pub(crate) use amend::{amended, is_of_version, settings_part};
pub(crate) use form::{Form, read, read_parts};
pub(crate) use metadata::Metadata;

use crate::routes::WorkflowExport;
use bindings::Earlier;
use cairn_api::{ApiError, Failure};
use cairn_engine::{EarlierSecrets, Module, ModuleKind, ScriptBinding, Upload};
use std::collections::HashSet;

/// An upload that was checked for form, and the workflows it asks for.
#[derive(Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) upload: Upload,
    /// Workflows of `exports`, by their class.
    pub(crate) workflows: Vec<(String, WorkflowExport)>,
}

/// The upload is refused; the text is for its author.
fn refused(explanation: impl Into<String>) -> Failure {
    Failure::new(ApiError::ScriptInvalid, explanation)
}

/// Checks an upload. `earlier` are the bindings of the newest version, which may be taken over.
pub(crate) fn plan(form: Form, earlier: Vec<ScriptBinding>) -> Result<Plan, Failure> {
    let Form { metadata, parts } = form;
    metadata.refuse_what_would_be_missed()?;
    let compatibility_date = metadata.compatibility_date()?;
    let main_module = metadata.main_module()?;
    let keeps_secrets = metadata.keeps("secret_text");
    let earlier = Earlier::new(earlier, &metadata);
    let workflows = metadata.workflows()?;
    let annotations = metadata.annotations.as_ref().map(|raw| raw.get().to_owned());
    let compatibility_flags = metadata.compatibility_flags;
    let (bindings, used_parts) = bindings::read(metadata.bindings, &parts, &earlier)?;
    let mut modules = Vec::with_capacity(parts.len());
    let mut names = HashSet::new();
    for part in parts {
        if used_parts.contains(&part.name) {
            continue;
        }
        if !names.insert(part.name.clone()) {
            return Err(refused(format!("the module \"{}\" is there twice", part.name)));
        }
        if let Some(kind) = part.kind()? {
            modules.push(Module {
                name: part.name,
                kind,
                content: part.content,
            });
        }
    }
    match modules.iter().find(|module| module.name == main_module) {
        Some(main) if main.kind == ModuleKind::EsModule => {}
        Some(_) => {
            return Err(refused(format!(
                "the main module \"{main_module}\" is not of type application/javascript+module"
            )));
        }
        None => {
            return Err(refused(format!(
                "main_module is \"{main_module}\", but no part has this name"
            )));
        }
    }
    let upload = Upload {
        main_module,
        modules,
        bindings,
        workflow_exports: workflows
            .iter()
            .map(|(class, export)| (class.clone(), export.name.clone()))
            .collect(),
        secrets: if keeps_secrets {
            EarlierSecrets::Keep
        } else {
            EarlierSecrets::Drop
        },
        compatibility_date,
        compatibility_flags,
        annotations,
    };
    Ok(Plan { upload, workflows })
}

#[cfg(test)]
mod tests;
