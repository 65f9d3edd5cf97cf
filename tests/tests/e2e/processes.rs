//! Stopping, killing, and what is left of it.

use cairn_tests::{Scratch, cairn, example, is_alive};

const SLEEPY: [&str; 4] = [
    "--id",
    "nap",
    "--params",
    r#"{"text":"wake up","after":"2 seconds"}"#,
];

#[tokio::test]
async fn ctrl_c_stops_cleanly_and_tells_how_to_go_on() {
    let data = Scratch::new();
    let mut run = cairn!().start_project(&example("reminder"), data.path(), &SLEEPY);
    run.until_said("until then-1 sleeps").await;
    run.signal(libc::SIGINT);
    let ended = run.end().await.expect(130);
    assert_eq!(ended.stdout, "");
    assert!(
        ended.stderr.contains("Stopped. To go on:\n  cairn run "),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.trim_end().ends_with("--id nap"), "{}", ended.stderr);

    let ended = cairn!()
        .run_project(&example("reminder"), data.path(), &["--id", "nap"])
        .await
        .expect(0);
    assert!(ended.stdout.contains("Remember: wake up"), "{}", ended.stdout);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_workerd_outlives_a_cairn_that_was_killed() {
    let data = Scratch::new();
    let mut run = cairn!().start_project(&example("reminder"), data.path(), &SLEEPY);
    run.until_said("until then-1 sleeps").await;
    let children = run.children();
    assert!(!children.is_empty(), "a workerd runs");
    run.kill().await;
    cairn_tests::until("they are gone", || async {
        (!children.iter().any(|pid| is_alive(*pid))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_data_directory_has_one_server() {
    let data = Scratch::new();
    let (server, _) = cairn!().serve(data.path()).await;
    let ended = cairn!()
        .run_project(&example("hello"), data.path(), &[])
        .await
        .expect(2);
    assert!(ended.stderr.contains("error: "), "{}", ended.stderr);
    assert!(ended.stderr.contains(data.text()), "{}", ended.stderr);
    server.stop().await.expect(0);
    cairn!()
        .run_project(&example("hello"), data.path(), &[])
        .await
        .expect(0);
}

#[tokio::test]
async fn a_server_makes_its_token_once_and_wants_it() {
    let data = Scratch::new();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", data.text()];
    let mut server = cairn!().start(&arguments);
    let rest = server.rest().await;
    assert_eq!(rest.get("/workflows").await.status, 401);
    let said = server.said();
    let token = said
        .split_whitespace()
        .find(|word| word.starts_with("cairn_") && !word.contains("::"))
        .expect("the token is shown");
    let (address, token) = (server.address().await, token.to_owned());
    let answer = cairn_tests::Rest::new(address, &token).get("/workflows").await;
    assert_eq!(answer.result(), &serde_json::json!([]));
    server.stop().await.expect(0);

    let mut server = cairn!().start(&arguments);
    let address = server.address().await;
    assert!(!server.said().contains("root token"), "{}", server.said());
    let answer = cairn_tests::Rest::new(address, &token).get("/workflows").await;
    assert_eq!(answer.status, 200);
    server.stop().await.expect(0);
}

#[tokio::test]
async fn what_user_code_logs_is_shown_with_its_step() {
    let source = r#"
        import { WorkflowEntrypoint } from "cloudflare:workers";
        export class Talk extends WorkflowEntrypoint {
          async run(event, step) {
            return await step.do("say", async () => { console.log("a word from inside"); return 7; });
          }
        }
        export default {};"#;
    let project = Scratch::project("talk", "Talk", source);
    let data = Scratch::new();
    let ended = cairn!()
        .run_project(project.path(), data.path(), &[])
        .await
        .expect(0);
    assert_eq!(ended.stdout, "7\n");
    let line = ended
        .stderr
        .lines()
        .find(|line| line.contains("a word from inside"));
    let line = line.unwrap_or_else(|| panic!("{}", ended.stderr));
    assert!(line.contains("talk") && line.contains("say-1"), "{line}");
}
