//! Why a process has died, and whether user code did it.

use super::supervisor::WorkerdConfig;
use cairn_core::ErrorInfo;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

/// How a process has died.
#[derive(Debug)]
pub(super) enum Death {
    /// It had more memory than it may have.
    Memory { mebibytes: u64 },
    /// It did not answer.
    Silent,
    /// Its connection ended, and perhaps itself.
    Broke {
        reason: String,
        status: Option<ExitStatus>,
    },
}

impl Death {
    /// What is said in the log.
    pub(super) fn reason(&self, config: &WorkerdConfig) -> String {
        match self {
            Self::Memory { mebibytes } => format!(
                "it had {mebibytes} MiB of memory; the limit is {} (setting limits.process_mebibytes)",
                config.memory_mebibytes
            ),
            Self::Silent => format!(
                "it did not answer for {} seconds (setting limits.silence_millis)",
                config.heartbeat.as_secs_f32()
            ),
            Self::Broke { reason, status: None } => reason.clone(),
            Self::Broke {
                reason,
                status: Some(status),
            } => format!("{reason} ({status})"),
        }
    }

    /// What user code is told that has done it, by the last output of the process, and whether it had much memory; none when it was something
    /// else, such as a signal from outside.
    pub(super) fn error(
        &self,
        (output, had_much): (&str, bool),
        config: &WorkerdConfig,
    ) -> Option<ErrorInfo> {
        let memory = |why: String| ErrorInfo::internal(format!("Worker exceeded memory limit: {why}"));
        match self {
            Self::Memory { .. } => Some(memory(self.reason(config))),
            Self::Silent => Some(ErrorInfo::internal(format!(
                "Worker exceeded CPU time limit: {}, because user code did not yield",
                self.reason(config)
            ))),
            Self::Broke { reason, status } => {
                let signal = status.and_then(|status| status.signal());
                if is_out_of_memory(output) || (signal == Some(libc::SIGKILL) && had_much) {
                    return Some(memory("its process could not get more".into()));
                }
                let is_foreign = |signal| {
                    [
                        libc::SIGKILL,
                        libc::SIGTERM,
                        libc::SIGINT,
                        libc::SIGHUP,
                        libc::SIGQUIT,
                    ]
                    .contains(&signal)
                };
                if signal.is_some_and(is_foreign) {
                    return None;
                }
                Some(ErrorInfo::internal(format!(
                    "User code ended the process of its Worker: {reason}"
                )))
            }
        }
    }
}

/// What V8 says when its heap is full, and C++ when it gets no memory.
fn is_out_of_memory(output: &str) -> bool {
    ["out of memory", "Fatal V8 OOM", "heap limit", "bad_alloc"]
        .iter()
        .any(|words| output.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(death: &Death, output: &str, had_much: bool) -> Option<String> {
        let config = WorkerdConfig::new("workerd", "/tmp");
        death
            .error((output, had_much), &config)
            .map(|error| error.message)
    }

    fn killed(signal: i32) -> Death {
        Death::Broke {
            reason: "the connection ended".into(),
            status: Some(ExitStatus::from_raw(signal)),
        }
    }

    #[test]
    fn what_comes_from_outside_is_nobodys_fault() {
        assert_eq!(error(&killed(libc::SIGKILL), "", false), None);
        assert_eq!(error(&killed(libc::SIGTERM), "", false), None);
    }

    #[test]
    fn what_user_code_did_is_said() {
        let memory = "Worker exceeded memory limit: ";
        let full = error(
            &killed(libc::SIGTRAP),
            "fatal: JavaScript heap out of memory",
            false,
        );
        assert!(full.is_some_and(|text| text.starts_with(memory)));
        let taken = error(&killed(libc::SIGKILL), "", true);
        assert!(taken.is_some_and(|text| text.starts_with(memory)));
        assert_eq!(
            error(&Death::Memory { mebibytes: 1_200 }, "", false).as_deref(),
            Some(
                "Worker exceeded memory limit: it had 1200 MiB of memory; the limit is 1024 (setting limits.process_mebibytes)"
            )
        );
        assert_eq!(
            error(&Death::Silent, "", false).as_deref(),
            Some(
                "Worker exceeded CPU time limit: it did not answer for 30 seconds (setting limits.silence_millis), because user code did not yield"
            )
        );
        let crashed = error(&killed(libc::SIGSEGV), "", false);
        assert_eq!(
            crashed.as_deref(),
            Some("User code ended the process of its Worker: the connection ended")
        );
        let broken = Death::Broke {
            reason: "it broke the protocol: x".into(),
            status: None,
        };
        assert!(error(&broken, "", false).is_some());
    }
}
