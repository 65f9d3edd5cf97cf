//! How many instances may be created a second: token buckets, one for each account and each workflow (behaviour §6).
//!
//! A bucket holds what one second allows. A call takes as many tokens as it creates instances; one that takes more than a bucket holds
//! is let through when the bucket is full, and those after it wait the longer.

use crate::{EngineError, Settings};
use cairn_core::Timestamp;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;

const ACCOUNT_SETTING: &str = "limits.creations_per_second_account";
const WORKFLOW_SETTING: &str = "limits.creations_per_second_workflow";
/// Buckets remembered; those that are full need not be.
const REMEMBERED: usize = 10_000;

/// The buckets of all accounts and workflows that are limited.
#[derive(Default)]
pub(crate) struct Rates {
    buckets: Mutex<Buckets>,
}

#[derive(Default)]
struct Buckets {
    accounts: HashMap<String, Bucket>,
    workflows: HashMap<i64, Bucket>,
}

/// Thousandths of tokens, as of a time. Below zero after a call that took more than there was.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    thousandths: i64,
    at: Timestamp,
}

impl Bucket {
    /// How it stands now.
    fn refill(self, now: Timestamp, rate: u32) -> Self {
        let millis = i64::try_from(now.millis_since(self.at)).unwrap_or(i64::MAX);
        let gained = millis.saturating_mul(i64::from(rate));
        Self {
            thousandths: self.thousandths.saturating_add(gained).min(full(rate)),
            at: now.max(self.at),
        }
    }

    /// Milliseconds until so many may be created.
    fn wait_millis(self, count: usize, rate: u32) -> u64 {
        let missing = thousandths(count).min(full(rate)) - self.thousandths;
        u64::try_from(missing).map_or(0, |missing| missing.div_ceil(u64::from(rate)))
    }
}

fn full(rate: u32) -> i64 {
    i64::from(rate) * 1_000
}

fn thousandths(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX).saturating_mul(1_000)
}

fn bucket_of<K: Eq + Hash + Clone>(
    buckets: &mut HashMap<K, Bucket>,
    key: &K,
    (now, rate): (Timestamp, u32),
) -> Bucket {
    if buckets.len() >= REMEMBERED {
        buckets.retain(|_, bucket| bucket.refill(now, rate).thousandths < full(rate));
    }
    let new = Bucket {
        thousandths: full(rate),
        at: now,
    };
    buckets.get(key).copied().unwrap_or(new).refill(now, rate)
}

impl Rates {
    /// Counts the creation of `count` instances.
    ///
    /// # Errors
    /// [`EngineError::TooManyCreations`] when it must wait; nothing is counted then.
    pub(crate) fn take(
        &self,
        settings: &Settings,
        (account, workflow): (&str, i64),
        (now, count): (Timestamp, usize),
    ) -> Result<(), EngineError> {
        let (of_account, of_workflow) = (
            settings.creations_per_second_account,
            settings.creations_per_second_workflow,
        );
        if of_account == 0 && of_workflow == 0 {
            return Ok(());
        }
        let mut buckets = self.buckets.lock();
        let Buckets { accounts, workflows } = &mut *buckets;
        let account = account.to_owned();
        let account_bucket = (of_account > 0).then(|| bucket_of(accounts, &account, (now, of_account)));
        let workflow_bucket = (of_workflow > 0).then(|| bucket_of(workflows, &workflow, (now, of_workflow)));
        let limits = [
            (account_bucket, of_account, "an account", ACCOUNT_SETTING),
            (workflow_bucket, of_workflow, "a workflow", WORKFLOW_SETTING),
        ];
        let waits = limits.into_iter().filter_map(|(bucket, rate, whose, setting)| {
            let wait = bucket?.wait_millis(count, rate);
            (wait > 0).then_some((wait, rate, whose, setting))
        });
        if let Some((wait, limit, whose, setting)) = waits.max_by_key(|(wait, ..)| *wait) {
            return Err(EngineError::TooManyCreations {
                whose,
                limit,
                setting,
                retry_after_seconds: u32::try_from(wait.div_ceil(1_000)).unwrap_or(u32::MAX),
            });
        }
        let spend = |bucket: Bucket| Bucket {
            thousandths: bucket.thousandths.saturating_sub(thousandths(count)),
            ..bucket
        };
        if let Some(bucket) = account_bucket {
            accounts.insert(account, spend(bucket));
        }
        if let Some(bucket) = workflow_bucket {
            workflows.insert(workflow, spend(bucket));
        }
        Ok(())
    }
}
