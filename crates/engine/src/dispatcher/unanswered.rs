//! Clients whose message was applied in memory, when its write was not confirmed.

use crate::driver::Reply;
use cairn_core::Seq;
use cairn_store::{InboxMessage, InstanceNo};
use std::collections::HashMap;

/// Outcomes of messages whose write was not confirmed when their driver was dropped.
#[derive(Default)]
pub(super) struct Unanswered {
    kept: HashMap<InstanceNo, Kept>,
    /// Claims of single instances that are not answered.
    under_way: HashMap<InstanceNo, i64>,
}

struct Kept {
    /// The lease under which they were applied.
    epoch: i64,
    /// Claims of this node that were under way then, or came since: each may have made a lease.
    claims: i64,
    /// Each with the end of the journal it belongs to.
    replies: Vec<(Seq, Reply)>,
}

/// What is known of outcomes once the instance is in hand again.
#[derive(Default)]
pub(super) struct Known {
    /// They were written.
    pub(super) certain: Vec<Reply>,
    /// Another node may have held the instance and done otherwise.
    pub(super) unknown: Vec<Reply>,
}

impl Unanswered {
    pub(super) fn keep(&mut self, instance: InstanceNo, epoch: i64, replies: Vec<(Seq, Reply)>) {
        if replies.is_empty() {
            return;
        }
        let claims = self.under_way.get(&instance).copied().unwrap_or(0);
        let kept = self.kept.entry(instance).or_insert(Kept {
            epoch,
            claims,
            replies: Vec::new(),
        });
        kept.replies.extend(replies);
    }

    /// This node claims an instance.
    pub(super) fn claims(&mut self, instance: InstanceNo) {
        *self.under_way.entry(instance).or_insert(0) += 1;
        if let Some(kept) = self.kept.get_mut(&instance) {
            kept.claims += 1;
        }
    }

    /// A claim was answered.
    pub(super) fn claimed(&mut self, instance: InstanceNo) {
        if let Some(claims) = self.under_way.get_mut(&instance) {
            *claims -= 1;
            if *claims == 0 {
                self.under_way.remove(&instance);
            }
        }
    }

    /// Messages that have left the inbox for the journal were applied, the others will be applied again. One that is in neither has come
    /// after the claim.
    pub(super) fn settle(
        &mut self,
        (instance, epoch): (InstanceNo, i64),
        (inbox, journal_end): (&[InboxMessage], Seq),
    ) -> Known {
        let mut known = Known::default();
        let Some(kept) = self.kept.remove(&instance) else {
            return known;
        };
        let is_ours = epoch <= kept.epoch + kept.claims.max(1);
        for (end, reply) in kept.replies {
            if inbox.iter().any(|message| message.no == reply.message) {
                continue;
            }
            if !is_ours {
                known.unknown.push(reply);
            } else if end <= journal_end {
                known.certain.push(reply);
            }
        }
        known
    }

    /// A write was fenced off: unless it was by a newer claim of this node, another one goes on, and nobody here will know.
    /// `comes` says that this node is about to claim it again.
    pub(super) fn fenced(&mut self, instance: InstanceNo, comes: bool) -> Vec<Reply> {
        if comes || self.under_way.contains_key(&instance) {
            return Vec::new();
        }
        self.forget(instance)
    }

    /// Nobody will know.
    pub(super) fn forget(&mut self, instance: InstanceNo) -> Vec<Reply> {
        let kept = self.kept.remove(&instance);
        let replies = kept.into_iter().flat_map(|kept| kept.replies);
        replies.map(|(_, reply)| reply).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_core::Status;
    use cairn_store::InboxNo;

    const INSTANCE: InstanceNo = InstanceNo(7);

    /// The outcome of a message, applied under lease 3, whose write would have ended the journal at `end`.
    fn kept(message: i64, end: u64) -> (Seq, Reply) {
        let reply = Reply {
            message: InboxNo(message),
            node: 1,
            token: 1,
            outcome: Ok(Status::Running),
        };
        (Seq(end), reply)
    }

    fn message(no: i64) -> InboxMessage {
        InboxMessage {
            no: InboxNo(no),
            command: Vec::new(),
            payload: None,
        }
    }

    fn numbers(replies: &[Reply]) -> Vec<i64> {
        replies.iter().map(|reply| reply.message.0).collect()
    }

    #[test]
    fn what_is_in_the_journal_was_done_and_what_is_in_the_inbox_will_be() {
        let mut unanswered = Unanswered::default();
        unanswered.claims(INSTANCE);
        unanswered.keep(INSTANCE, 3, vec![kept(1, 10), kept(2, 11), kept(3, 12)]);
        // The second is in neither: it came after this claim, which another one is about to overtake.
        let known = unanswered.settle((INSTANCE, 4), (&[message(3)], Seq(10)));
        assert_eq!(
            (numbers(&known.certain), numbers(&known.unknown)),
            (vec![1], vec![])
        );
    }

    #[test]
    fn who_was_driven_elsewhere_may_have_done_otherwise() {
        let mut unanswered = Unanswered::default();
        unanswered.keep(INSTANCE, 3, vec![kept(1, 10), kept(2, 11)]);
        unanswered.claims(INSTANCE);
        let known = unanswered.settle((INSTANCE, 6), (&[message(2)], Seq(20)));
        assert_eq!(
            (numbers(&known.certain), numbers(&known.unknown)),
            (vec![], vec![1])
        );
    }

    #[test]
    fn a_fenced_write_is_unknown_unless_a_claim_of_this_node_comes() {
        let mut unanswered = Unanswered::default();
        unanswered.keep(INSTANCE, 3, vec![kept(1, 10)]);
        unanswered.claims(INSTANCE);
        assert!(unanswered.fenced(INSTANCE, false).is_empty());
        unanswered.claimed(INSTANCE);
        assert!(unanswered.fenced(INSTANCE, true).is_empty());
        assert_eq!(numbers(&unanswered.fenced(INSTANCE, false)), [1]);
        assert!(unanswered.forget(INSTANCE).is_empty());
    }
}
