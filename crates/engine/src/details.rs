//! What clients see of one instance.

use crate::instances::corrupt;
use crate::schedules::firing_of;
use crate::{Engine, EngineError, Shared};
use bytes::Bytes;
use cairn_core::{Entry, ErrorInfo, InstanceView, RollbackView, Seq, StepKey, StepKind};
use cairn_runtime::{Firing, StoredStream, Value};
use cairn_store::{InstanceNo, InstanceRow, JournalEntry, Payload, StoreError, StreamNo, WorkflowRow};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The beginning of a value as JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The text, perhaps cut.
    pub text: String,
    /// Whether it was cut.
    pub is_cut: bool,
}

/// One instance, in full.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceDetails {
    /// Its row.
    pub row: InstanceRow,
    /// Its workflow.
    pub workflow: WorkflowRow,
    /// The firing of a schedule it comes from.
    pub firing: Option<Firing>,
    /// Its parameters as JSON text.
    pub params: String,
    /// Its output as JSON text, once complete; none when `run()` returned undefined.
    pub output: Option<String>,
    /// What its journal tells.
    pub view: InstanceView,
    /// Outputs of its steps as JSON text, cut to the asked length, by the entry that carries them. Undefined outputs are absent.
    pub previews: BTreeMap<Seq, Preview>,
}

/// The output of one step, in full.
#[derive(Debug)]
pub struct StepOutput {
    /// The step.
    pub step: cairn_core::StepView,
    /// Its output as JSON text, of a stream its preview; none while it has none, or when it is undefined.
    pub output: Option<String>,
    /// Its output, where it is a stream.
    pub stream: Option<StepStream>,
    /// The error of the attempt asked for, of the step, or of its last attempt.
    pub error: Option<ErrorInfo>,
}

/// A stream that a step has returned, read from its beginning.
pub struct StepStream {
    shared: Arc<Shared>,
    instance: InstanceNo,
    stream: StoredStream,
    next: u32,
}

impl std::fmt::Debug for StepStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StepStream")
            .field("bytes", &self.stream.bytes)
            .finish_non_exhaustive()
    }
}

impl StepStream {
    /// Its length.
    pub fn bytes(&self) -> u64 {
        self.stream.bytes
    }

    /// The next piece; none at the end.
    ///
    /// # Errors
    /// [`EngineError::Store`] where it cannot be read, or is gone with its instance.
    pub async fn next(&mut self) -> Result<Option<Bytes>, EngineError> {
        if self.next == self.stream.chunks {
            return Ok(None);
        }
        let stream = StreamNo(self.stream.number);
        let piece = self.shared.store.stream_chunk(self.instance, stream, self.next);
        let piece = piece
            .await?
            .ok_or_else(|| corrupt("stream", format_args!("piece {} is missing", self.next)))?;
        self.next += 1;
        Ok(Some(piece))
    }
}

/// What has come of an instance.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What `run()` returned.
    pub(crate) output: Option<Value>,
    /// What it threw.
    pub(crate) error: Option<ErrorInfo>,
    /// Its rollback, once it has begun.
    pub(crate) rollback: Option<RollbackView>,
}

impl Engine {
    /// One instance; step outputs are cut to `preview_chars` characters of JSON text.
    ///
    /// # Errors
    /// [`EngineError::WorkflowNotFound`], [`EngineError::InstanceNotFound`]
    pub async fn instance(
        &self,
        account: &str,
        workflow: &str,
        (id, preview_chars): (&str, usize),
    ) -> Result<InstanceDetails, EngineError> {
        let (workflow, row) = self.instance_row(account, workflow, id).await?;
        let journal = self.shared.store.journal(row.no).await?;
        let view = self.view(&journal)?;
        let payloads = Payloads {
            engine: self,
            instance: row.no,
            journal: &journal,
        };
        let params = payloads.text(view.params).await?.unwrap_or_else(|| "{}".into());
        let output = payloads.text(view.output).await?;
        let mut previews = BTreeMap::new();
        for step in &view.steps {
            let Some(seq) = step.output() else { continue };
            let value = payloads.value(Some(seq)).await?;
            let Some(value) = value.filter(|value| !value.is_undefined()) else {
                continue;
            };
            let preview = match value.as_stream() {
                Some(stream) => Preview {
                    text: stream.preview,
                    is_cut: false,
                },
                None => cut(value.to_json_text(), preview_chars),
            };
            previews.insert(seq, preview);
        }
        Ok(InstanceDetails {
            firing: firing_of(&row),
            row,
            workflow,
            params,
            output,
            view,
            previews,
        })
    }

    /// What has come of an instance, for the workflow binding.
    pub(crate) async fn outcome(&self, row: &InstanceRow) -> Result<Ended, EngineError> {
        let journal = self.shared.store.journal(row.no).await?;
        let view = self.view(&journal)?;
        let payloads = Payloads {
            engine: self,
            instance: row.no,
            journal: &journal,
        };
        Ok(Ended {
            output: payloads.value(view.output).await?,
            error: view.error,
            rollback: view.rollback,
        })
    }

    /// What the journal of an instance tells now.
    pub(crate) async fn instance_view(&self, row: &InstanceRow) -> Result<InstanceView, EngineError> {
        self.view(&self.shared.store.journal(row.no).await?)
    }

