//! Limits as settings: the names that errors and documents use, and what each may be.

use crate::Config;
use cairn_runtime::workerd::LARGEST_VALUE;
use std::ops::RangeInclusive;

/// One setting.
struct Setting {
    name: &'static str,
    about: &'static str,
    range: RangeInclusive<u64>,
    slot: fn(&mut Config) -> Slot<'_>,
}

/// Where a setting's value is.
enum Slot<'a> {
    Word(&'a mut u32),
    Long(&'a mut u64),
    Size(&'a mut usize),
    Flag(&'a mut bool),
}

/// Why a setting was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// Not of the form `name=value`.
    #[error("\"{0}\" is not a setting; write NAME=VALUE, such as limits.steps=25000")]
    Form(String),
    /// No such name.
    #[error("there is no setting \"{name}\"; there are: {known}")]
    Unknown {
        /// As given.
        name: String,
        /// All names.
        known: String,
    },
    /// Not a whole number, or out of range.
    #[error("{name} cannot be \"{value}\": it is a whole number from {least} to {most}")]
    Value {
        /// The setting.
        name: &'static str,
        /// As given.
        value: String,
        /// The least it may be.
        least: u64,
        /// The most it may be.
        most: u64,
    },
}

const DAY_MILLIS: u64 = 86_400_000;
const CENTURY_MILLIS: u64 = 36_500 * DAY_MILLIS;
/// A value must fit into one frame to a process.
const VALUE_MAX: u64 = LARGEST_VALUE as u64;

#[rustfmt::skip]
const SETTINGS: [Setting; 32] = [
    Setting { name: "limits.steps", about: "`step.do` calls in one instance, where its workflow does not say", range: 1..=1_000_000, slot: |config| Slot::Word(&mut config.settings.limits.steps) },
    Setting { name: "limits.retries", about: "highest `retries.limit` of a step", range: 0..=1_000_000, slot: |config| Slot::Word(&mut config.settings.limits.retries) },
    Setting { name: "limits.result_bytes", about: "bytes of one step result or output", range: 1..=VALUE_MAX, slot: |config| Slot::Size(&mut config.settings.limits.result_bytes) },
    Setting { name: "limits.event_bytes", about: "bytes of one event payload", range: 1..=VALUE_MAX, slot: |config| Slot::Size(&mut config.settings.limits.event_bytes) },
    Setting { name: "limits.params_bytes", about: "bytes of the parameters of one instance", range: 1..=VALUE_MAX, slot: |config| Slot::Size(&mut config.settings.params_bytes) },
    Setting { name: "limits.state_bytes", about: "bytes of all values one instance keeps", range: 1..=u64::MAX, slot: |config| Slot::Long(&mut config.settings.limits.state_bytes) },
    Setting { name: "limits.wait_millis", about: "longest sleep, wait or retry delay, milliseconds", range: 1..=CENTURY_MILLIS, slot: |config| Slot::Long(&mut config.settings.limits.wait_millis) },
    Setting { name: "limits.default_delay_millis", about: "`retries.delay` of a step that gives none, milliseconds", range: 0..=CENTURY_MILLIS, slot: |config| Slot::Long(&mut config.settings.limits.default_delay_millis) },
    Setting { name: "limits.rest_after_millis", about: "a run whose next deadline is further away leaves memory, milliseconds", range: 0..=CENTURY_MILLIS, slot: |config| Slot::Long(&mut config.settings.limits.rest_after_millis) },
    Setting { name: "limits.rest_quiet_millis", about: "… once it has been quiet for so long, milliseconds", range: 1..=DAY_MILLIS, slot: |config| Slot::Long(&mut config.settings.limits.rest_quiet_millis) },
    Setting { name: "limits.inbox_messages", about: "events and commands an instance may leave unread", range: 1..=10_000_000, slot: |config| Slot::Size(&mut config.settings.inbox_messages) },
    Setting { name: "limits.instances_in_memory", about: "instances in memory at once; the others are queued", range: 1..=10_000_000, slot: |config| Slot::Size(&mut config.settings.instances_in_memory) },
    Setting { name: "limits.bytes_in_memory", about: "bytes of the parameters, results and events of the instances in memory; when there are more, the others stay queued", range: 1..=1 << 50, slot: |config| Slot::Long(&mut config.settings.bytes_in_memory) },
    Setting { name: "limits.queued_instances", about: "instances of an account that are queued; a creation beyond is refused with 429", range: 1..=1_000_000_000, slot: |config| Slot::Long(&mut config.settings.queued_instances) },
    Setting { name: "limits.creations_waiting", about: "instances that are being written at once; a creation beyond is refused with 429", range: 1..=1_000_000, slot: |config| Slot::Size(&mut config.settings.creations_waiting) },
    Setting { name: "limits.creation_bytes_waiting", about: "bytes of their parameters; a creation beyond is refused with 429", range: 1..=1 << 40, slot: |config| Slot::Size(&mut config.settings.creation_bytes_waiting) },
    Setting { name: "limits.schedules", about: "cron expressions of all workflows of an account", range: 0..=100_000, slot: |config| Slot::Size(&mut config.settings.schedules) },
    Setting { name: "limits.concurrency_account", about: "instances of an account that run at once, where those that wait do not count; the others are queued", range: 1..=10_000_000, slot: |config| Slot::Size(&mut config.settings.concurrency_account) },
    Setting { name: "limits.creations_per_second_account", about: "instances an account may create or restart a second (Cloudflare: 300); 0 for any number", range: 0..=1_000_000, slot: |config| Slot::Word(&mut config.settings.creations_per_second_account) },
    Setting { name: "limits.creations_per_second_workflow", about: "the same for one workflow (Cloudflare: 100); 0 for any number", range: 0..=1_000_000, slot: |config| Slot::Word(&mut config.settings.creations_per_second_workflow) },
    Setting { name: "limits.versions_kept", about: "versions of a script or workflow that are kept though nothing needs them", range: 2..=1_000_000, slot: |config| Slot::Size(&mut config.settings.versions_kept) },
    Setting { name: "versions.follow_latest", about: "1: instances move to the latest version when nothing of them executes; 0: they stay on theirs (`dev` has 1)", range: 0..=1, slot: |config| Slot::Flag(&mut config.settings.follow_latest) },
    Setting { name: "limits.retention_millis", about: "how long finished instances are kept, where nothing else says, milliseconds", range: 1..=CENTURY_MILLIS, slot: |config| Slot::Long(&mut config.settings.retention_millis) },
    Setting { name: "limits.failed_attempts_per_minute", about: "wrong tokens that an address may send a minute; 0 for any number", range: 0..=60_000, slot: |config| Slot::Word(&mut config.access.failed_attempts_per_minute) },
    Setting { name: "limits.audit_entries", about: "entries of the audit log that are kept", range: 1..=1_000_000_000, slot: |config| Slot::Long(&mut config.access.audit_entries) },
    Setting { name: "limits.audit_millis", about: "how long entries of the audit log are kept, milliseconds", range: 1..=CENTURY_MILLIS, slot: |config| Slot::Long(&mut config.access.audit_millis) },
    Setting { name: "limits.json_bytes", about: "bytes of a request body", range: 1_024..=1 << 30, slot: |config| Slot::Size(&mut config.json_bytes) },
    Setting { name: "limits.body_bytes_waiting", about: "bytes of all request bodies that are held at once; a request beyond is refused with 429", range: 1_024..=1 << 40, slot: |config| Slot::Long(&mut config.body_bytes_waiting) },
    Setting { name: "limits.script_bytes", about: "bytes of an uploaded script, all modules together", range: 1_024..=1 << 30, slot: |config| Slot::Size(&mut config.script_bytes) },
    Setting { name: "limits.process_mebibytes", about: "memory of one process of a Worker, MiB; one that has more is ended", range: 128..=1 << 30, slot: |config| Slot::Long(&mut config.process_mebibytes) },
    Setting { name: "limits.silence_millis", about: "how long user code may go on without yielding, milliseconds; its process is ended then", range: 1_000..=DAY_MILLIS, slot: |config| Slot::Long(&mut config.silence_millis) },
    Setting { name: "limits.idle_connection_millis", about: "how long a connection may send nothing between requests, or need for the headers of one, milliseconds", range: 100..=DAY_MILLIS, slot: |config| Slot::Long(&mut config.idle_connection_millis) },
];

impl Slot<'_> {
    fn set(self, value: u64) -> bool {
        match self {
            Self::Word(slot) => u32::try_from(value).map(|value| *slot = value).is_ok(),
            Self::Long(slot) => {
                *slot = value;
                true
            }
            Self::Size(slot) => usize::try_from(value).map(|value| *slot = value).is_ok(),
            Self::Flag(slot) => {
                *slot = value == 1;
                true
            }
        }
    }

    fn get(self) -> u64 {
        match self {
            Self::Word(slot) => u64::from(*slot),
            Self::Long(slot) => *slot,
            Self::Size(slot) => *slot as u64,
            Self::Flag(slot) => u64::from(*slot),
        }
    }
}

impl Config {
    /// Takes a setting of the form `name=value`.
    ///
    /// # Errors
    /// [`SettingError`], which says what there is; nothing has changed then.
    pub fn set(&mut self, assignment: &str) -> Result<(), SettingError> {
        let form = || SettingError::Form(assignment.into());
        let (name, value) = assignment.split_once('=').ok_or_else(form)?;
        let setting = SETTINGS
            .iter()
            .find(|setting| setting.name == name.trim())
            .ok_or_else(|| {
                let known: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
                SettingError::Unknown {
                    name: name.trim().into(),
                    known: known.join(", "),
                }
            })?;
        let parsed = value
            .trim()
            .replace('_', "")
            .parse()
            .ok()
            .filter(|number| setting.range.contains(number));
        if parsed.is_some_and(|number| (setting.slot)(self).set(number)) {
            return Ok(());
        }
        let (least, most) = (*setting.range.start(), *setting.range.end());
        Err(SettingError::Value {
            name: setting.name,
            value: value.trim().into(),
            least,
            most,
        })
    }
}

/// What there is to know of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingInfo {
    /// Its name, such as `limits.steps`.
    pub name: &'static str,
    /// What it limits.
    pub about: &'static str,
    /// What it is when nothing is said.
    pub default: u64,
    /// The least it may be.
    pub least: u64,
    /// The most it may be.
    pub most: u64,
}

