//! Promises that overtake each other: which nodes run at the same time, and the places at which they start and are waited for.
//!
//! The first promise that is not waited for at once opens a region of its list of nodes. Until all promises of the region have been
//! waited for, whatever starts is in it too. A promise starts at the place that was reached; waiting for it makes the next place.

use crate::draft::{Draft, PromiseId, may_run};
use crate::node::{ParallelKind, Times};

/// When each promise starts and resolves.
#[derive(Debug, Default)]
pub(crate) struct Promises(Vec<Promise>);

#[derive(Debug, Clone, Copy)]
struct Promise {
    starts: u32,
    resolves: Option<u32>,
    /// Whether others overtake it, so that its places say something.
    is_shown: bool,
    /// The promise of the function that started it and did not wait for it.
    within: Option<PromiseId>,
}

impl Promises {
    pub(crate) fn add(&mut self) -> PromiseId {
        self.0.push(Promise {
            starts: 0,
            resolves: None,
            is_shown: false,
            within: None,
        });
        PromiseId(self.0.len() - 1)
    }

    pub(crate) fn times(&self, id: PromiseId) -> Times {
        match self.0.get(id.0) {
            Some(promise) if promise.is_shown => Times {
                starts: Some(promise.starts),
                resolves: promise.resolves,
            },
            _ => Times::default(),
        }
    }

    /// Notes that a function, whose end is a promise, did not wait for these: whoever waits for them waits for it.
    pub(crate) fn belong(&mut self, ids: &[PromiseId], within: PromiseId) {
        for id in ids {
            if let Some(promise) = self.of(*id) {
                promise.within = Some(within);
            }
        }
    }

    /// These promises, and the functions that did not wait for them.
    pub(crate) fn outermost(&self, ids: &[PromiseId]) -> Vec<PromiseId> {
        let mut all = ids.to_vec();
        for id in ids {
            let mut at = self.0.get(id.0).and_then(|promise| promise.within);
            while let Some(outer) = at {
                all.push(outer);
                at = self.0.get(outer.0).and_then(|promise| promise.within);
            }
        }
        all
    }

    fn of(&mut self, id: PromiseId) -> Option<&mut Promise> {
        self.0.get_mut(id.0)
    }
}

/// Lists of nodes of one function, the innermost last, and its promises under way.
#[derive(Debug)]
pub(crate) struct Waves {
    lists: Vec<Vec<Draft>>,
    place: u32,
    pending: Vec<PromiseId>,
    region: Option<Region>,
}

#[derive(Debug)]
struct Region {
    /// Which list it is in, and where it begins there.
    depth: usize,
    index: usize,
    promises: Vec<PromiseId>,
    /// How it was waited for.
    combined: Option<ParallelKind>,
    /// Whether all promises have been waited for, in a list further in.
    is_over: bool,
}

impl Default for Waves {
    fn default() -> Self {
        Self {
            lists: vec![Vec::new()],
            place: 1,
            pending: Vec::new(),
            region: None,
        }
    }
}

impl Waves {
    /// Whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    /// The nodes of the present list so far.
    pub(crate) fn nodes(&self) -> &[Draft] {
        self.lists.last().map_or(&[], Vec::as_slice)
    }

    /// Takes them away, to put them into another node.
    pub(crate) fn take_nodes(&mut self) -> Vec<Draft> {
        self.region = None;
        self.pending.clear();
        self.lists.last_mut().map(std::mem::take).unwrap_or_default()
    }

    /// What is under way.
    pub(crate) fn pending(&self) -> &[PromiseId] {
        &self.pending
    }

    /// The place that was reached.
    pub(crate) fn place(&self) -> u32 {
        self.place
    }

    /// Goes (back) to a place, for branches that exclude each other.
    pub(crate) fn go_to(&mut self, place: u32) {
        self.place = if self.region.is_some() { place } else { 1 };
    }

    /// Begins a list within the present one.
    pub(crate) fn open(&mut self) {
        self.lists.push(Vec::new());
    }

    /// Ends it.
    pub(crate) fn close(&mut self) -> Vec<Draft> {
        self.lists.pop().unwrap_or_default()
    }

