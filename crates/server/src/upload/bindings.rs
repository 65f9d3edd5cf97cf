//! Bindings of an upload: those that Cairn has, those taken over from the deployed version, and the refusal of all others.

use super::form::Part;
use super::metadata::RawBinding;
use super::{Metadata, refused};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cairn_api::{ApiError, Failure};
use cairn_engine::{ScriptBinding, SecretText, check_workflow_name};
use std::collections::HashSet;

const KNOWN: &str =
    "plain_text, json, secret_text, text_blob, data_blob, wasm_module, workflow, service and inherit";

/// Bindings of the newest version, and which of them stay without being named.
pub(super) struct Earlier {
    bindings: Vec<ScriptBinding>,
    keeps_text: bool,
    keeps_json: bool,
}

impl Earlier {
    pub(super) fn new(bindings: Vec<ScriptBinding>, metadata: &Metadata) -> Self {
        Self {
            bindings,
            keeps_text: metadata.keeps("plain_text"),
            keeps_json: metadata.keeps("json"),
        }
    }

    fn keeps(&self, binding: &ScriptBinding) -> bool {
        match binding {
            ScriptBinding::PlainText { .. } => self.keeps_text,
            ScriptBinding::Json { .. } => self.keeps_json,
            // Secrets are kept by the engine.
            ScriptBinding::SecretText { .. }
            | ScriptBinding::DataBlob { .. }
            | ScriptBinding::WasmModule { .. }
            | ScriptBinding::Workflow { .. }
            | ScriptBinding::Service { .. } => false,
        }
    }
}

/// The bindings, and the names of the parts that are contents of bindings.
pub(super) fn read(
    raw: Vec<RawBinding>,
    parts: &[Part],
    earlier: &Earlier,
) -> Result<(Vec<ScriptBinding>, HashSet<String>), Failure> {
    let mut bindings: Vec<ScriptBinding> = Vec::with_capacity(raw.len());
    let mut used = HashSet::new();
    let mut names = HashSet::new();
    for one in raw {
        if !names.insert(one.name.clone()) {
            return Err(refused(format!("the binding \"{}\" is there twice", one.name)));
        }
        used.extend(one.part.clone());
        bindings.push(binding(one, parts, earlier)?);
    }
    for kept in &earlier.bindings {
        if earlier.keeps(kept) && !names.contains(kept.name()) {
            bindings.push(kept.clone());
        }
    }
    Ok((bindings, used))
}

fn binding(raw: RawBinding, parts: &[Part], earlier: &Earlier) -> Result<ScriptBinding, Failure> {
    let name = raw.name.clone();
    let missing = |field: &str| {
        refused(format!(
            "the binding \"{name}\" of type \"{}\" has no \"{field}\"",
            raw.kind
        ))
    };
    let part = || -> Result<&Part, Failure> {
        let wanted = raw.part.as_deref().ok_or_else(|| missing("part"))?;
        let part = parts.iter().find(|part| part.name == wanted);
        part.ok_or_else(|| {
            refused(format!(
                "the binding \"{name}\" names the part \"{wanted}\", which is not there"
            ))
        })
    };
    match raw.kind.as_str() {
        "plain_text" => Ok(ScriptBinding::PlainText {
            text: raw.text.clone().ok_or_else(|| missing("text"))?,
            name,
        }),
        "secret_text" => Ok(ScriptBinding::SecretText {
            text: SecretText::Plain(raw.text.clone().ok_or_else(|| missing("text"))?),
            name,
        }),
        "json" => {
            let json = raw
                .json
                .as_ref()
                .map_or_else(|| "null".to_owned(), |json| json.get().to_owned());
            Ok(ScriptBinding::Json { name, json })
        }
        "text_blob" => {
            let text = String::from_utf8(part()?.content.to_vec()).map_err(|error| {
                refused(format!(
                    "the binding \"{name}\" of type \"text_blob\" is not UTF-8: {error}"
                ))
            })?;
            Ok(ScriptBinding::PlainText { name, text })
        }
        "data_blob" => Ok(ScriptBinding::DataBlob {
            data: BASE64.encode(&part()?.content),
            name,
        }),
        "wasm_module" => Ok(ScriptBinding::WasmModule {
            data: BASE64.encode(&part()?.content),
            name,
        }),
        "workflow" => workflow(raw),
        "service" => service(raw),
        "inherit" => inherited(&raw, earlier),
        other => Err(refused(format!(
            "the binding \"{name}\" has the type \"{other}\", which is not available here; available are {KNOWN}. \
             Remove the binding from the configuration, or do without it in this environment"
        ))),
    }
}

fn workflow(raw: RawBinding) -> Result<ScriptBinding, Failure> {
    let name = raw.name;
    let workflow_name = raw.workflow_name.ok_or_else(|| {
        refused(format!(
            "the binding \"{name}\" of type \"workflow\" has no \"workflow_name\""
        ))
    })?;
    check_workflow_name(&workflow_name).map_err(|reason| {
        refused(format!(
            "the binding \"{name}\" names the workflow \"{workflow_name}\": {reason}"
        ))
    })?;
    Ok(ScriptBinding::Workflow {
        name,
        workflow_name,
        class_name: raw.class_name,
        script_name: raw.script_name,
    })
}

/// Another Worker. It need not be there yet: two Workers may bind each other.
fn service(raw: RawBinding) -> Result<ScriptBinding, Failure> {
    let name = raw.name;
    let wrong = |what: &str| refused(format!("the binding \"{name}\" of type \"service\" {what}"));
    let service = raw.service.filter(|service| !service.is_empty());
    let service = service.ok_or_else(|| wrong("has no \"service\""))?;
    if let Some(environment) = raw
        .environment
        .filter(|named| !named.is_empty() && named != "production")
    {
        return Err(wrong(&format!(
            "names the environment \"{environment}\", but environments of a service are not available here; \
             name the Worker of that environment instead, such as \"{service}-{environment}\""
        )));
    }
    if raw.cross_account_grant.is_some() {
        return Err(wrong(
            "reaches into another account, which is not available here; deploy the Worker in this account too",
        ));
    }
    let props = raw
        .props
        .map(|props| props.get().to_owned())
        .filter(|props| props != "null");
    if props.as_ref().is_some_and(|props| !props.starts_with('{')) {
        return Err(wrong("has \"props\" that are not an object"));
    }
    Ok(ScriptBinding::Service {
        entrypoint: raw
            .entrypoint
            .filter(|entrypoint| !entrypoint.is_empty() && entrypoint != "default"),
        name,
        service,
        props,
    })
}

/// A binding of the newest version, under its old name or a new one.
fn inherited(raw: &RawBinding, earlier: &Earlier) -> Result<ScriptBinding, Failure> {
    let old = raw.old_name.as_deref().unwrap_or(&raw.name);
    let found = earlier.bindings.iter().find(|binding| binding.name() == old);
    let mut found = found.cloned().ok_or_else(|| {
        Failure::new(
            ApiError::InheritInvalid,
            format!(
                "inherit binding '{}' is invalid: the newest version has no binding \"{old}\"; \
                 give its value (for a required secret: wrangler deploy --secrets-file)",
                raw.name
            ),
        )
    })?;
    match &mut found {
        ScriptBinding::PlainText { name, .. }
        | ScriptBinding::SecretText { name, .. }
        | ScriptBinding::Json { name, .. }
        | ScriptBinding::DataBlob { name, .. }
        | ScriptBinding::WasmModule { name, .. }
        | ScriptBinding::Workflow { name, .. }
        | ScriptBinding::Service { name, .. } => name.clone_from(&raw.name),
    }
    Ok(found)
}
