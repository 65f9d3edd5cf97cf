//! Claims of one instance that cross each other.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers outside of #[test] functions

mod world;

use cairn_engine::{Control, RestartFrom, Settings, Status, WorkflowSettings};
use cairn_runtime::Command;
use cairn_store::MemoryStore;
use tokio::time::Instant;
use world::{ACCOUNT, World};

/// Turns that other tasks take between the start of a server and the message: one of these numbers has the message between two claims.
const TURNS: usize = 40;

/// A message makes an instance due: the one claim takes it because it is due, the other because of the message.
#[tokio::test(start_paused = true)]
async fn an_instance_that_two_claims_take_starts_once() {
    for turns in 0..TURNS {
        let store = MemoryStore::new();
        let begun = Instant::now();
        let mut first = World::on(store.clone(), Settings::default(), begun).await;
        first.upload("index.js").await;
        first.put("flow", WorkflowSettings::default()).await;
        first.create("flow", &["a"]).await;
        first.pass(10).await;
        first.finish("a").await;
        first.engine.shutdown().await;

        let mut second = World::on(store, Settings::default(), begun).await;
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        let restart = ("a", Control::Restart(RestartFrom::Beginning));
        second.engine.control(ACCOUNT, "flow", restart).await.unwrap();
        second.pass(10).await;
        let is_start = |command: &&Command| matches!(command, Command::Start(_));
        let starts = second.commands.iter().filter(is_start).count();
        assert_eq!(starts, 1, "after {turns} turns");
        second.finish("a").await;
        assert_eq!(second.status("a").await, Status::Complete);
        second.engine.shutdown().await;
    }
}
