//! Service bindings: what one Worker asks of another, each in a process of its own.

use crate::harness::{Source, module, spec, workerd};
use async_trait::async_trait;
use cairn_core::Timestamp;
use cairn_runtime::workerd::{Workerd, WorkerdConfig};
use cairn_runtime::{
    Binding, BindingCall, BindingError, BindingHost, BindingReply, EventSource, Firing, ModuleKind,
    PieceSource, Runtime as _, Scheduled, ServiceCall, StreamCall, SubscribeCall, Trace, TraceSink,
    TracedWorker, WorkerId, WorkerSpec,
};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// What is deployed, by script.
#[derive(Debug, Default)]
struct Deployed(Mutex<HashMap<String, String>>);

fn refused(message: &str) -> BindingError {
    BindingError {
        message: message.into(),
    }
}

#[async_trait]
impl BindingHost for Deployed {
    async fn call(&self, _: BindingCall) -> Result<BindingReply, BindingError> {
        Err(refused("there are no workflows"))
    }

    async fn subscribe(&self, _: SubscribeCall) -> Result<Box<dyn EventSource>, BindingError> {
        Err(refused("there are no workflows"))
    }

    async fn stream(&self, _: StreamCall) -> Result<Box<dyn PieceSource>, BindingError> {
        Err(refused("there are no workflows"))
    }

    async fn service(&self, call: ServiceCall) -> Result<WorkerId, BindingError> {
        assert_eq!(call.account, "acc");
        let deployed = self.0.lock().unwrap();
        let version = deployed.get(&call.script).cloned();
        version
            .map(|version| WorkerId(version.into()))
            .ok_or_else(|| refused(&format!("there is no Worker \"{}\"", call.script)))
    }
}

struct World {
    runtime: Arc<Workerd>,
    deployed: Arc<Deployed>,
    source: Arc<Source>,
    _run_dir: TempDir,
}

impl World {
    fn new(configure: impl FnOnce(&mut WorkerdConfig)) -> Option<Self> {
        let binary = workerd()?;
        let run_dir = tempfile::Builder::new().prefix("cairn-test-").tempdir().unwrap();
        let mut config = WorkerdConfig::new(binary, run_dir.path());
        configure(&mut config);
        let source = Arc::new(Source::default());
        let (reports, _) = mpsc::unbounded_channel();
        let runtime = Workerd::new(config, Arc::clone(&source) as _, reports).unwrap();
        let deployed = Arc::new(Deployed::default());
        runtime.set_bindings(Arc::clone(&deployed) as _);
        Some(Self {
            runtime,
            deployed,
            source,
            _run_dir: run_dir,
        })
    }

    /// Deploys a version `<script>-<number>`.
    fn deploy(&self, version: &str, code: &str, configure: impl FnOnce(&mut WorkerSpec)) {
        let (script, _) = version.rsplit_once('-').unwrap();
        let mut spec = WorkerSpec {
            id: WorkerId(version.into()),
            script: script.into(),
            modules: vec![module("index.js", ModuleKind::EsModule, code.to_owned())],
            ..spec("")
        };
        configure(&mut spec);
        self.source.add(spec);
        self.deployed
            .0
            .lock()
            .unwrap()
            .insert(script.into(), version.into());
    }

    /// Deploys the Worker `caller`, whose `fetch` handler has this body.
    fn caller(&self, body: &str, bindings: &[(&str, &str, Option<&str>, Option<&str>)]) {
        let code = format!("export default {{ async fetch(request, env, ctx) {{\n{body}\n}} }};");
        self.deploy("caller-1", &code, |spec| {
            spec.bindings
                .extend(
                    bindings
                        .iter()
                        .map(|(name, service, entrypoint, props)| Binding::Service {
                            name: (*name).into(),
                            service: (*service).into(),
                            entrypoint: entrypoint.map(Into::into),
                            props: props.map(Into::into),
                        }),
                );
        });
    }

    /// What the caller answers.
    async fn ask(&self) -> String {
        let socket = self
            .runtime
            .public_socket(&WorkerId("caller-1".into()))
            .await
            .unwrap();
        let mut stream = UnixStream::connect(socket.path()).await.unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_string(&mut answer));
        read.await.expect("an answer in time").unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        body.to_owned()
    }
}

