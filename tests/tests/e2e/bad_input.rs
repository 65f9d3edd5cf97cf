//! What a user gets wrong: each is told with a reason and a way on, prints nothing as a result, and exits with 2.

use cairn_tests::{Ended, Scratch, cairn, example};
use std::path::Path;

const GOOD: &str = r#"
    import { WorkflowEntrypoint } from "cloudflare:workers";
    export class Flow extends WorkflowEntrypoint { async run() { return 1; } }
    export default {};"#;

async fn refused(project: &Path, arguments: &[&str]) -> String {
    let data = Scratch::new();
    let Ended { stdout, stderr, .. } = cairn!()
        .run_project(project, data.path(), arguments)
        .await
        .expect(2);
    assert_eq!(stdout, "");
    assert!(stderr.contains("error: "), "{stderr}");
    stderr
}

/// Panics unless `said` has all of these.
fn has(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
}

#[tokio::test]
async fn a_project_that_is_not_there() {
    let said = refused(Path::new("/no/such/project"), &[]).await;
    has(
        &said,
        &["no project at /no/such/project", "cairn run examples/hello"],
    );
    let empty = Scratch::new();
    has(
        &refused(empty.path(), &[]).await,
        &["no wrangler.jsonc", "wrangler.toml"],
    );
}

#[tokio::test]
async fn a_configuration_that_does_not_parse() {
    let project = Scratch::with(&[("wrangler.jsonc", "{\n  \"name\" \"x\"\n}")]);
    has(
        &refused(project.path(), &[]).await,
        &["wrangler.jsonc:2:", "does not parse"],
    );
}

#[tokio::test]
async fn bindings_that_cairn_does_not_have() {
    let project = Scratch::with(&[
        ("index.js", GOOD),
        (
            "wrangler.toml",
            "name = \"x\"\nmain = \"index.js\"\ncompatibility_date = \"2026-11-01\"\n[[kv_namespaces]]\nbinding = \"KV\"\nid = \"1\"\n",
        ),
    ]);
    has(
        &refused(project.path(), &[]).await,
        &["does not have: kv_namespaces", "fetch()"],
    );
}

#[tokio::test]
async fn a_class_that_is_not_exported() {
    let project = Scratch::project("x", "Missing", GOOD);
    let said = refused(project.path(), &[]).await;
    has(
        &said,
        &[
            "Missing",
            "exports Flow",
            "export class Missing extends WorkflowEntrypoint",
        ],
    );
}

#[tokio::test]
async fn a_class_that_is_no_workflow() {
    let project = Scratch::project("x", "Flow", "export class Flow { run() {} }\nexport default {};");
    has(
        &refused(project.path(), &[]).await,
        &["Flow", "WorkflowEntrypoint"],
    );
}

#[tokio::test]
async fn source_that_does_not_parse() {
    let project = Scratch::project("x", "Flow", "export class Flow {\n  run( {\n}");
    has(
        &refused(project.path(), &[]).await,
        &["does not build", "index.ts:3:"],
    );
}

#[tokio::test]
async fn a_package_that_is_not_installed() {
    let project = Scratch::project("x", "Flow", &format!("import 'left-pad';{GOOD}"));
    has(&refused(project.path(), &[]).await, &["left-pad", "npm install"]);
}

#[tokio::test]
async fn a_module_of_node_without_the_flag() {
    let project = Scratch::project(
        "x",
        "Flow",
        &format!("import fs from 'fs'; export {{ fs }};{GOOD}"),
    );
    has(&refused(project.path(), &[]).await, &["\"fs\"", "nodejs_compat"]);
}

#[tokio::test]
async fn a_script_that_throws_at_its_start() {
    let project = Scratch::project("x", "Flow", &format!("{GOOD}\nthrow new Error('born broken');"));
    has(
        &refused(project.path(), &[]).await,
        &["Deploying \"x\" was refused", "born broken"],
    );
}

#[tokio::test]
async fn params_that_are_no_json() {
    let said = refused(&example("hello"), &["--params", "{name:Ada}"]).await;
    has(&said, &["--params is not JSON", "'{\"name\":\"Ada\"}'"]);
}

#[tokio::test]
async fn a_workflow_that_the_project_does_not_have() {
    let said = refused(&example("hello"), &["--workflow", "goodbye"]).await;
    has(&said, &["no workflow \"goodbye\"", "hello"]);
}

#[tokio::test]
async fn an_id_that_is_none() {
    let said = refused(&example("hello"), &["--id", "two words"]).await;
    has(&said, &["two words", "--id"]);
}

#[tokio::test]
async fn arguments_that_are_not_known() {
    let ended = cairn!().run(&["run", "--sideways"]).await.expect(2);
    has(&ended.stderr, &["--sideways"]);
}

#[tokio::test]
async fn a_machine_without_workerd_and_without_npm() {
    let home = Scratch::new();
    let mut command = cairn!().command(&[
        "run",
        example("hello").to_str().unwrap(),
        "--data-dir",
        home.text(),
    ]);
    command
        .env_remove("CAIRN_WORKERD")
        .env("PATH", home.path())
        .env("XDG_CACHE_HOME", home.path());
    let ended = cairn_tests::Running::watch(command).end().await.expect(2);
    has(&ended.stderr, &["npm", "npm install --ignore-scripts workerd@1."]);
}

#[tokio::test]
async fn a_workflow_that_throws_exits_with_one() {
    let source = GOOD.replace("return 1;", "throw new TypeError('no good');");
    let project = Scratch::project("x", "Flow", &source);
    let data = Scratch::new();
    let ended = cairn!()
        .run_project(project.path(), data.path(), &[])
        .await
        .expect(1);
    assert_eq!(ended.stdout, "");
    has(&ended.stderr, &["failed with TypeError: no good"]);
}

#[tokio::test]
async fn settings_that_are_none_and_limits_that_are_met() {
    let hello = example("hello");
    has(
        &refused(&hello, &["--set", "limits.step=1"]).await,
        &["no setting \"limits.step\"", "limits.steps", "Correct --set"],
    );
    has(
        &refused(&hello, &["--set", "limits.steps=none"]).await,
        &["limits.steps cannot be \"none\"", "from 1 to"],
    );
    let data = Scratch::new();
    let Ended { stdout, stderr, .. } = cairn!()
        .run_project(
            &hello,
            data.path(),
            &[
                "--set",
                "limits.default_delay_millis=0",
                "--set",
                "limits.result_bytes=10",
            ],
        )
        .await
        .expect(1);
    assert_eq!(stdout, "");
    has(
        &stderr,
        &["output is too large. Maximum allowed size is 10 bytes"],
    );
}
