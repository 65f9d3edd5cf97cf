//! Followers: they are told each event of an instance once and in order, however often they have to begin anew.

use crate::client::{ACCOUNT, WORKFLOW};
use crate::model::Model;
use crate::random::Random;
use crate::run::pause;
use cairn_engine::{Engine, Follow, InstanceNo, Reach};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What followers were told, for the end of the world.
pub(crate) type Told = Arc<Mutex<Vec<Tale>>>;

/// What one follower was told of one instance.
pub(crate) struct Tale {
    no: InstanceNo,
    /// Numbers of events, as they came.
    events: Vec<u64>,
}

/// Follows one instance after the other.
pub(crate) async fn follow(engine: Engine, model: Model, (random, told): (Random, Told)) {
    loop {
        pause(random.between(0, 60_000)).await;
        let ids = model.ids();
        let chosen = usize::try_from(random.below(ids.len() as u64)).unwrap_or(0);
        let Some(id) = ids.get(chosen) else { continue };
        let Some(no) = model.number(id) else { continue };
        let index = {
            let mut told = told.lock();
            told.push(Tale {
                no,
                events: Vec::new(),
            });
            told.len() - 1
        };
        while model.number(id) == Some(no) {
            let cursor = told
                .lock()
                .get(index)
                .and_then(|tale| tale.events.last().copied());
            let follow = Follow {
                cursor: cursor.unwrap_or(0),
                ..Follow::default()
            };
            let Ok(mut subscription) = engine.subscribe(ACCOUNT, WORKFLOW, (id, follow)).await else {
                pause(1_000).await;
                continue;
            };
            if model.number(id) != Some(no) {
                break;
            }
            while let Ok(Some(event)) = subscription.next().await {
                let event = event.event.id;
                let mut told = told.lock();
                let Some(tale) = told.get_mut(index) else { return };
                if tale.events.last().is_some_and(|last| *last >= event) {
                    let last = tale.events.last().copied();
                    return model.wrong(format!("a follower of {id} was told {event} after {last:?}"));
                }
                tale.events.push(event);
            }
            // It has ended, or what it is read from has failed. A restart begins it again.
            pause(random.between(1, 5_000)).await;
        }
    }
}

/// Compares what followers were told with what is told now: nothing was left out.
pub(crate) async fn at_the_end(engine: &Engine, model: &Model, told: &Told) {
    for id in model.ids() {
        let Some(no) = model.number(&id) else { continue };
        let follow = Follow {
            reach: Reach::Now,
            ..Follow::default()
        };
        let subscription = engine.subscribe(ACCOUNT, WORKFLOW, (&id, follow)).await;
        let Ok(mut subscription) = subscription else {
            return model.wrong(format!("{id} cannot be followed"));
        };
        let mut now = BTreeSet::new();
        while let Ok(Some(event)) = subscription.next().await {
            now.insert(event.event.id);
        }
        for tale in told.lock().iter().filter(|tale| tale.no == no) {
            let Some(last) = tale.events.last() else { continue };
            if let Some(missed) = now.range(..=last).find(|event| !tale.events.contains(event)) {
                model.wrong(format!(
                    "a follower of {id} was not told {missed}, but {:?}",
                    tale.events
                ));
            }
        }
    }
}