/// Collects what calls give or throw.
const TELL: &str = "const lines = [];
    const tell = async (name, call) => { try { lines.push(`${name}: ${JSON.stringify(await call())}`); } catch (e) { lines.push(`${name}: threw ${e.name} ${e.message}${e.code ?? ''}`); } };";
const DONE: &str = "return new Response(new TextEncoder().encode(lines.join('\\n')));";

const TARGET: &str = "import { WorkerEntrypoint, RpcTarget } from 'cloudflare:workers';
    class Counter extends RpcTarget { #n = 0; inc(by = 1) { return this.#n += by; } get value() { return this.#n; } }
    class OwnError extends Error { name = 'OwnError'; code = 7; }
    export default class extends WorkerEntrypoint {
      add(a, b) { return a + b; }
      values() { return { map: [...new Map([[1, new Date(0)]])], big: `${2n ** 70n}`, bytes: [...new Uint8Array([1, 2])] }; }
      big(value) { return value.length; }
      fail() { throw new TypeError('bad thing'); }
      own() { throw new OwnError('own'); }
      counter() { return new Counter(); }
      twice() { return (x) => x * 2; }
      async call(f) { return (await f(20)) + 1; }
      async keep(f) { await scheduler.wait(50); return f('late'); }
      get property() { return 42; }
      stream() { return new ReadableStream({ type: 'bytes', start(c) { c.enqueue(new TextEncoder().encode('in pieces')); c.close(); } }); }
      async read(stream) { return await new Response(stream).text(); }
      async fetch(request) {
        if (request.headers.get('upgrade') === 'websocket') {
          const { 0: client, 1: server } = new WebSocketPair();
          server.accept();
          server.addEventListener('message', (event) => server.send(`echo ${event.data}`));
          return new Response(null, { status: 101, webSocket: client });
        }
        return new Response(`${request.method} ${request.url} ${await request.text()} ${JSON.stringify(request.cf)}`, { status: 201, headers: { 'x-y': 'z' } });
      }
    }
    export class Named extends WorkerEntrypoint { hi(name) { return `hi ${name}`; } props() { return this.ctx.props; } }
    export const plain = { fetch() { return new Response('plain'); } };";

/// What comes of it all.
const CROSSED: &str = "add: 3
values: {\"map\":[[1,\"1970-01-01T00:00:00.000Z\"]],\"big\":\"1180591620717411303424\",\"bytes\":[1,2]}
big: 3000000
fail: threw TypeError bad thing
own: threw OwnError own7
missing: threw TypeError The RPC receiver does not implement the method \"nothing\".
stub: [1,4,4]
pipelined: 5
two stubs: [2,1]
function: 8
callback: 22
handed on: 41
late: \"late!\"
property: 42
stream: \"in pieces\"
to stream: \"a body of some kind\"
at once: [2,4,6,8,10,12,14,16]
named: \"hi you\"
props: {}
other props: {\"tenant\":\"a\"}
plain: \"plain\"
fetch: [201,\"z\",\"POST https://host.example/a?b body {\\\"a\\\":1}\"]
websocket: \"echo 1\"";

#[tokio::test(flavor = "multi_thread")]
async fn calls_cross_between_processes() {
    let Some(world) = World::new(|_| {}) else { return };
    world.deploy("target-1", TARGET, |spec| {
        spec.entrypoints = vec!["Named".into(), "plain".into()];
    });
    let body = format!(
        "{TELL}
        const {{ T, N, P, O }} = env;
        await tell('add', () => T.add(1, 2));
        await tell('values', () => T.values());
        await tell('big', () => T.big('x'.repeat(3_000_000)));
        await tell('fail', () => T.fail());
        await tell('own', () => T.own());
        await tell('missing', () => T.nothing());
        await tell('stub', async () => {{ using c = await T.counter(); return [await c.inc(), await c.inc(3), await c.value]; }});
        await tell('pipelined', () => T.counter().inc(5));
        await tell('two stubs', async () => {{ const a = await T.counter(); const b = await T.counter(); await a.inc(); return [await a.inc(), await b.inc()]; }});
        await tell('function', async () => (await T.twice())(4));
        await tell('callback', () => T.call(async (x) => x + 1));
        await tell('handed on', async () => T.call(await T.twice()));
        await tell('late', () => T.keep((x) => x + '!'));
        await tell('property', () => T.property);
        await tell('stream', async () => new Response(await T.stream()).text());
        await tell('to stream', () => T.read(new Response('a body of some kind').body));
        await tell('at once', () => Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map((n) => T.add(n, n))));
        await tell('named', () => N.hi('you'));
        await tell('props', () => N.props());
        await tell('other props', () => P.props());
        await tell('plain', async () => (await O.fetch('http://x/')).text());
        await tell('fetch', async () => {{
          const r = await T.fetch('https://host.example/a?b', {{ method: 'POST', body: 'body', cf: {{ a: 1 }} }});
          return [r.status, r.headers.get('x-y'), await r.text()];
        }});
        await tell('websocket', async () => {{
          const {{ webSocket }} = await T.fetch('http://x/', {{ headers: {{ upgrade: 'websocket' }} }});
          webSocket.accept();
          const heard = new Promise((resolve) => webSocket.addEventListener('message', (event) => resolve(event.data)));
          webSocket.send('1');
          const said = await heard;
          webSocket.close();
          return said;
        }});
        {DONE}"
    );
    let bindings = [
        ("T", "target", None, None),
        ("N", "target", Some("Named"), None),
        ("P", "target", Some("Named"), Some("{\"tenant\":\"a\"}")),
        ("O", "target", Some("plain"), None),
    ];
    world.caller(&body, &bindings);
    assert_eq!(world.ask().await, CROSSED);
    assert_eq!(
        world.ask().await,
        CROSSED,
        "once more, on connections that are there"
    );
    world.runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deployed_is_called_while_older_calls_go_on() {
    let Some(world) = World::new(|_| {}) else { return };
    let version = |number: u32| {
        format!(
            "import {{ WorkerEntrypoint, RpcTarget }} from 'cloudflare:workers';
            class Held extends RpcTarget {{ version() {{ return {number}; }} }}
            export default class extends WorkerEntrypoint {{
              version() {{ return {number}; }}
              held() {{ return new Held(); }}
              fetch() {{ return new Response('{number}'); }}
            }}"
        )
    };
    world.deploy("target-1", &version(1), |_| {});
    // The stub lives on through the deployment, which this waits for.
    let body = format!(
        "{TELL}
        const held = await env.T.held();
        const before = await env.T.version();
        await tell('before', () => [before]);
        while ((await env.T.version()) === before) await scheduler.wait(5);
        await tell('after', async () => [await env.T.version(), await (await env.T.fetch('http://x/')).text()]);
        await tell('held', () => held.version());
        {DONE}"
    );
    world.caller(&body, &[("T", "target", None, None)]);
    let asked = async {
        let answer = world.ask().await;
        assert_eq!(answer, "before: [1]\nafter: [2,\"2\"]\nheld: 1");
    };
    let deployed = async {
        // The first version has been asked once its process is there; then the second is deployed.
        world
            .runtime
            .public_socket(&WorkerId("target-1".into()))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        world.deploy("target-2", &version(2), |_| {});
    };
    tokio::join!(asked, deployed);
    world.runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_reached_is_said() {
    let Some(world) = World::new(|_| {}) else { return };
    world.deploy("target-1", TARGET, |spec| spec.entrypoints = vec!["Named".into()]);
    world.deploy("broken-1", "throw new Error('at start');", |_| {});
    let body = format!(
        "{TELL}
        for (const name of ['GONE', 'BROKEN', 'NONE']) {{
          await tell(name, () => env[name].add(1, 2));
          await tell(name, async () => {{ const r = await env[name].fetch('http://x/'); return [r.status, await r.text()]; }});
        }}
        {DONE}"
    );
    let bindings = [
        ("GONE", "gone", None, None),
        ("BROKEN", "broken", None, None),
        ("NONE", "target", Some("Nope"), None),
    ];
    world.caller(&body, &bindings);
    let answer = world.ask().await;
    let expected = [
        "GONE: threw Error there is no Worker \"gone\"",
        "GONE: [502,\"there is no Worker \\\"gone\\\"\"]",
        "BROKEN: threw Error the Worker \"broken\" could not be started: Uncaught Error: at start",
        "BROKEN: [502,\"the Worker \\\"broken\\\" could not be started: Uncaught Error: at start",
        "NONE: threw Error the Worker \"target\" has no entrypoint \"Nope\"; it has the default one and \"Named\"",
        "NONE: [502,\"the Worker \\\"target\\\" has no entrypoint \\\"Nope\\\"; it has the default one and \\\"Named\\\"\"]",
    ];
    let lines: Vec<&str> = answer.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(lines.len(), expected.len(), "{answer}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}\n{expected}");
    }
    world.runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_calls_itself() {
    let Some(world) = World::new(|_| {}) else { return };
    let code = "import { WorkerEntrypoint } from 'cloudflare:workers';
        export class Side extends WorkerEntrypoint { async up(n) { return n === 0 ? 'top' : this.env.SIDE.up(n - 1); } }
        export default { async fetch(request, env) { return new Response(new TextEncoder().encode(await env.SIDE.up(3))); } };";
    world.deploy("caller-1", code, |spec| {
        spec.entrypoints = vec!["Side".into()];
        spec.bindings.push(Binding::Service {
            name: "SIDE".into(),
            service: "caller".into(),
            entrypoint: Some("Side".into()),
            props: None,
        });
    });
    assert_eq!(world.ask().await, "top");
    world.runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_loses_its_process_fails_and_the_next_works() {
    let Some(world) = World::new(|_| {}) else { return };
    // The first call ends the process: it uses up its memory.
    let code = "import { WorkerEntrypoint } from 'cloudflare:workers';
        export default class extends WorkerEntrypoint {
          hi() { return 'hi'; }
          never() { return new Promise((resolve) => setTimeout(resolve, 60_000)); }
        }";
    world.deploy("target-1", code, |_| {});
    let body = format!(
        "{TELL}
        await tell('hi', () => env.T.hi());
        await tell('never', () => env.T.never());
        await tell('again', () => env.T.hi());
        {DONE}"
    );
    world.caller(&body, &[("T", "target", None, None)]);
    let asked = async {
        let answer = world.ask().await;
        let lines: Vec<&str> = answer.lines().collect();
        println!("{answer}");
        assert_eq!((lines[0], lines[2]), ("hi: \"hi\"", "again: \"hi\""));
        assert!(
            lines[1].starts_with("never: threw Error")
                && lines[1].contains("ended while the call was under way"),
            "{answer}"
        );
    };
    let ended = async {
        world
            .runtime
            .public_socket(&WorkerId("target-1".into()))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        world.runtime.retire(&WorkerId("target-1".into()));
    };
    tokio::join!(asked, ended);
    world.runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_keeps_its_target_from_idling() {
    let Some(world) = World::new(|config| config.idle = Duration::from_millis(200)) else {
        return;
    };
    let code = "import { WorkerEntrypoint } from 'cloudflare:workers';
        let calls = 0;
        export default class extends WorkerEntrypoint {
          async slow() { calls += 1; await scheduler.wait(1_500); return calls; }
        }";
    world.deploy("target-1", code, |_| {});
    let body = format!(
        "{TELL}
        await tell('slow', () => env.T.slow());
        {DONE}"
    );
    world.caller(&body, &[("T", "target", None, None)]);
    assert_eq!(world.ask().await, "slow: 1");
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    // This finds a fresh process: the first was stopped in between.
    assert_eq!(world.ask().await, "slow: 1");
    world.runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_are_handled_in_both_forms() {
    let Some(world) = World::new(|_| {}) else { return };
    let object = "export default { async scheduled(controller, env, ctx) {
        if (controller.cron === 'fail') throw new RangeError('no good');
        if (controller.cron === 'wait') ctx.waitUntil(scheduler.wait(10).then(() => { ctx.waitUntil(Promise.reject(new Error('later'))); }));
        const seen = [controller.cron, controller.scheduledTime, controller.type, typeof controller.noRetry, env.GREETING.slice(0, 5)].join();
        if (controller.cron !== 'wait' && seen !== '* * * * *,1700000000000,scheduled,function,hello') throw new Error(seen);
    } };";
    let class = "import { WorkerEntrypoint } from 'cloudflare:workers';
        export default class extends WorkerEntrypoint {
          async scheduled(controller) { throw new Error(`${controller.cron} ${this.env.GREETING.slice(0, 5)} ${typeof this.ctx.waitUntil}`); }
        }";
    world.deploy("object-1", object, |_| {});
    world.deploy("class-1", class, |_| {});
    world.deploy("none-1", "export default { fetch() {} };", |_| {});
    let fire = async |version: &str, cron: &str| {
        let firing = Firing {
            cron: cron.into(),
            scheduled_at: Timestamp(1_700_000_000_000),
        };
        match world
            .runtime
            .scheduled(&WorkerId(version.into()), &firing)
            .await
            .unwrap()
        {
            Scheduled::Done => "done".to_owned(),
            Scheduled::Unhandled => "unhandled".to_owned(),
            Scheduled::Failed(error) => format!("{}: {}", error.name, error.message),
        }
    };
    assert_eq!(fire("object-1", "* * * * *").await, "done");
    assert_eq!(fire("object-1", "fail").await, "RangeError: no good");
    assert_eq!(fire("object-1", "wait").await, "Error: later");
    assert_eq!(
        fire("class-1", "0 0 1 1 *").await,
        "Error: 0 0 1 1 * hello function"
    );
    assert_eq!(fire("none-1", "* * * * *").await, "unhandled");
    world.runtime.shutdown().await;
}

/// Follows every Worker.
struct Heard(mpsc::UnboundedSender<(TracedWorker, Trace)>);

impl TraceSink for Heard {
    fn is_followed(&self, _: &TracedWorker) -> bool {
        true
    }

    fn take(&self, worker: &TracedWorker, trace: Trace) {
        self.0.send((worker.clone(), trace)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_hear_of_schedules_requests_and_calls() {
    let Some(world) = World::new(|_| {}) else { return };
    let (sink, mut heard) = mpsc::unbounded_channel();
    world.runtime.set_traces(Arc::new(Heard(sink)));
    let target = "import { WorkerEntrypoint } from 'cloudflare:workers';
        export default class extends WorkerEntrypoint {
          add(a, b) { console.log('adding', a, b); return a + b; }
          scheduled() { console.warn('on time'); throw new RangeError('but no good'); }
        }";
    world.deploy("target-1", target, |_| {});
    world.caller(
        "return new Response(String(await env.T.add(1, 2)));",
        &[("T", "target", None, None)],
    );
    let mut next = async || {
        let told = tokio::time::timeout(Duration::from_secs(30), heard.recv()).await;
        let (worker, Trace::Handler(item)) = told.unwrap().unwrap() else {
            panic!("no run was started");
        };
        (worker, item)
    };
    assert_eq!(world.ask().await, "3");
    let mut told = [next().await, next().await];
    told.sort_by(|a, b| a.0.script.cmp(&b.0.script));
    let [(caller, request), (target, call)] = told;
    assert_eq!(
        (caller.account.as_str(), caller.version.as_str()),
        ("acc", "caller-1")
    );
    assert_eq!(request["event"]["request"]["method"], "GET");
    assert_eq!(target.version, "target-1");
    assert_eq!(call["event"]["rpcMethod"], "add");
    assert_eq!(call["logs"][0]["message"], serde_json::json!(["adding", 1, 2]));

    let firing = Firing {
        cron: "*/5 * * * *".into(),
        scheduled_at: Timestamp(1_700_000_000_000),
    };
    world
        .runtime
        .scheduled(&WorkerId("target-1".into()), &firing)
        .await
        .unwrap();
    let (_, item) = next().await;
    assert_eq!(
        item["event"],
        serde_json::json!({ "cron": "*/5 * * * *", "scheduledTime": 1_700_000_000_000_i64 })
    );
    assert_eq!(item["outcome"], "exception");
    assert_eq!(item["logs"][0]["message"][0], "on time");
    assert_eq!(item["exceptions"][0]["name"], "RangeError");
    assert!(item.get("entrypoint").is_none(), "{item}");
    world.runtime.shutdown().await;
}
