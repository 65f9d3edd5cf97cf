//! Uploads as wrangler makes them, and ones that are refused.

use super::form::Part;
use super::*;
use cairn_engine::{ScriptBinding, SecretText};

fn form(metadata: &str, parts: &[(&str, &str, &str)]) -> Form {
    Form {
        metadata: serde_json::from_str(metadata).unwrap(),
        parts: parts
            .iter()
            .map(|(name, content_type, content)| Part {
                name: (*name).into(),
                content_type: (*content_type).into(),
                content: (*content).to_owned().into(),
            })
            .collect(),
    }
}

const MAIN: (&str, &str, &str) = ("index.js", "application/javascript+module", "export default {}");

fn with_bindings(bindings: &str) -> String {
    format!(
        r#"{{"main_module":"index.js","compatibility_date":"2026-08-01","compatibility_flags":["nodejs_compat"],
            "keep_bindings":["secret_text","secret_key"],"observability":{{"enabled":true}},"bindings":{bindings}}}"#
    )
}

fn refusal(metadata: &str, parts: &[(&str, &str, &str)]) -> String {
    let failure = plan(form(metadata, parts), Vec::new()).unwrap_err();
    assert_eq!(failure.error, ApiError::ScriptInvalid);
    failure.explanation
}

#[test]
fn all_that_wrangler_sends() {
    let metadata = with_bindings(
        r#"[{"type":"plain_text","name":"A","text":"x"},{"type":"json","name":"B","json":{"z":1,"a":2}},
            {"type":"workflow","name":"W","workflow_name":"my-wf","class_name":"MyWorkflow"},
            {"type":"wasm_module","name":"M","part":"M"}]"#,
    );
    let parts = [
        MAIN,
        ("M", "application/wasm", "\0asm"),
        ("index.js.map", "application/source-map", "{}"),
    ];
    let plan = plan(form(&metadata, &parts), Vec::new()).unwrap();
    assert_eq!(plan.upload.secrets, EarlierSecrets::Keep);
    assert_eq!(plan.upload.modules.len(), 1);
    assert_eq!(
        plan.upload.bindings[1],
        ScriptBinding::Json {
            name: "B".into(),
            json: r#"{"z":1,"a":2}"#.into()
        }
    );
    assert_eq!(
        plan.upload.bindings[3],
        ScriptBinding::WasmModule {
            name: "M".into(),
            data: "AGFzbQ==".into()
        }
    );
}

#[test]
fn bindings_that_are_not_there_are_named() {
    for kind in [
        "kv_namespace",
        "r2_bucket",
        "d1",
        "durable_object_namespace",
        "queue",
        "ai",
        "service",
    ] {
        let text = refusal(
            &with_bindings(&format!(r#"[{{"type":"{kind}","name":"STUFF","id":"1"}}]"#)),
            &[MAIN],
        );
        assert!(
            text.contains("\"STUFF\"") && text.contains(&format!("\"{kind}\"")),
            "{text}"
        );
    }
}

#[test]
fn what_would_be_missed_is_refused() {
    for (field, value) in [
        ("migrations", r#"{"new_tag":"v1"}"#),
        ("assets", "{}"),
        ("tail_consumers", r#"[{"service":"x"}]"#),
        ("exports", r#"{"Room":{"type":"durable-object"}}"#),
    ] {
        let text = refusal(
            &format!(r#"{{"main_module":"index.js","compatibility_date":"2026-08-01","{field}":{value}}}"#),
            &[MAIN],
        );
        assert!(text.contains(field), "{text}");
    }
    let empty = r#"{"main_module":"index.js","compatibility_date":"2026-08-01","tail_consumers":[]}"#;
    assert!(plan(form(empty, &[MAIN]), Vec::new()).is_ok());
}

#[test]
fn modules_and_dates_are_checked() {
    let good = with_bindings("[]");
    assert!(refusal(&good, &[]).contains("no part has this name"));
    assert!(refusal(&good, &[MAIN, MAIN]).contains("twice"));
    assert!(refusal(&good, &[MAIN, ("a.py", "text/x-python", "")]).contains("Python"));
    assert!(refusal(&good, &[MAIN, ("a", "image/png", "")]).contains("image/png"));
    assert!(refusal(&good, &[("index.js", "application/javascript", "")]).contains("javascript+module"));
    assert!(
        refusal(
            r#"{"body_part":"index.js","compatibility_date":"2026-08-01"}"#,
            &[MAIN]
        )
        .contains("service-worker")
    );
    let undated = plan(form(r#"{"main_module":"index.js"}"#, &[MAIN]), Vec::new()).unwrap();
    assert_eq!(undated.upload.compatibility_date, "2021-11-02");
    for bad in ["2026-8-1", "2026-13-01", "soon"] {
        let metadata = format!(r#"{{"main_module":"index.js","compatibility_date":"{bad}"}}"#);
        assert!(refusal(&metadata, &[MAIN]).contains(bad));
    }
}

#[test]
fn bindings_are_inherited_and_kept() {
    let text = |name: &str| ScriptBinding::PlainText {
        name: name.into(),
        text: "v".into(),
    };
    let earlier = || {
        vec![
            text("OLD"),
            ScriptBinding::SecretText {
                name: "S".into(),
                text: SecretText::Plain("s".into()),
            },
        ]
    };
    let inherit =
        with_bindings(r#"[{"type":"inherit","name":"S"},{"type":"inherit","name":"NEW","old_name":"OLD"}]"#);
    let inherited = plan(form(&inherit, &[MAIN]), earlier()).unwrap().upload.bindings;
    assert_eq!(inherited[1], text("NEW"));
    assert_eq!(inherited[0].name(), "S");
    let nothing = plan(form(&inherit, &[MAIN]), Vec::new()).unwrap_err();
    assert_eq!(nothing.error, ApiError::InheritInvalid);
    assert!(nothing.explanation.starts_with("inherit binding 'S' is invalid"));
    let keep = r#"{"main_module":"index.js","compatibility_date":"2026-08-01","keep_bindings":["plain_text","json"]}"#;
    let kept = plan(form(keep, &[MAIN]), earlier()).unwrap().upload;
    assert_eq!(
        (kept.bindings, kept.secrets),
        (vec![text("OLD")], EarlierSecrets::Drop)
    );
}

#[test]
fn exported_workflows() {
    let metadata = r#"{"main_module":"index.js","compatibility_date":"2026-08-01",
        "exports":{"MyWorkflow":{"type":"workflow","name":"my-wf","limits":{"steps":100}}}}"#;
    let mut plan = plan(form(metadata, &[MAIN]), Vec::new()).unwrap();
    let (class, export) = plan.workflows.remove(0);
    let put = export.put("s", &class).unwrap();
    assert_eq!(
        (put.class_name.as_str(), put.settings.steps),
        ("MyWorkflow", Some(100))
    );
}
