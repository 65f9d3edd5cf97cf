//! The limits of an instance: settings, with Cloudflare's paid plan as defaults (behaviour §6).

/// What an instance may use. Every error about a limit names the setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `step.do` calls in one instance. Sleeps and waits do not count.
    pub steps: u32,
    /// Bytes of one encoded step result.
    pub result_bytes: usize,
    /// Bytes of one encoded event payload.
    pub event_bytes: usize,
    /// Bytes of all values an instance keeps.
    pub state_bytes: u64,
    /// Longest sleep or wait, milliseconds.
    pub wait_millis: u64,
    /// Highest `retries.limit`.
    pub retries: u32,
    /// `retries.delay` when user code gives none, milliseconds.
    pub default_delay_millis: u64,
    /// A run whose next deadline is further away than this may leave memory, milliseconds.
    pub rest_after_millis: u64,
    /// … after it has been quiet for this long, milliseconds: work outside of steps gets a chance to finish.
    pub rest_quiet_millis: u64,
    /// How a `NonRetryableError` is recorded.
    pub non_retryable_message: NonRetryableMessage,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            steps: 10_000,
            result_bytes: 1 << 20,
            event_bytes: 1 << 20,
            state_bytes: 1 << 30,
            wait_millis: 365 * 86_400_000,
            retries: 10_000,
            default_delay_millis: 10_000,
            rest_after_millis: 10_000,
            rest_quiet_millis: 1_000,
            non_retryable_message: NonRetryableMessage::Preserved,
        }
    }
}

/// What is recorded when a step throws a `NonRetryableError`: decided by the compatibility flag
/// `workflows_preserve_non_retryable_error_message`, on by default from 2026-05-14 (behaviour §3.1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonRetryableMessage {
    /// Its own name and message.
    Preserved,
    /// A `WorkflowFatalError` that quotes it.
    Wrapped,
}
