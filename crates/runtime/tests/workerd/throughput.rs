//! How many steps a second go through one process. Ignored: `cargo test --release -p cairn-runtime --test workerd -- --ignored --nocapture`.

use crate::harness::World;
use cairn_core::{CallRequest, Callback};
use cairn_runtime::{Command, Outcome, ReportKind, Runtime as _};
use std::time::Instant;

const FLOW: &str = "for (let i = 0; i < event.payload; i++) await step.do(`step ${i}`, async () => ({ i }));";

/// CPU time of a process, in microseconds.
fn cpu_micros(pid: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    // Hundredths of a second, in user code and in the kernel.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) * 10_000.0
}

/// Runs so many instances of so many steps, as an engine that keeps results in no time.
async fn measure(runs: usize, steps: usize) {
    let Some(mut world) = World::with_flow(FLOW) else {
        return;
    };
    world.runtime.check(world.spec.clone()).await.unwrap();
    let pid = crate::processes::processes_in(world.run_dir())[0].to_string();
    for round in 0..3 {
        let cpu = || (cpu_micros("self"), cpu_micros(&pid));
        let (began, cpu_before) = (Instant::now(), cpu());
        for _ in 0..runs {
            world.start(&steps.to_string());
        }
        let (mut ended, mut frames, mut done) = (0, 0, 0);
        while ended < runs {
            frames += 1;
            let mut commands = Vec::new();
            for report in world.batch().await {
                match report.kind {
                    ReportKind::Called(call) => {
                        assert!(matches!(
                            call.request,
                            CallRequest::Do {
                                callback: Callback::Executing,
                                ..
                            }
                        ));
                    }
                    ReportKind::AttemptSucceeded { call, .. } => {
                        done += 1;
                        commands.push(Command::Settle {
                            run: report.run,
                            call,
                            outcome: Outcome::Stored,
                        });
                    }
                    ReportKind::Returned { .. } => ended += 1,
                    other => panic!("{other:?}"),
                }
            }
            if !commands.is_empty() {
                world.runtime.perform(commands);
            }
        }
        assert_eq!(done, runs * steps);
        let took = began.elapsed();
        let rate = done as f64 / took.as_secs_f64();
        let (rust, workerd) = (cpu().0 - cpu_before.0, cpu().1 - cpu_before.1);
        println!(
            "round {round}: {runs} runs of {steps} steps: {took:?}, {rate:.0} steps/s, {frames} frames; CPU a step: {:.1} µs here, {:.1} µs in workerd",
            rust / done as f64,
            workerd / done as f64
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn steps_per_second() {
    measure(100, 100).await;
    measure(1000, 100).await;
    measure(1, 1000).await;
}
