//! Where `console.*` of user code ends up.

use crate::harness::{World, flow, lines_of, spec};

#[tokio::test]
async fn lines_name_their_run_and_step() {
    let code = flow(
        "console.log('from run', { a: 1n, list: [1, 'x'] });
        await step.do('first', async () => { console.warn('in step'); await step.do('inner', async () => console.debug('in inner')); console.error(new TypeError('shown')); });
        Promise.reject(new RangeError('nobody listens'));
        await step.do('last', async () => null);",
    ) + "console.log('at start of the module');";
    let mut spec = spec(&code);
    spec.script = "logging".into();
    let Some(mut world) = World::with_spec(spec, |_| {}) else {
        return;
    };
    let run = world.start("{}");
    assert_eq!(world.output(run).await, "null");
    world.runtime.shutdown().await;
    let mut lines = lines_of("logging");
    lines.sort();
    let lines: Vec<String> = lines
        .iter()
        .map(|line| line.split("\n").next().unwrap().to_owned())
        .collect();
    expect_test::expect![[r#"
        DEBUG flow/instance-1 inner-1: in inner
        ERROR flow/instance-1 : Unhandled promise rejection: RangeError: nobody listens
        ERROR flow/instance-1 first-1: TypeError: shown
        INFO / : at start of the module
        INFO flow/instance-1 : from run { "a": "1n", "list": [ 1, "x" ] }
        WARN flow/instance-1 first-1: in step"#]]
    .assert_eq(&lines.join("\n"));
}

#[tokio::test]
async fn lines_of_a_request_are_nobodys() {
    let code = flow("return 1;")
        + "export default { fetch() { console.log('served'); return new Response('ok'); } };";
    let mut spec = spec(&code);
    spec.script = "serving".into();
    let Some(world) = World::with_spec(spec, |_| {}) else {
        return;
    };
    let socket = world.runtime.public_socket(&world.worker).await.unwrap();
    assert_eq!(crate::processes::get(&socket, "/").await, "ok");
    // The output of a process has been read when it is gone.
    world.runtime.shutdown().await;
    assert_eq!(lines_of("serving"), ["INFO / : served"]);
}
