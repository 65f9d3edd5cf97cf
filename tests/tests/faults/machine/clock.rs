//! The clock of the machine is set, by an hour, while the server runs.

use super::world::{Machine, Work, status, until_status};
use cairn_tests::{Answer, Rest, within};
use serde_json::{Value, json};
use std::time::Duration;

const HOUR: i64 = 3_600;
/// Housekeeping looks at the clock every ten seconds, and a clock that was set back goes at half its speed.
const SOON: Duration = Duration::from_secs(40);

/// Instances in each state that waits: for a nap, for the next attempt, for an event, and one that is at work.
struct Waiting {
    nap: String,
    retry: String,
    event: String,
    busy: String,
}

impl Waiting {
    /// Creates them and waits until they wait.
    async fn begin(work: &mut Work, rest: &Rest, nap: Value) -> Self {
        let waiting = Self {
            nap: work.create(rest, 1, json!({ "nap": nap })).await.unwrap(),
            retry: work
                .create(rest, 1, json!({ "flaky": true, "delay": nap }))
                .await
                .unwrap(),
            event: work.create(rest, 1, json!({ "wait": true })).await.unwrap(),
            busy: work.create(rest, 40, json!({ "nap": 150 })).await.unwrap(),
        };
        for id in [&waiting.nap, &waiting.retry, &waiting.event] {
            until_status(rest, id, "waiting").await;
        }
        waiting
    }

    fn all(&self) -> Vec<String> {
        [&self.nap, &self.retry, &self.event, &self.busy]
            .map(Clone::clone)
            .to_vec()
    }
}

async fn send_event(rest: &Rest, id: &str) {
    let sent = rest
        .post(&format!("/workflows/worker/instances/{id}/events/go"), &json!({}))
        .await;
    sent.result();
}

/// The moments in the page of an instance, in its order.
fn moments(details: &Answer) -> Vec<String> {
    let steps = details.result()["steps"].as_array().unwrap();
    steps
        .iter()
        .flat_map(|step| [step["start"].as_str(), step["end"].as_str()])
        .flatten()
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn an_hour_forward_wakes_what_is_due_and_nothing_else() {
    let Some(machine) = Machine::new() else { return };
    let (server, rest) = machine.serve().await;
    let mut work = Work::deploy(&rest).await;
    let waiting = Waiting::begin(&mut work, &rest, json!("30 minutes")).await;
    machine.breaks(&[format!("clock {HOUR}")]);
    for id in [&waiting.nap, &waiting.retry] {
        within(SOON, &format!("{id} wakes"), || async {
            (status(&rest, id).await == "complete").then_some(())
        })
        .await;
    }
    // Its deadline is two hours away.
    assert_eq!(status(&rest, &waiting.event).await, "waiting");
    send_event(&rest, &waiting.event).await;
    work.all_complete(&rest, &waiting.all()).await;
    assert_eq!(work.executions(&waiting.nap, "act 0").len(), 1);
    assert_eq!(work.executions(&waiting.retry, "act 0").len(), 2);
    server.stop().await.expect(0);
}

#[tokio::test]
async fn an_hour_back_repeats_nothing_and_holds_up_nothing() {
    let Some(machine) = Machine::new() else { return };
    let (server, rest) = machine.serve().await;
    let mut work = Work::deploy(&rest).await;
    let waiting = Waiting::begin(&mut work, &rest, json!("5 seconds")).await;
    let before = rest
        .get(&format!("/workflows/worker/instances/{}", waiting.busy))
        .await;
    machine.breaks(&[format!("clock -{HOUR}")]);
    for id in [&waiting.nap, &waiting.retry] {
        within(SOON, &format!("{id} wakes"), || async {
            (status(&rest, id).await == "complete").then_some(())
        })
        .await;
    }
    let later = work.create(&rest, 1, json!({})).await.unwrap();
    until_status(&rest, &later, "complete").await;
    send_event(&rest, &waiting.event).await;
    work.all_complete(&rest, &waiting.all()).await;
    for (id, times) in [(&waiting.nap, 1), (&waiting.retry, 2), (&waiting.event, 1)] {
        assert_eq!(work.executions(id, "act 0").len(), times, "{id}");
    }
    // Nothing is told as before what it came after.
    let after = rest
        .get(&format!("/workflows/worker/instances/{}", waiting.busy))
        .await;
    let told = moments(&after);
    assert!(told.is_sorted(), "{told:?}");
    assert!(moments(&before).len() < told.len());
    let created = |answer: &Answer| {
        answer.result()["created_on"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let last = rest
        .get(&format!("/workflows/worker/instances/{later}?simple=true"))
        .await;
    assert!(
        created(&before) <= created(&last),
        "{} {}",
        before.body,
        last.body
    );
    // A start sees the clock as it is; what waits then is not lost either.
    let again = work.create(&rest, 2, json!({ "nap": 1_000 })).await.unwrap();
    server.kill().await;
    let (server, rest) = machine.serve().await;
    machine.works();
    work.all_complete(&rest, &[again]).await;
    server.stop().await.expect(0);
}
