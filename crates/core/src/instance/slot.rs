//! Slots: where it is limited how many instances run at once, one that has waited asks before it goes on.
//!
//! Whoever gives out the slots says with [`Instance::set_slot`] whether the instance needs one. A slot is given back by leaving the
//! statuses that hold one ([`Status::holds_slot`]); nothing of this is in the journal. A rollback takes a slot without asking: what
//! was done is undone without delay.

use super::{Instance, Turn};
use crate::{Action, Status};

/// Whether an instance may go on when something it waits for happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// Nothing limits how many run: it never asks.
    Unlimited,
    /// It has one.
    Held,
    /// It has none, and has not asked.
    Missing,
    /// It has asked for one.
    Wanted,
}

impl Instance {
    /// Says whether this instance needs a slot, and has one. One that runs has one, whatever is said.
    pub fn set_slot(&mut self, slot: Slot) {
        self.slot = match slot {
            Slot::Missing | Slot::Wanted if self.durable.status.holds_slot() => Slot::Held,
            slot => slot,
        };
    }

    /// Whether it keeps a slot from others.
    pub fn holds_slot(&self) -> bool {
        self.durable.status.holds_slot() || self.slot == Slot::Held
    }

    /// Whether it waits for a slot.
    pub fn wants_slot(&self) -> bool {
        self.slot == Slot::Wanted
    }

    /// Whether a change of status may come; asks for the slot it needs.
    pub(super) fn may_go_on(&mut self, turn: &mut Turn<'_>) -> bool {
        match self.slot {
            Slot::Unlimited | Slot::Held => true,
            Slot::Wanted => false,
            Slot::Missing => {
                self.slot = Slot::Wanted;
                // A run that is there gets a while before it leaves memory for want of a slot.
                if let Some(run) = &mut self.run {
                    run.active_at = turn.now;
                }
                turn.effects.actions.push(Action::WantSlot);
                false
            }
        }
    }

    /// Gives up the slot with the last status that holds one, and has one with the first, whether it was granted or not.
    pub(super) fn follow_slot(&mut self, before: Status) {
        let after = self.durable.status;
        if self.slot == Slot::Unlimited || before == after {
            return;
        }
        self.slot = if after.holds_slot() {
            Slot::Held
        } else {
            Slot::Missing
        };
    }

    /// The slot that was asked for is there: what has happened meanwhile takes effect, in the order in which it did.
    pub(super) fn slot_granted(&mut self, turn: &mut Turn<'_>) {
        if self.slot != Slot::Wanted {
            return;
        }
        self.slot = Slot::Held;
        if self.run.is_none() {
            return self.claimed(turn);
        }
        self.deliver_events(turn);
        self.meet_deadlines(turn);
        self.start_due_retries(turn);
        self.start_held_calls(turn);
        if !self.durable.status.holds_slot() {
            // It had been called off.
            self.slot = Slot::Missing;
        }
    }

    /// There is none now. Without a run the instance leaves memory and is taken up again with a slot.
    pub(super) fn slot_denied(&mut self, turn: &mut Turn<'_>) {
        if self.slot == Slot::Wanted && self.run.is_none() {
            self.slot = Slot::Missing;
            self.leave(turn, None);
        }
    }

    /// Whether a run must ask before it starts the first attempt of a step, for want of a slot.
    pub(super) fn is_held_back(&self) -> bool {
        self.durable.status == Status::Waiting && matches!(self.slot, Slot::Missing | Slot::Wanted)
    }
}
