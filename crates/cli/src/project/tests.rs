//! Projects on disk: what is read, and what the errors say.

use super::*;
use serde_json::json;

fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn failure(files: &[(&str, &str)]) -> String {
    let folder = project(files);
    Project::read(folder.path()).unwrap_err().to_string()
}

const FULL: &str = r#"{
  // a comment
  "name": "shop", "main": "src/index.ts", "compatibility_date": "2026-11-01",
  "compatibility_flags": ["nodejs_compat"],
  "vars": { "A": "text", "B": { "c": 1 } },
  "rules": [{ "type": "Text", "globs": ["**/*.md"], "fallthrough": true }],
  "kv_namespaces": [],
  "workflows": [
    { "binding": "ORDER", "name": "order", "class_name": "Order", "schedules": "0 * * * *", "limits": { "steps": 20 } },
    { "binding": "OTHER", "name": "other", "class_name": "Other", "script_name": "elsewhere" },
  ],
}"#;

#[test]
fn a_jsonc_configuration_is_read_in_full() {
    let folder = project(&[
        ("wrangler.jsonc", FULL),
        ("wrangler.toml", "broken ["),
        ("src/index.ts", ""),
        (".dev.vars", "KEY=secret"),
    ]);
    let project = Project::read(folder.path()).unwrap();
    let config = &project.config;
    assert_eq!(config.name, "shop");
    assert_eq!(config.compatibility_flags, ["nodejs_compat"]);
    assert_eq!(config.vars["B"], json!({ "c": 1 }));
    assert_eq!(project.secrets, [("KEY".to_owned(), "secret".to_owned())]);
    assert!(config.rules.iter().any(|rule| rule.ending == ".md"));
    assert!(config.rules.iter().any(|rule| rule.ending == ".wasm"));
    let order = project.workflow(None).unwrap();
    assert_eq!(order.name, "order");
    assert_eq!(order.settings["schedules"], json!([{ "cron": "0 * * * *" }]));
    assert_eq!(order.settings["limits"], json!({ "steps": 20 }));
    assert_eq!(config.workflows[1].script_name.as_deref(), Some("elsewhere"));
}

#[test]
fn a_toml_configuration_is_read_with_its_dates() {
    let toml = "name = \"shop\"\nmain = \"index.js\"\ncompatibility_date = 2026-11-01\n[[workflows]]\nbinding = \"A\"\nname = \"a\"\nclass_name = \"A\"\n";
    let folder = project(&[("wrangler.toml", toml), ("index.js", "")]);
    let project = Project::read(&folder.path().join("wrangler.toml")).unwrap();
    assert_eq!(project.config.compatibility_date, "2026-11-01");
    assert_eq!(project.workflow(Some("a")).unwrap().class_name, "A");
}

#[test]
fn an_exported_workflow_needs_no_binding() {
    let text = r#"{ "name": "x", "main": "i.js", "compatibility_date": "2026-11-01",
        "exports": { "Flow": { "type": "workflow", "name": "flow" }, "Thing": { "type": "durable-object" } } }"#;
    let folder = project(&[("wrangler.json", text), ("i.js", "")]);
    let project = Project::read(folder.path()).unwrap();
    assert_eq!(project.config.workflows.len(), 1);
    assert_eq!(project.workflow(None).unwrap().class_name, "Flow");
}

#[test]
fn a_folder_without_a_configuration_is_told_what_was_looked_for() {
    let text = failure(&[]);
    assert!(
        text.contains("no wrangler.jsonc, no wrangler.json, no wrangler.toml"),
        "{text}"
    );
    let missing = Project::read(Path::new("/nowhere/at/all"))
        .unwrap_err()
        .to_string();
    assert!(missing.contains("no project at /nowhere/at/all"), "{missing}");
}

#[test]
fn a_syntax_error_has_its_line() {
    let text = failure(&[("wrangler.jsonc", "{\n  \"name\": \"x\",\n  \"main\" \"y\"\n}")]);
    assert!(text.contains("wrangler.jsonc:3:"), "{text}");
    let text = failure(&[("wrangler.toml", "name = \"x\"\nmain = = 3\n")]);
    assert!(text.contains("wrangler.toml:2:8"), "{text}");
    let text = failure(&[("wrangler.json", "[1]")]);
    assert!(text.contains("holds no object"), "{text}");
}

#[test]
fn missing_and_mistyped_keys_are_named_with_their_place() {
    let text = failure(&[("wrangler.json", r#"{ "name": 3 }"#)]);
    assert!(
        text.contains("\"name\"") && text.contains("but is a number"),
        "{text}"
    );
    let text = failure(&[("wrangler.json", r#"{ "name": "x", "main": "gone.ts" }"#)]);
    assert!(text.contains("gone.ts"), "{text}");
    let text = failure(&[
        (
            "wrangler.json",
            r#"{ "name": "x", "main": "i.js", "compatibility_date": "2026-11-01", "workflows": [{ "binding": "A", "name": "a" }] }"#,
        ),
        ("i.js", ""),
    ]);
    assert!(text.contains("workflows[0].class_name"), "{text}");
}

#[test]
fn bindings_that_are_not_here_are_all_named() {
    let text = failure(&[(
        "wrangler.json",
        r#"{ "kv_namespaces": [{ "binding": "KV" }], "durable_objects": { "bindings": [{ "name": "D" }] }, "queues": { "producers": [] } }"#,
    )]);
    assert!(text.contains("durable_objects, kv_namespaces"), "{text}");
    assert!(!text.contains("queues"), "{text}");
}

#[test]
fn a_choice_of_workflows_is_left_to_the_user() {
    let text = r#"{ "name": "x", "main": "i.js", "compatibility_date": "2026-11-01", "workflows": [
        { "binding": "A", "name": "a", "class_name": "A" }, { "binding": "B", "name": "b", "class_name": "B" }] }"#;
    let folder = project(&[("wrangler.json", text), ("i.js", "")]);
    let project = Project::read(folder.path()).unwrap();
    let several = project.workflow(None).unwrap_err().to_string();
    assert!(
        several.contains("a, b") && several.contains("--workflow"),
        "{several}"
    );
    let none = project.workflow(Some("c")).unwrap_err().to_string();
    assert!(
        none.contains("no workflow \"c\"") && none.contains("a, b"),
        "{none}"
    );
}
