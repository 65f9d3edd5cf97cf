//! Processes: what starts, what does not, what happens when one ends.

use crate::harness::{World, flow, module, spec};
use cairn_runtime::workerd::PublicSocket;
use cairn_runtime::{Binding, Command, Company, ModuleKind, ReportKind, Runtime as _, WorkerError};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

/// The body of a GET.
pub(crate) async fn get(socket: &PublicSocket, path: &str) -> String {
    let mut stream = UnixStream::connect(socket.path()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response.split_once("\r\n\r\n").unwrap().1.to_owned()
}

async fn refused(code: &str) -> String {
    let Some(world) = World::with_spec(spec(code), |_| {}) else {
        return String::new();
    };
    match world.runtime.check(world.spec.clone()).await {
        Err(WorkerError::Code(message)) => message,
        other => panic!("expected an error of the code: {other:?}"),
    }
}

#[tokio::test]
async fn exports_stay_what_they_are() {
    let code = flow("return 1;")
        + "import { DurableObject, WorkerEntrypoint } from 'cloudflare:workers';
        export class Base extends Flow {}
        export class Counter extends DurableObject {}
        export class Door extends WorkerEntrypoint {}
        export function helper() {}
        export default { async fetch(request, env, ctx) { return new Response(new URL(request.url).pathname + ' ' + env.GREETING + typeof ctx.waitUntil); } };";
    let Some(world) = World::with_spec(spec(&code), |_| {}) else {
        return;
    };
    let checked = world.runtime.check(world.spec.clone()).await.unwrap();
    assert_eq!(
        checked.exports,
        names(["Base", "Counter", "Door", "Flow", "default", "helper"])
    );
    assert_eq!(checked.workflow_classes, names(["Base", "Flow"]));
    let socket = world.runtime.public_socket(&world.worker).await.unwrap();
    assert!(
        get(&socket, "/a/b")
            .await
            .contains("/a/b hello \"\\\n\u{1F600}function")
    );
}

#[tokio::test]
async fn modules_and_bindings_of_all_kinds() {
    let code = "import text from './parts/note.txt'; import data from './parts/raw.bin'; import json from './parts/c.json';
        import wasm from './parts/add.wasm'; import common from './parts/old.cjs'; import { helper } from './lib/it\"s.js';\n"
        .to_owned()
        + &flow(
            "const { exports } = await WebAssembly.instantiate(wasm);
            return [text, data.byteLength, json, exports.add(1, 2), common.answer, helper(), this.env.JSON, this.env.DATA.byteLength, Object.keys(this.env)];",
        );
    let wasm: &[u8] = b"\0asm\x01\0\0\0\x01\x07\x01\x60\x02\x7f\x7f\x01\x7f\x03\x02\x01\0\x07\x07\x01\x03add\0\0\x0a\x09\x01\x07\0\x20\0\x20\x01\x6a\x0b";
    let mut spec = spec(&code);
    spec.modules.extend([
        module("parts/note.txt", ModuleKind::Text, "it's \"text\""),
        module("parts/raw.bin", ModuleKind::Data, &b"\0\xff\n"[..]),
        module("parts/c.json", ModuleKind::Json, "{\"a\":[1]}"),
        module("parts/add.wasm", ModuleKind::Wasm, wasm),
        module(
            "parts/old.cjs",
            ModuleKind::CommonJs,
            "module.exports = { answer: 42 };",
        ),
        module(
            "lib/it\"s.js",
            ModuleKind::EsModule,
            "export const helper = () => 'helped';",
        ),
    ]);
    spec.main_module = "./index.js".into();
    spec.bindings.extend([
        Binding::Json {
            name: "JSON".into(),
            json: "{\"deep\":[true]}".into(),
        },
        Binding::Data {
            name: "DATA".into(),
            content: (&b"12345"[..]).into(),
        },
        Binding::Text {
            name: "A \"name\\".into(),
            text: String::new(),
        },
    ]);
    let Some(mut world) = World::with_spec(spec, |_| {}) else {
        return;
    };
    let run = world.start("{}");
    assert_eq!(
        world.output(run).await,
        "[\"it's \\\"text\\\"\",3,{\"a\":[1]},3,42,\"helped\",{\"deep\":[true]},5,[\"GREETING\",\"JSON\",\"DATA\",\"A \\\"name\\\\\"]]"
    );
}

/// Whatever date and flags a Worker has, the shim runs.
#[tokio::test]
async fn dates_and_flags() {
    for (date, flags) in [
        ("2024-10-22", vec![]),
        ("2024-10-22", vec!["nodejs_compat"]),
        ("2026-11-10", vec!["nodejs_compat", "nodejs_als"]),
        ("2026-11-10", vec!["no_nodejs_als"]),
        ("2026-11-10", vec!["enable_ctx_exports", "new_module_registry"]),
        ("2021-11-02", vec![]),
    ] {
        let mut spec = spec(&flow("return await step.do('s', async () => 'ran');"));
        spec.compatibility_date = date.into();
        spec.compatibility_flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let Some(mut world) = World::with_spec(spec, |_| {}) else {
            return;
        };
        let run = world.start("{}");
        let end = world.finish(run).await;
        let ReportKind::Returned { output } = end else {
            panic!("{date} {flags:?}: {end:?}")
        };
        assert_eq!(output.to_json_text(), "\"ran\"", "{date} {flags:?}");
    }
}

#[tokio::test]
async fn code_that_does_not_start_is_refused_with_its_message() {
    if crate::harness::workerd().is_none() {
        return;
    }
    let syntax = refused("export default {\n  fetch() { return 1 1; }\n};").await;
    assert!(
        syntax.contains("SyntaxError") && syntax.contains("index.js:2"),
        "{syntax}"
    );
    let thrown = refused("export default {};\nthrow new TypeError('not today');").await;
    assert!(
        thrown.contains("TypeError: not today") && thrown.contains("index.js:2"),
        "{thrown}"
    );
    assert!(
        !thrown.contains("__cairn") && !thrown.contains("Socket"),
        "{thrown}"
    );
    let missing = refused("import './nowhere.js';").await;
    assert!(missing.contains("nowhere.js"), "{missing}");
    let export = refused("export const x = 1;").await;
    assert!(export.contains("'x'"), "{export}");
    let mut wrong = spec("export default {};");
    wrong.compatibility_flags = vec!["no\"such\\flag".into()];
    let Some(world) = World::with_spec(wrong, |_| {}) else {
        return;
    };
    let error = world.runtime.check(world.spec.clone()).await.unwrap_err();
    assert!(
        matches!(&error, WorkerError::Code(message) if message.contains("no\"such\\flag")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_worker_that_does_not_start_loses_its_runs() {
    let Some(mut world) = World::with_spec(spec("throw new Error('never');"), |_| {}) else {
        return;
    };
    world.start("{}");
    let ReportKind::Lost { reason } = world.next().await else {
        panic!()
    };
    assert!(reason.contains("Error: never"), "{reason}");
    world.worker = cairn_runtime::WorkerId("unknown".into());
    world.start("{}");
    let ReportKind::Lost { reason } = world.next().await else {
        panic!()
    };
    assert_eq!(reason, "Worker version unknown does not exist");
}

#[tokio::test]
async fn no_executable_is_an_error_of_the_process() {
    let Some(world) = World::with_spec(spec("export default {};"), |config| {
        config.binary = "/does/not/exist".into();
    }) else {
        return;
    };
    let error = world.runtime.check(world.spec.clone()).await.unwrap_err();
    assert!(
        matches!(&error, WorkerError::Process(message) if message.contains("/does/not/exist")),
        "{error:?}"
    );
}

/// Ids of the processes below this one whose command line names the folder.
pub(crate) fn processes_in(folder: &Path) -> Vec<i32> {
    let all = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    all.filter(|pid: &i32| {
        std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder))
    })
    .collect()
}

fn kill(pid: i32) {
    let status = std::process::Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn a_killed_process_loses_its_runs_and_a_new_one_takes_over() {
    let code = "await step.sleep('z', 1000); return event.payload;";
    let Some(mut world) = World::with_flow(code) else {
        return;
    };
    world.start("1");
    world.start("2");
    let _ = (world.called().await, world.called().await);
    for pid in processes_in(world.run_dir()) {
        kill(pid);
    }
    let batch = world.batch().await;
    assert_eq!(batch.len(), 2);
    assert!(
        batch
            .iter()
            .all(|report| matches!(report.kind, ReportKind::Lost { .. })),
        "{batch:?}"
    );
    let run = world.start("3");
    assert_eq!(world.output(run).await, "3");
}

#[tokio::test]
async fn an_endless_loop_ends_its_process() {
    let code = "if (event.payload === 'spin') for (;;) {} return 'fine';";
    let configure =
        |config: &mut cairn_runtime::workerd::WorkerdConfig| config.heartbeat = Duration::from_millis(600);
    let Some(mut world) = World::with_spec(spec(&flow(code)), configure) else {
        return;
    };
    world.start("\"spin\"");
    let ReportKind::Faulted(fault) = world.next().await else {
        panic!()
    };
    assert_eq!(
        (fault.others, fault.company, fault.is_its_own()),
        (0, Company::Any, false)
    );
    assert!(
        fault.error.message.contains("it did not answer for 0.6 seconds"),
        "{fault:?}"
    );
    let run = world.start("{}");
    assert_eq!(world.output(run).await, "\"fine\"");
}

/// The process that a run has for itself tells that it was this run; others go on, on theirs.
#[tokio::test]
async fn who_takes_all_memory_alone_is_told_apart() {
    let code = "if (event.payload === 'take') { const all = []; for (;;) { all.push(new Uint8Array(1 << 20).fill(1)); if (all.length % 16 === 0) await scheduler.wait(1); } }
        return event.payload;";
    let configure = |config: &mut cairn_runtime::workerd::WorkerdConfig| config.memory_mebibytes = 256;
    let Some(mut world) = World::with_spec(spec(&flow(code)), configure) else {
        return;
    };
    let taker = world.start_in(Company::AtMost(1), "\"take\"");
    let (second, third) = (
        world.start_in(Company::AtMost(1), "2"),
        world.start_in(Company::AtMost(1), "3"),
    );
    let mut ended = Vec::new();
    while ended.len() < 3 {
        for report in world.batch().await {
            match report.kind {
                ReportKind::Faulted(fault) => {
                    assert!(fault.is_its_own(), "{fault:?}");
                    assert!(
                        fault.error.message.starts_with("Worker exceeded memory limit"),
                        "{fault:?}"
                    );
                    assert_eq!(report.run, taker);
                }
                ReportKind::Returned { .. } => assert!([second, third].contains(&report.run)),
                other => panic!("{other:?}"),
            }
            ended.push(report.run);
        }
    }
    // What the process of the first left is gone; the places are free for any number.
    let runs: Vec<_> = (0..10)
        .map(|number| world.start_in(Company::AtMost(8), &number.to_string()))
        .collect();
    for _ in runs {
        assert!(matches!(world.next().await, ReportKind::Returned { .. }));
    }
    // One that is stopped while it waits for a place does not get it.
    let spins: Vec<_> = (0..2)
        .map(|_| world.start_in(Company::AtMost(1), "\"take\""))
        .collect();
    let waits = world.start_in(Company::AtMost(1), "4");
    world.runtime.perform(vec![Command::Stop { run: waits }]);
    let mut lost: Vec<_> = Vec::new();
    while lost.len() < 2 {
        lost.extend(world.batch().await.into_iter().map(|report| report.run));
    }
    lost.sort_unstable();
    assert_eq!(lost, spins);
}

/// Bad ends of runs that do not disturb the others.
#[tokio::test]
async fn runs_do_not_disturb_each_other() {
    let code = "if (event.payload === 1) { setTimeout(() => { throw new Error('in a timer'); }, 0); await step.do('t', async () => new Promise((r) => setTimeout(r, 5))); }
        if (event.payload === 2) { Promise.reject(new Error('unhandled')); }
        if (event.payload === 3) { const f = () => f() + 1; f(); }
        return await step.do('s', async () => 'fine');";
    let Some(mut world) = World::with_flow(code) else {
        return;
    };
    for payload in ["1", "2", "4"] {
        let run = world.start(payload);
        assert_eq!(world.output(run).await, "\"fine\"");
    }
    let run = world.start("3");
    let ReportKind::Raised(raised) = world.finish(run).await else {
        panic!()
    };
    assert_eq!(raised.error.name, "RangeError");
}

/// A request that is answered after a minute, or never.
async fn hang(socket: &Path) -> UnixStream {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream
        .write_all(b"GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    stream
}

/// Waits until the process that a request hangs on has ended.
async fn closed(mut stream: UnixStream) {
    let mut buffer = [0; 16];
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read(&mut buffer)).await;
    assert!(matches!(read.expect("the process ends"), Ok(0) | Err(_)));
}

const SLOW: &str = "let calls = 0;
    export default { async fetch(request) {
        if (request.url.endsWith('/hang')) await scheduler.wait(60_000);
        if (request.url.endsWith('/slow')) await scheduler.wait(600);
        return new Response(String(++calls));
    } };";

#[tokio::test]
async fn an_idle_process_is_stopped() {
    let configure = |config: &mut cairn_runtime::workerd::WorkerdConfig| {
        config.idle = Duration::from_millis(200);
    };
    let Some(mut world) = World::with_spec(spec(&(flow("return 1;") + SLOW)), configure) else {
        return;
    };
    // Its socket is held: it stays for longer than that.
    let socket = world.runtime.public_socket(&world.worker).await.unwrap();
    assert_eq!(get(&socket, "/slow").await, "1");
    assert_eq!(get(&socket, "/").await, "2");
    // Not held: it goes.
    let hanging = hang(socket.path()).await;
    drop(socket);
    closed(hanging).await;
    // Wanted again: it comes back, anew, and of the first one nothing is left.
    let run = world.start("{}");
    assert_eq!(world.output(run).await, "1");
    let socket = world.runtime.public_socket(&world.worker).await.unwrap();
    assert_eq!(get(&socket, "/").await, "1");
    assert_eq!(std::fs::read_dir(world.run_dir()).unwrap().count(), 1);
}

#[tokio::test]
async fn retired_and_shut_down() {
    let Some(mut world) = World::with_flow("await step.sleep('z', 1000);") else {
        return;
    };
    world.start("{}");
    let _ = world.called().await;
    world.runtime.retire(&world.worker);
    assert!(matches!(world.next().await, ReportKind::Lost { .. }));
    let run = world.start("{}");
    let _ = world.called().await;
    world.runtime.shutdown().await;
    assert!(processes_in(world.run_dir()).is_empty());
    assert!(matches!(world.next().await, ReportKind::Lost { .. }));
    world.perform([Command::Stop { run }]);
}

/// User code that may not reach this machine does not.
#[tokio::test]
async fn egress_is_public_only_unless_allowed() {
    use cairn_runtime::workerd::Egress;
    for (egress, expected) in [(Egress::PublicOnly, "\"refused\""), (Egress::Any, "\"reached\"")] {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let code = format!(
            "try {{ const response = await fetch('http://{}/'); return await response.text(); }} catch {{ return 'refused'; }}",
            server.local_addr().unwrap()
        );
        let served = tokio::spawn(async move {
            let (mut stream, _) = server.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await.unwrap();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nreached")
                .await
                .unwrap();
        });
        let Some(mut world) = World::with_spec(spec(&flow(&code)), |config| config.egress = egress) else {
            return;
        };
        let run = world.start("{}");
        assert_eq!(world.output(run).await, expected);
        served.abort();
    }
}

/// The helper process of the test below: serves until it is killed.
#[tokio::test]
#[ignore = "started by the test of orphans"]
async fn helper_that_is_killed() {
    let Some(world) = World::with_spec(spec(SLOW), |_| {}) else {
        return;
    };
    let socket = world.runtime.public_socket(&world.worker).await.unwrap();
    println!("socket: {}", socket.path().display());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn no_process_outlives_a_killed_cairn() {
    if crate::harness::workerd().is_none() {
        return;
    }
    let mut helper = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "processes::helper_that_is_killed",
            "--ignored",
            "--nocapture",
        ])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let stdout = tokio::io::BufReader::new(helper.stdout.take().unwrap());
    let mut lines = tokio::io::AsyncBufReadExt::lines(stdout);
    let socket = loop {
        let line = lines
            .next_line()
            .await
            .unwrap()
            .expect("the helper says where it is");
        if let Some((_, socket)) = line.split_once("socket: ") {
            break std::path::PathBuf::from(socket);
        }
    };
    let hanging = hang(&socket).await;
    kill(i32::try_from(helper.id().unwrap()).unwrap());
    helper.wait().await.unwrap();
    closed(hanging).await;
    let run_dir = socket.parent().and_then(Path::parent).unwrap();
    std::fs::remove_dir_all(run_dir).unwrap();
}
