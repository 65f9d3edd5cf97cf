//! What a project may consist of: configuration formats, modules, variables, secrets, several workflows.

use cairn_tests::{Scratch, cairn};
use serde_json::{Value, json};

const CONFIGURATION: &str = r#"
name = "rich"
main = "src/index.mts"
compatibility_date = 2026-11-01
compatibility_flags = ["nodejs_compat"]
workflows = [
  { binding = "RICH", name = "rich-flow", class_name = "Rich" },
  { binding = "OTHER", name = "other-flow", class_name = "Other" },
]
rules = [{ type = "Text", globs = ["**/*.md"] }]

[vars]
PLAIN = "plain"
TABLE = { depth = 2 }
KEY = "from the configuration"
"#;

const SOURCE: &str = r#"
import { WorkflowEntrypoint } from "cloudflare:workers";
import { createHash } from "crypto";
import { Buffer } from "node:buffer";
import text from "./words.txt";
import readme from "../README.md";
import data from "./bytes.bin";
import wasm from "./empty.wasm";
import again from "./empty.wasm?module";
import numbers from "./numbers.json";
import { shout } from "shouting";

export class Rich extends WorkflowEntrypoint {
  async run(event: any, step: any) {
    const other = await step.do("start the other", async () => {
      const instance = await this.env.OTHER.create({ id: "child", params: { from: event.instanceId } });
      return instance.id;
    });
    return await step.do("gather", async () => ({
      text, readme, numbers, other,
      data: Buffer.from(data).toString("hex"),
      wasm: [wasm instanceof WebAssembly.Module, again instanceof WebAssembly.Module],
      hash: createHash("sha256").update("a").digest("hex").slice(0, 8),
      vars: [this.env.PLAIN, this.env.TABLE, this.env.KEY],
      shout: shout("hey"),
    }));
  }
}
export class Other extends WorkflowEntrypoint {
  async run(event: any) { return event.payload; }
}
export default {};
"#;

fn rich() -> Scratch {
    Scratch::with(&[
        ("wrangler.toml", CONFIGURATION),
        (".dev.vars", "# only here\nKEY=\"a secret\"\n"),
        ("README.md", "# Rich"),
        ("src/index.mts", SOURCE),
        ("src/words.txt", "words"),
        ("src/bytes.bin", "\u{0}\u{1}\u{2}"),
        ("src/empty.wasm", "\u{0}asm\u{1}\u{0}\u{0}\u{0}"),
        ("src/numbers.json", "[1, 2]"),
        (
            "node_modules/shouting/package.json",
            r#"{ "exports": { "workerd": "./workerd.js", "default": "./no.js" } }"#,
        ),
        (
            "node_modules/shouting/workerd.js",
            "export const shout = (word) => word.toUpperCase();",
        ),
    ])
}

#[tokio::test]
async fn modules_variables_secrets_and_packages_reach_the_workflow() {
    let (project, data) = (rich(), Scratch::new());
    let arguments = ["--workflow", "rich-flow", "--id", "parent"];
    let ended = cairn!()
        .run_project(project.path(), data.path(), &arguments)
        .await
        .expect(0);
    let output: Value = serde_json::from_str(&ended.stdout).unwrap();
    let expected = json!({
        "text": "words", "readme": "# Rich", "numbers": [1, 2], "other": "child", "data": "000102",
        "wasm": [true, true], "hash": "ca978112", "vars": ["plain", { "depth": 2 }, "a secret"], "shout": "HEY",
    });
    assert_eq!(output, expected);

    let arguments = ["--workflow", "other-flow", "--id", "child"];
    let ended = cairn!()
        .run_project(project.path(), data.path(), &arguments)
        .await
        .expect(0);
    assert_eq!(ended.stdout, "{\"from\":\"parent\"}\n");
}

#[tokio::test]
async fn several_workflows_are_a_choice() {
    let (project, data) = (rich(), Scratch::new());
    let ended = cairn!()
        .run_project(project.path(), data.path(), &[])
        .await
        .expect(2);
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.contains("rich-flow, other-flow"), "{}", ended.stderr);
    assert!(ended.stderr.contains("--workflow NAME"), "{}", ended.stderr);
}

#[tokio::test]
async fn parameters_arrive_as_they_were_given() {
    let source = r#"
        import { WorkflowEntrypoint } from "cloudflare:workers";
        export class Echo extends WorkflowEntrypoint { async run(event) { return event.payload; } }
        export default {};"#;
    let (project, data) = (Scratch::project("echo", "Echo", source), Scratch::new());
    for params in [
        r#"{"b":1,"a":[null,true,"ü"]}"#,
        "\"7\"",
        "7",
        "\"{\\\"a\\\":1}\"",
    ] {
        let ended = cairn!()
            .run_project(project.path(), data.path(), &["--params", params])
            .await
            .expect(0);
        assert_eq!(ended.stdout.trim_end(), params);
    }
}
