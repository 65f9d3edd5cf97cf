//! Probes of a server whose database does not write, and whose workerd is gone.

use cairn_tests::{Running, Scratch, TOKEN, cairn, until, workerd};
use serde_json::{Value, json};
use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

/// The byte of the shared index that SQLite locks to write.
const WRITE_LOCK: i64 = 120;

const SOURCE: &str = "import { WorkflowEntrypoint } from 'cloudflare:workers';
    export class Idle extends WorkflowEntrypoint { async run() {} }
    export default {};";

async fn probe(address: SocketAddr, path: &str) -> (u16, Value) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = client
        .get(format!("http://{address}{path}"))
        .send()
        .await
        .unwrap();
    let status = response.status().as_u16();
    (
        status,
        serde_json::from_str(&response.text().await.unwrap()).unwrap(),
    )
}

/// Keeps others from writing to a database until it is dropped.
struct Blocked(#[expect(dead_code, reason = "the lock ends with it")] File);

impl Blocked {
    fn begin(data: &Scratch) -> Self {
        let index = data.path().join("cairn.db-shm");
        let file = File::options().read(true).write(true).open(index).unwrap();
        let lock = libc::flock {
            l_type: libc::F_WRLCK as i16,
            l_whence: libc::SEEK_SET as i16,
            l_start: WRITE_LOCK,
            l_len: 1,
            l_pid: 0,
        };
        // SAFETY: fcntl(2) only reads the structure, which outlives the call.
        let outcome = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLKW, &lock) };
        assert_eq!(outcome, 0);
        Self(file)
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_database_that_does_not_write_is_told_until_it_does() {
    let data = Scratch::new();
    let mut server = cairn!().start_server(data.path());
    let (address, rest) = (server.address().await, server.rest().await);
    rest.deploy("idle", "Idle", SOURCE).await;
    assert_eq!(probe(address, "/readyz").await.0, 200);
    let blocked = Blocked::begin(&data);
    let create = rest.post("/workflows/idle/instances", &json!({})).await;
    assert_eq!(create.status, 503, "{}", create.body);
    let (status, report) = probe(address, "/readyz").await;
    assert_eq!(status, 503);
    assert_eq!(
        report["checks"],
        json!({ "database": "the last write failed; the log says why", "engine": "ok", "serving": "ok", "workerd": "ok" })
    );
    // A restart would not help.
    assert_eq!(
        probe(address, "/healthz").await,
        (200, json!({ "status": "ok", "checks": { "engine": "ok" } }))
    );
    drop(blocked);
    until("it writes again", || async {
        (probe(address, "/readyz").await.0 == 200).then_some(())
    })
    .await;
    server.stop().await.expect(0);
}

#[tokio::test]
async fn a_workerd_that_is_gone_is_told() {
    let (data, place) = (Scratch::new(), Scratch::new());
    let program = place.path().join("workerd");
    if std::fs::copy(workerd(), &program).is_err() {
        assert!(
            std::env::var_os("CI").is_none(),
            "npm install in tests/ brings workerd"
        );
        println!("skipped: there is no workerd; run npm install in tests/");
        return;
    }
    let mut command = cairn!().command(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data.text()]);
    command
        .env("CAIRN_ROOT_TOKEN", TOKEN)
        .env("CAIRN_WORKERD", &program);
    let mut server = Running::watch(command);
    let address = server.address().await;
    std::fs::remove_file(&program).unwrap();
    let (status, report) = probe(address, "/readyz").await;
    assert_eq!(
        (status, &report["checks"]["workerd"]),
        (503, &json!("the program of workerd is gone"))
    );
    server.stop().await.expect(0);
}
