//! What a server gives to tests: a clock that can be put forward, beside the engine's doubles. On a developer's own server only.

use cairn_engine::{Clock, ShiftedClock, SteadyClock};
use std::sync::Arc;

/// Whether tests may put the clock forward and replace what instances do, by the routes below `/cairn/v1/test` (docs/testing.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestSupport {
    /// There are no such routes.
    Absent,
    /// There are, for everybody who may use the API.
    Present,
}

/// What the routes of tests need.
#[derive(Debug)]
pub(crate) struct Testing {
    pub(crate) clock: Arc<ShiftedClock>,
}

/// The clock of a server.
pub(crate) fn clock(support: TestSupport) -> (Arc<dyn Clock>, Option<Testing>) {
    match support {
        TestSupport::Absent => (Arc::new(SteadyClock::new()), None),
        TestSupport::Present => {
            let clock = Arc::new(ShiftedClock::over(SteadyClock::new()));
            (Arc::clone(&clock) as _, Some(Testing { clock }))
        }
    }
}
