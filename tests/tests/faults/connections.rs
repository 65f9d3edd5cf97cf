//! Connections that say nothing, or very slowly.

use crate::watch::{create, memory, path, serve};
use cairn_tests::{Rest, Running, Scratch, TOKEN, cairn};
use serde_json::json;
use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// As many sockets as this process may have, up to 10,000.
fn as_many_as_possible() -> usize {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: plain system calls that fill and read a struct on the stack.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
    }
    usize::try_from(limit.rlim_cur)
        .unwrap_or(usize::MAX)
        .saturating_sub(500)
        .min(10_000)
}

async fn connect(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        let some: Vec<_> = (all.len()..count.min(all.len() + 250))
            .map(|_| tokio::spawn(TcpStream::connect(address)))
            .collect();
        for stream in some {
            all.push(stream.await.unwrap().unwrap());
        }
    }
    all
}

/// The slowest of some calls of the status of an instance, each over a new connection.
async fn slowest(address: SocketAddr) -> Duration {
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let begun = Instant::now();
        let rest = Rest::new(address, TOKEN);
        rest.get(&path("flow", "one")).await.result();
        slowest = slowest.max(begun.elapsed());
    }
    slowest
}

/// Whether the other end has closed, waiting for it.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut answer = Vec::new();
    match tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => error.kind() == ErrorKind::ConnectionReset,
        Err(_) => false,
    }
}

const FLOW: &str = "import { WorkflowEntrypoint } from 'cloudflare:workers';
    export class Flow extends WorkflowEntrypoint { async run(_, step) { await step.waitForEvent('go', { type: 'go' }); } }
    export default {};";

async fn world(data: &Scratch, settings: &[&str]) -> (Running, SocketAddr) {
    let (mut server, rest) = serve(&cairn!(), data.path(), settings).await;
    rest.deploy("flow", "Flow", FLOW).await;
    create(&rest, "flow", "one", json!({})).await;
    let address = server.address().await;
    (server, address)
}

#[tokio::test]
async fn ten_thousand_that_say_nothing_keep_nobody_out() {
    let count = as_many_as_possible();
    let data = Scratch::new();
    let (server, address) = world(&data, &[]).await;
    let before = memory(server.pid(), "VmRSS");
    let begun = Instant::now();
    let silent = connect(address, count).await;
    let opened = begun.elapsed();
    let slowest = slowest(address).await;
    let memory = memory(server.pid(), "VmRSS").saturating_sub(before);
    println!(
        "{count} silent connections, opened in {opened:?}: the slowest status took {slowest:?}; {} KiB each",
        memory * 1_024 / count as u64
    );
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    let held = fs::read_dir(format!("/proc/{}/fd", server.pid()))
        .unwrap()
        .count();
    assert!(held > count * 9 / 10, "{held} of {count} are held");
    assert!(memory * 1_024 / (count as u64) < 32, "{memory} MiB");
    drop(silent);
    server.stop().await.expect(0);
}

#[tokio::test]
async fn who_sends_a_byte_at_a_time_is_cut_off() {
    let data = Scratch::new();
    let (server, address) = world(&data, &["limits.idle_connection_millis=2000"]).await;
    let mut silent = connect(address, 50).await;
    // Headers, slowly.
    let mut headers = connect(address, 50).await;
    let begun = Instant::now();
    let mut is_open = vec![true; headers.len()];
    while is_open.contains(&true) {
        assert!(begun.elapsed() < Duration::from_secs(20), "they are still taken");
        for (stream, is_open) in headers.iter_mut().zip(&mut is_open) {
            *is_open = *is_open && stream.write_all(b"G").await.is_ok();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(begun.elapsed() >= Duration::from_secs(2));
    for stream in &mut silent {
        assert!(is_closed(stream).await, "one that says nothing is still open");
    }
    // A body of which nothing more comes, from somebody who has no token: the answer does not wait for it.
    let mut body = connect(address, 1).await.remove(0);
    let request = "POST /client/v4/accounts/local/workflows/flow/instances HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n{";
    body.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    let read = tokio::time::timeout(Duration::from_secs(20), body.read_exact(&mut answer));
    read.await.expect("an answer comes").unwrap();
    assert_eq!(answer, b"HTTP/1.1 401");
    assert!(is_closed(&mut body).await);
    assert!(slowest(address).await < Duration::from_secs(1));
    server.stop().await.expect(0);
}

/// With few files, idle connections make room for new ones.
#[tokio::test]
async fn where_files_are_few_the_idle_ones_make_room() {
    let data = Scratch::new();
    let arguments = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--egress",
        "any",
        "--data-dir",
        data.text(),
    ];
    let mut command = cairn!().command(&arguments);
    command.env("CAIRN_ROOT_TOKEN", TOKEN).env("CAIRN_LOG", "info");
    // SAFETY: one system call between fork and exec, on a struct on the stack.
    unsafe {
        command.pre_exec(|| {
            let few = libc::rlimit {
                rlim_cur: 256,
                rlim_max: 400,
            };
            match libc::setrlimit(libc::RLIMIT_NOFILE, &raw const few) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    let mut server = Running::watch(command);
    let rest = server.rest().await;
    rest.deploy("flow", "Flow", FLOW).await;
    create(&rest, "flow", "one", json!({})).await;
    let address = server.address().await;
    let silent = connect(address, 600).await;
    assert!(slowest(address).await < Duration::from_secs(1));
    // Who was in the middle of something was let be.
    rest.post(&format!("{}/events/go", path("flow", "one")), &json!({}))
        .await
        .result();
    let said = server.until_said("all connections are taken").await;
    assert!(
        said.lines()
            .filter(|line| line.contains("all connections are taken"))
            .count()
            <= 3,
        "{said}"
    );
    assert!(!said.contains("ERROR"), "{said}");
    drop(silent);
    server.stop().await.expect(0);
}
