//! Workers that call each other, and Workers on a schedule: deployed over REST, called over HTTP.

use cairn_tests::{Rest, Scratch, cairn, until};
use reqwest::Method;
use serde_json::{Value, json};

/// Tells what calls on its binding give or throw.
const CALLER: &str = "
    const tell = async (call) => { try { return await call(); } catch (e) { return `${e.name}: ${e.message}`; } };
    export default { async fetch(request, env) {
      return Response.json({
        sum: await tell(() => env.OTHER.add(1, 2)),
        error: await tell(() => env.OTHER.fail()),
        named: await tell(() => env.NAMED.hi('you')),
        props: await tell(() => env.NAMED.props()),
        fetch: await tell(async () => (await env.OTHER.fetch('https://any.example/x')).text()),
        callback: await tell(() => env.OTHER.call((n) => n * 2)),
      });
    } };";

fn target(version: u32) -> String {
    format!(
        "import {{ WorkerEntrypoint }} from 'cloudflare:workers';
        export default class extends WorkerEntrypoint {{
          add(a, b) {{ return `${{a + b}} by {version}`; }}
          fail() {{ throw new RangeError('no {version}'); }}
          async call(f) {{ return await f({version}); }}
          fetch(request) {{ return new Response(`{version} ${{request.url}}`); }}
        }}
        export class Named extends WorkerEntrypoint {{ hi(name) {{ return `hi ${{name}}`; }} props() {{ return this.ctx.props; }} }}"
    )
}

fn bindings() -> Value {
    json!([
        { "type": "service", "name": "OTHER", "service": "target" },
        { "type": "service", "name": "NAMED", "service": "target", "entrypoint": "Named", "props": { "from": "caller" } },
    ])
}

async fn asked(rest: &Rest) -> Value {
    let (status, text) = rest.worker("caller", "/").await;
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn answered(version: u32) -> Value {
    json!({
        "sum": format!("3 by {version}"),
        "error": format!("RangeError: no {version}"),
        "named": "hi you",
        "props": { "from": "caller" },
        "fetch": format!("{version} https://any.example/x"),
        "callback": version * 2,
    })
}

#[tokio::test]
async fn one_worker_calls_what_is_deployed_of_another() {
    let data = Scratch::new();
    let (server, rest) = cairn!().serve(data.path()).await;
    rest.deploy_script("caller", (CALLER, &bindings())).await;
    let missing = "there is no Worker \"target\", which the service binding names; deploy it first";
    let error = json!(format!("Error: {missing}"));
    let nobody = json!({ "sum": error, "error": error, "named": error, "props": error, "fetch": missing, "callback": error });
    assert_eq!(asked(&rest).await, nobody);

    // Another account's Worker of that name is not meant.
    let other = rest.in_account("other");
    other.deploy_script("target", (&target(9), &json!([]))).await;
    assert_eq!(asked(&rest).await, nobody);

    for version in 1..=3 {
        rest.deploy_script("target", (&target(version), &json!([]))).await;
        assert_eq!(asked(&rest).await, answered(version));
    }
    let settings = rest.get("/workers/scripts/caller/settings").await;
    assert_eq!(settings.result()["bindings"][1]["entrypoint"], "Named");
    let gone = rest
        .send(Method::DELETE, "/workers/scripts/target?force=true", None)
        .await;
    gone.unwrap().result();
    assert_eq!(asked(&rest).await, nobody, "it is gone");
    server.stop().await.expect(0);
}

#[tokio::test]
async fn steps_call_a_worker_that_starts_a_workflow_of_its_own() {
    let data = Scratch::new();
    let (server, rest) = cairn!().serve(data.path()).await;
    let inner = "import { WorkflowEntrypoint, WorkerEntrypoint } from 'cloudflare:workers';
        export class Inner extends WorkflowEntrypoint { async run(event) { return event.payload.n + 1; } }
        export default class extends WorkerEntrypoint {
          async begin(n) { const instance = await this.env.INNER.create({ params: { n } }); return instance.id; }
          async result(id) { const { status, output } = await (await this.env.INNER.get(id)).status(); return status === 'complete' ? output : null; }
        }";
    let own =
        json!([{ "type": "workflow", "name": "INNER", "workflow_name": "inner", "class_name": "Inner" }]);
    rest.deploy_bound("inner", "Inner", (inner, &own)).await;
    let outer = "import { WorkflowEntrypoint } from 'cloudflare:workers';
        export class Outer extends WorkflowEntrypoint {
          async run(event, step) {
            const id = await step.do('begin', () => this.env.SERVICE.begin(41));
            return step.do('result', { retries: { limit: 50, delay: 50, backoff: 'constant' } }, async () => {
              const result = await this.env.SERVICE.result(id);
              if (result === null) throw new Error('not yet');
              return result;
            });
          }
        }
        export default {};";
    let service = json!([{ "type": "service", "name": "SERVICE", "service": "inner" }]);
    rest.deploy_bound("outer", "Outer", (outer, &service)).await;
    let created = rest.post("/workflows/outer/instances", &json!({})).await;
    let id = created.result()["id"].as_str().unwrap().to_owned();
    let output = until("the outer workflow is done", || async {
        let instance = rest.get(&format!("/workflows/outer/instances/{id}")).await;
        let instance = instance.result().clone();
        (instance["status"] == "complete").then(|| instance["output"].clone())
    });
    assert_eq!(output.await, "42");
    server.stop().await.expect(0);
}

#[tokio::test]
async fn schedules_of_a_worker_are_put_read_and_removed_with_it() {
    let data = Scratch::new();
    let (server, rest) = cairn!().serve(data.path()).await;
    let code = "export default { scheduled() {} };";
    rest.deploy_script("clockwork", (code, &json!([]))).await;
    let path = "/workers/scripts/clockwork/schedules";
    assert_eq!(*rest.get(path).await.result(), json!({ "schedules": [] }));
    let put = rest
        .send(
            Method::PUT,
            path,
            Some(&json!([{ "cron": "0 7 * * MON-FRI" }, { "cron": "*/5 * * * *" }])),
        )
        .await;
    let put = put.unwrap();
    let crons: Vec<&str> = put.result()["schedules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["cron"].as_str().unwrap())
        .collect();
    assert_eq!(crons, ["*/5 * * * *", "0 7 * * MON-FRI"]);
    assert!(
        put.result()["schedules"][0]["created_on"]
            .as_str()
            .unwrap()
            .ends_with('Z')
    );
    let wrong = rest
        .send(Method::PUT, path, Some(&json!([{ "cron": "0 24 * * *" }])))
        .await
        .unwrap();
    assert_eq!(wrong.status, 400);
    let said = wrong.body["messages"].to_string();
    assert!(
        said.contains("schedules[0].cron is") && said.contains("allowed are * and lists of 0 to 23"),
        "{said}"
    );
    assert_eq!(
        rest.get(path).await.result()["schedules"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    rest.send(Method::DELETE, "/workers/scripts/clockwork", None)
        .await
        .unwrap()
        .result();
    assert_eq!(rest.get(path).await.status, 404);
    rest.deploy_script("clockwork", (code, &json!([]))).await;
    assert_eq!(*rest.get(path).await.result(), json!({ "schedules": [] }));
    server.stop().await.expect(0);
}