    fn view(&self, journal: &[JournalEntry]) -> Result<InstanceView, EngineError> {
        let entries: Result<Vec<Entry>, _> = journal.iter().map(|line| Entry::decode(&line.entry)).collect();
        let entries = entries.map_err(|error| corrupt("journal", error))?;
        InstanceView::of(&entries, &self.shared.settings.limits).map_err(|error| corrupt("journal", error))
    }

    /// The stream that an entry carries.
    ///
    /// # Errors
    /// [`EngineError::InvalidInput`] where it carries none.
    pub(crate) async fn stream_at(
        &self,
        (account, workflow): (&str, &str),
        (id, entry): (&str, Seq),
    ) -> Result<StepStream, EngineError> {
        let (_, row) = self.instance_row(account, workflow, id).await?;
        let none = || EngineError::InvalidInput(format!("entry {} of \"{id}\" carries no stream", entry.0));
        let bytes = self.shared.store.payload(row.no, entry).await?.ok_or_else(none)?;
        let value = Value::from_stored(bytes).map_err(|error| corrupt("value", error))?;
        Ok(StepStream {
            shared: Arc::clone(&self.shared),
            instance: row.no,
            stream: value.as_stream().ok_or_else(none)?,
            next: 0,
        })
    }

    /// The output of the step shown as `name` (with its count: `charge-1`).
    ///
    /// # Errors
    /// [`EngineError::StepNotFound`], also for an attempt that was never made.
    pub async fn step_output(
        &self,
        account: &str,
        workflow: &str,
        (id, name, kind, attempt): (&str, &str, StepKind, Option<u32>),
    ) -> Result<StepOutput, EngineError> {
        let (_, row) = self.instance_row(account, workflow, id).await?;
        let journal = self.shared.store.journal(row.no).await?;
        let view = self.view(&journal)?;
        let named = |key: &StepKey| key.kind == kind && key.to_string() == name;
        let step = view.steps.into_iter().find(|step| named(&step.key));
        let step = step.ok_or_else(|| EngineError::StepNotFound(name.into()))?;
        let error = step_error(&step, attempt)
            .ok_or_else(|| EngineError::StepNotFound(format!("{name}, attempt {}", attempt.unwrap_or(0))))?;
        let payloads = Payloads {
            engine: self,
            instance: row.no,
            journal: &journal,
        };
        let value = if error.is_none() {
            payloads.value(step.output()).await?
        } else {
            None
        };
        let value = value.filter(|value| !value.is_undefined());
        let stream = value.as_ref().and_then(Value::as_stream);
        Ok(StepOutput {
            step,
            output: value.map(|value| value.to_json_text()),
            stream: stream.map(|stream| StepStream {
                shared: Arc::clone(&self.shared),
                instance: row.no,
                stream,
                next: 0,
            }),
            error,
        })
    }
}

/// The error to show: outer none when there is no such attempt.
fn step_error(step: &cairn_core::StepView, attempt: Option<u32>) -> Option<Option<ErrorInfo>> {
    let attempts = match &step.detail {
        cairn_core::StepDetail::Do { attempts, .. } => attempts.as_slice(),
        cairn_core::StepDetail::Sleep { .. } | cairn_core::StepDetail::Wait { .. } => &[],
    };
    match attempt {
        Some(number) => attempts
            .get((number as usize).checked_sub(1)?)
            .map(|attempt| attempt.error.clone()),
        None if step.success() == Some(true) => Some(None),
        None => Some(
            step.error
                .clone()
                .or_else(|| attempts.iter().rev().find_map(|attempt| attempt.error.clone())),
        ),
    }
}

fn cut(text: String, chars: usize) -> Preview {
    match text.char_indices().nth(chars) {
        Some((end, _)) => Preview {
            text: text[..end].into(),
            is_cut: true,
        },
        None => Preview { text, is_cut: false },
    }
}

/// The values of one journal, read one at a time.
struct Payloads<'a> {
    engine: &'a Engine,
    instance: InstanceNo,
    journal: &'a [JournalEntry],
}

impl Payloads<'_> {
    async fn text(&self, seq: Option<Seq>) -> Result<Option<String>, EngineError> {
        let value = self.value(seq).await?;
        Ok(value
            .filter(|value| !value.is_undefined())
            .map(|value| value.to_json_text()))
    }

    async fn value(&self, seq: Option<Seq>) -> Result<Option<Value>, EngineError> {
        let Some(seq) = seq else { return Ok(None) };
        let bytes = self.bytes(seq).await?;
        bytes
            .map(|bytes| Value::from_stored(bytes).map_err(|error| corrupt("value", error)))
            .transpose()
    }

    async fn bytes(&self, seq: Seq) -> Result<Option<Bytes>, EngineError> {
        let line = usize::try_from(seq.0)
            .ok()
            .and_then(|index| self.journal.get(index))
            .filter(|line| line.seq == seq);
        let line =
            line.ok_or_else(|| EngineError::Store(StoreError::Corrupt("the journal has a gap".into())))?;
        match &line.payload {
            None => Ok(None),
            Some(Payload::Inline(bytes)) => Ok(Some(bytes.clone())),
            Some(Payload::Apart { .. }) => Ok(self.engine.shared.store.payload(self.instance, seq).await?),
        }
    }
}
