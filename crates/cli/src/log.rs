//! The log: on standard error, and sparing. What goes wrong a thousand times in a minute is told a few times, and how often it was not.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

/// How long counts are kept before they are told and begin anew.
const PERIOD: Duration = Duration::from_secs(60);
/// Lines from one place in the code that are told in a period.
const LINES: u64 = 20;
/// What user code prints is not ours to leave out.
const USER: &str = "cairn::user";

/// Lets the first warnings and errors of each place in the code through, and counts the others.
#[derive(Clone, Default)]
pub(crate) struct Sparing(Arc<Mutex<HashMap<Identifier, Told>>>);

/// What was told of a place in the code.
#[derive(Default)]
struct Told {
    lines: u64,
    message: String,
}

/// Lines that were left out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// What they began with.
    pub(crate) message: String,
    /// How many there were.
    pub(crate) lines: u64,
}

impl Sparing {
    /// What was left out since the last call; counting begins anew.
    pub(crate) fn begin_anew(&self) -> Vec<LeftOut> {
        let told = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let left_out = told.into_values().filter(|told| told.lines > LINES);
        left_out
            .map(|told| LeftOut {
                lines: told.lines - LINES,
                message: told.message,
            })
            .collect()
    }

    /// Says every [`PERIOD`] what was left out. Does not end.
    pub(crate) async fn keep_telling(self) {
        loop {
            tokio::time::sleep(PERIOD).await;
            for LeftOut { message, lines } in self.begin_anew() {
                tracing::warn!(lines, like = message, "more lines were left out of the log");
            }
        }
    }

    fn is_told(&self, metadata: &Metadata<'_>, event: &Event<'_>) -> bool {
        if *metadata.level() > Level::WARN || metadata.target() == USER {
            return true;
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = all.entry(metadata.callsite()).or_default();
        told.lines += 1;
        if told.lines == LINES + 1 {
            event.record(&mut Message(&mut told.message));
        }
        told.lines <= LINES
    }
}

impl<S: Subscriber> Filter<S> for Sparing {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        self.is_told(event.metadata(), event)
    }
}

/// Takes the message out of an event.
struct Message<'a>(&'a mut String);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            *self.0 = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::SubscriberExt as _;

    /// Counts the lines that come through.
    struct Lines(Arc<AtomicU64>);

    impl<S: Subscriber> Layer<S> for Lines {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_repeats_is_counted_and_what_users_print_is_not() {
        let (sparing, lines) = (Sparing::default(), Arc::new(AtomicU64::new(0)));
        let layer = Lines(Arc::clone(&lines)).with_filter(sparing.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            for number in 0..LINES + 5 {
                tracing::error!(number, "it fails");
                tracing::info!(number, "it works");
                tracing::error!(target: USER, "printed");
            }
            tracing::warn!("something else");
        });
        assert_eq!(lines.load(Ordering::Relaxed), LINES + 2 * (LINES + 5) + 1);
        let left_out = LeftOut {
            message: "it fails".to_owned(),
            lines: 5,
        };
        assert_eq!(sparing.begin_anew(), [left_out]);
        assert_eq!(sparing.begin_anew(), []);
    }
}
