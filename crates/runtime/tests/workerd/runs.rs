//! Runs: steps, retries, replay, errors.

use crate::harness::World;

#[tokio::test]
async fn hello() {
    let code = "const greeting = await step.do('greet', async (ctx) => `${this.env.GREETING}, ${event.payload.name}!`);
        return { greeting, event };";
    let Some(mut world) = World::with_flow(code) else {
        return;
    };
    let run = world.start(r#"{"name":"Ada"}"#);
    assert_eq!(
        world.output(run).await,
        "{\"greeting\":\"hello \\\"\\\\\\n\u{1F600}, Ada!\",\"event\":{\"payload\":{\"name\":\"Ada\"},\
         \"timestamp\":\"2023-11-14T22:13:20.000Z\",\"instanceId\":\"instance-1\",\"workflowName\":\"flow\"}}"
    );
}
