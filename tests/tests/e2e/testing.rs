//! What tests of users get: the package `@cairn/testing` against the real binary, and nothing of it where a server is no developer's own.

use cairn_tests::{Scratch, TOKEN, Wrangler, cairn, esbuild, workerd};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;

#[tokio::test]
async fn the_package_passes_its_own_tests() {
    let Some(Wrangler { node, .. }) = Wrangler::installed() else {
        return;
    };
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packages/testing");
    let mut tests: Vec<_> = fs::read_dir(package.join("test"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".test.js"))
        .collect();
    tests.sort();
    assert!(tests.len() > 1, "{tests:?}");
    let mut command = Command::new(node);
    command
        .arg("--test")
        .args(tests)
        .current_dir(&package)
        .env("CAIRN_BIN", env!("CARGO_BIN_EXE_cairn"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for (variable, file) in [("CAIRN_WORKERD", workerd()), ("CAIRN_ESBUILD", esbuild())] {
        if file.is_file() {
            command.env(variable, file);
        }
    }
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    // Node ends well when it finds no test at all.
    assert!(!said.contains("\n# pass 0\n"), "{said}");
}

#[tokio::test]
async fn a_server_of_its_own_has_no_routes_for_tests() {
    let data = Scratch::new();
    let (server, _) = cairn!().serve(data.path()).await;
    let said = server.said();
    let (_, address) = said.split_once("listens on http://").unwrap();
    let (address, _) = address.split_once(',').unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = async |path: &str| {
        let request = http.post(format!("http://{address}{path}"));
        let request = request.bearer_auth(TOKEN).body(r#"{"advance":1}"#);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (status, unknown) = post("/cairn/v1/nothing").await;
    assert_eq!(status, 404, "{unknown}");
    let (status, clock) = post("/cairn/v1/test/clock").await;
    assert_eq!(
        (status, clock),
        (404, unknown.replace("v1/nothing", "v1/test/clock"))
    );
    server.stop().await.expect(0);
}
