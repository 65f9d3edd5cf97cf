//! What the SDKs' scripts work with: a real server with the Worker of `tests/clients`, and an instance that a schedule made.

use cairn_tests::{Rest, Running, Scratch, TOKEN, cairn, clients, until};
use serde_json::json;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// The longest that a script may take: a machine under load is slow, not wrong.
const PATIENCE: Duration = Duration::from_secs(180);

/// The server.
pub(crate) struct World {
    server: Running,
    /// What the test itself asks it.
    pub(crate) rest: Rest,
    /// Where it is.
    pub(crate) origin: String,
    /// The instance that a schedule made.
    pub(crate) scheduled_id: String,
    _data: Scratch,
}

impl World {
    /// A server of `cairn serve` in whose data a schedule has fired: `cairn dev`, whose clock can be put forward, ran there before.
    pub(crate) async fn start() -> Self {
        let data = Scratch::new();
        let project = clients();
        let dev = [
            "dev",
            project.to_str().unwrap(),
            "--port",
            "0",
            "--data-dir",
            data.text(),
        ];
        let mut dev = cairn!().start(&dev);
        let rest = dev.rest().await;
        dev.until_said("To start an instance").await;
        let scheduled_id = fire(&mut dev, &rest).await;
        dev.stop().await.expect(0);
        let (mut server, rest) = cairn!().serve(data.path()).await;
        let origin = format!("http://{}", server.address().await);
        Self {
            server,
            rest,
            origin,
            scheduled_id,
            _data: data,
        }
    }

    /// Runs a script to its end, then stops the server; panics with what the script said when it does not succeed.
    pub(crate) async fn passes(self, script: Command) {
        self.passes_within(PATIENCE, script).await;
    }

    /// The same, with a time of its own; gives what the script said.
    pub(crate) async fn passes_within(self, patience: Duration, mut script: Command) -> String {
        let ended = script
            .env("CLOUDFLARE_BASE_URL", format!("{}/client/v4", self.origin))
            .env("CLOUDFLARE_API_TOKEN", TOKEN)
            .env("CAIRN_SCHEDULED_ID", &self.scheduled_id)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let ended = tokio::time::timeout(patience, ended).await;
        let ended = ended
            .unwrap_or_else(|_| panic!("{script:?} did not end in {patience:?}"))
            .unwrap();
        let said =
            String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{script:?}: {}\n{said}", ended.status);
        self.server.stop().await.expect(0);
        said
    }
}

/// Puts the clock forward until the schedule has fired; gives the id of the instance, which has ended.
async fn fire(dev: &mut Running, rest: &Rest) -> String {
    let url = format!("http://{}/cairn/v1/test/clock", dev.address().await);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let put = http.post(url).json(&json!({ "advance": "3 hours" })).send().await;
    assert_eq!(put.unwrap().status(), 200);
    until("the schedule has fired", || async {
        let listed = rest.get("/workflows/nightly/instances?status=complete").await;
        let row = listed.result().as_array().unwrap().last().cloned();
        row.map(|row| row["id"].as_str().unwrap().to_owned())
    })
    .await
}
