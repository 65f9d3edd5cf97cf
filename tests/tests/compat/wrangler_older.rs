//! An older wrangler, unmodified: who has not updated deploys all the same.

use crate::harness::{Wrangler, source, until_status};
use cairn_tests::{Scratch, Wrangler as Installed, cairn};

#[tokio::test]
async fn an_older_wrangler_deploys_first_and_again_and_shows_instances() {
    let Some(installed) = Installed::older() else {
        return;
    };
    let data = Scratch::new();
    let (mut server, rest) = cairn!().serve(data.path()).await;
    let base_url = format!("http://{}/client/v4", server.address().await);
    let wrangler = Wrangler::new(installed, base_url, cairn_tests::TOKEN);
    wrangler.run("--version").await.has(&["4.86.0"]);

    let first = wrangler.run("deploy").await;
    let first = first.has(&["Uploaded compat", "workflow: compat-flow"]);
    let first = first.after("Current Version ID:");
    assert_eq!(rest.worker("compat", "/").await, (200, "one".to_owned()));
    wrangler.project.write("src/index.ts", &source("two"));
    let second = wrangler.run("deploy").await.has(&["workflow: compat-flow"]);
    assert_ne!(first, second.after("Current Version ID:"));
    assert_eq!(rest.worker("compat", "/").await, (200, "two".to_owned()));

    wrangler.trigger("first", "Ada").await;
    until_status(&rest, "first", "waiting").await;
    wrangler
        .run("workflows instances list compat-flow")
        .await
        .has(&["first", "Waiting"]);
    wrangler
        .run("workflows instances describe compat-flow first")
        .await
        .has(&["Waiting", "greet-1", "Hello, Ada (two)", "answer-1"]);
    wrangler
        .run("workflows instances terminate compat-flow first")
        .await
        .has(&["was terminated"]);
    until_status(&rest, "first", "terminated").await;
    wrangler
        .run("workflows list")
        .await
        .has(&["compat-flow", "CompatFlow"]);
    server.stop().await.expect(0);
}