/// All settings.
pub fn settings() -> Vec<SettingInfo> {
    let mut config = Config::new("", "");
    let info = |setting: &Setting| SettingInfo {
        name: setting.name,
        about: setting.about,
        default: (setting.slot)(&mut config).get(),
        least: *setting.range.start(),
        most: *setting.range.end(),
    };
    SETTINGS.iter().map(info).collect()
}

/// All settings as a Markdown table, with their defaults.
pub fn settings_reference() -> String {
    let mut config = Config::new("", "");
    let row = |setting: &Setting| {
        let default = (setting.slot)(&mut config).get();
        let (least, most) = (setting.range.start(), setting.range.end());
        format!(
            "| `{}` | {} | {default} | {least} – {most} |\n",
            setting.name, setting.about
        )
    };
    let rows: String = SETTINGS.iter().map(row).collect();
    format!("| setting | what it limits | default | allowed |\n|---|---|---|---|\n{rows}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_setting_is_taken() {
        let mut config = Config::new("data", "workerd");
        config.set("limits.steps=25_000").unwrap();
        config.set(" limits.json_bytes = 2048 ").unwrap();
        assert_eq!((config.settings.limits.steps, config.json_bytes), (25_000, 2_048));
    }

    #[test]
    fn what_is_wrong_is_said_and_changes_nothing() {
        let mut config = Config::new("data", "workerd");
        for wrong in [
            "limits.steps",
            "limits.step=1",
            "limits.steps=0",
            "limits.steps=many",
            "limits.result_bytes=99999999999",
        ] {
            assert!(config.set(wrong).is_err(), "{wrong}");
        }
        let text = config.set("limits.steps=0").unwrap_err().to_string();
        assert_eq!(
            text,
            "limits.steps cannot be \"0\": it is a whole number from 1 to 1000000"
        );
        assert_eq!(config.settings, cairn_engine::Settings::default());
    }

    #[test]
    fn the_document_has_all_of_them() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/settings.md");
        let written = std::fs::read_to_string(path).unwrap();
        assert!(
            written.ends_with(&settings_reference()),
            "docs/settings.md should end with\n\n{}",
            settings_reference()
        );
    }
}