    /// Adds a node that starts no promise of its own; those that were started within it may be under way.
    pub(crate) fn attach(&mut self, node: Draft, promises: &mut Promises) {
        let depth = self.lists.len();
        let Some(list) = self.lists.last_mut() else {
            return;
        };
        let index = list.len();
        list.push(node);
        let Some(region) = &mut self.region else {
            return;
        };
        if region.depth > depth {
            region.depth = depth;
            region.index = index;
        }
        if region.is_over && region.depth == depth {
            self.finish(promises);
        }
    }

    /// Adds the node of a promise that starts here.
    pub(crate) fn start(&mut self, node: Draft, id: PromiseId, promises: &mut Promises) {
        let depth = self.lists.len();
        let index = self.lists.last().map_or(0, Vec::len);
        let region = self.region.get_or_insert_with(|| {
            self.place = 1;
            Region {
                depth,
                index,
                promises: Vec::new(),
                combined: None,
                is_over: false,
            }
        });
        region.is_over = false;
        region.promises.push(id);
        if let Some(promise) = promises.of(id) {
            promise.starts = self.place;
        }
        self.pending.push(id);
        if let Some(list) = self.lists.last_mut() {
            list.push(node);
        }
    }

    /// Waits for promises; those of other functions, and those that are over, are of no account.
    pub(crate) fn settle(
        &mut self,
        ids: &[PromiseId],
        combined: Option<ParallelKind>,
        promises: &mut Promises,
    ) {
        let settled: Vec<PromiseId> = self
            .pending
            .iter()
            .copied()
            .filter(|id| ids.contains(id))
            .collect();
        if settled.is_empty() {
            return;
        }
        let latest = settled
            .iter()
            .filter_map(|id| promises.of(*id).map(|promise| promise.starts))
            .max();
        self.place = self.place.max(latest.unwrap_or(0) + 1);
        for id in &settled {
            if let Some(promise) = promises.of(*id) {
                promise.resolves = Some(self.place);
            }
        }
        self.pending.retain(|id| !settled.contains(id));
        let depth = self.lists.len();
        let Some(region) = &mut self.region else {
            return;
        };
        region.combined = combined.or(region.combined);
        if self.pending.is_empty() {
            region.is_over = true;
            if region.depth == depth {
                self.finish(promises);
            }
        }
    }

    /// The nodes of the function, at its end.
    pub(crate) fn end(mut self, promises: &mut Promises) -> Vec<Draft> {
        if self.region.is_some() {
            self.finish(promises);
        }
        self.lists.into_iter().next().unwrap_or_default()
    }

    fn finish(&mut self, promises: &mut Promises) {
        let Some(region) = self.region.take() else {
            return;
        };
        self.place = 1;
        let Some(list) = self.lists.get_mut(region.depth - 1) else {
            return;
        };
        let mut nodes = list.split_off(region.index.min(list.len()));
        let running = nodes
            .iter()
            .filter(|node| may_run(std::slice::from_ref(node)))
            .count();
        if running > 1 {
            for id in &region.promises {
                if let Some(promise) = promises.of(*id) {
                    promise.is_shown = true;
                }
            }
            list.push(Draft::Parallel(
                region.combined.unwrap_or(ParallelKind::All),
                nodes,
            ));
            return;
        }
        match (nodes.pop(), region.combined) {
            // A function that is waited for at once is as good as its content.
            (Some(Draft::Block(inner)), _) if nodes.is_empty() => list.extend(inner),
            (Some(node), Some(kind)) if nodes.is_empty() && has_many(&node) => {
                list.push(Draft::Parallel(kind, vec![node]));
            }
            (last, _) => list.extend(nodes.into_iter().chain(last)),
        }
    }
}

/// Whether one node stands for several promises that a combinator waits for.
fn has_many(node: &Draft) -> bool {
    match node {
        Draft::Loop(_) | Draft::If(_) | Draft::Switch(..) | Draft::Try { .. } => true,
        Draft::Step { .. } | Draft::Call { .. } | Draft::Parallel(..) | Draft::Block(_) | Draft::Break(_) => {
            false
        }
    }
}
