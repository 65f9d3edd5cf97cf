//! The streams that callbacks of one instance have returned: pieces on their way to the store, and back.
//!
//! A stream is a result like any other once all of its pieces are durable: only then do the rules hear of it. Until then it is nothing, and
//! is dropped when nobody waits for its attempt any more.

use super::{Abandon, Driver, Out};
use crate::streams::{Kept, Pull, Write};
use bytes::Bytes;
use cairn_core::{CallId, Input, OutputKind, Timestamp};
use cairn_runtime::{Command, PREVIEW_BYTES, RunId, StoredStream, Value};
use cairn_store::{StoreError, StreamNo, StreamWrite};

/// Streams of one holding: their numbers are the lease's epoch and a count of so many bits. Together they stay within what JavaScript
/// counts exactly.
const COUNT_BITS: u32 = 20;

/// The streams of one holding.
pub(super) struct Streams {
    /// The first number of this holding.
    first: u64,
    begun: u64,
    open: Vec<Open>,
    /// Streams of earlier holdings that the journal names.
    named: Vec<StreamNo>,
    /// A stream that the rules are being told of.
    whole: Option<(CallId, Value)>,
}

/// A stream that is being read.
struct Open {
    number: StreamNo,
    call: CallId,
    attempt: u32,
    chunks: u32,
    bytes: u64,
    /// Pieces that are durable.
    kept: u32,
    /// Its beginning.
    head: Vec<u8>,
    /// Whether its last piece has come.
    has_ended: bool,
}

impl Open {
    fn is_whole(&self) -> bool {
        self.has_ended && self.kept == self.chunks
    }
}

impl Streams {
    pub(super) fn new(epoch: i64) -> Self {
        Self {
            first: epoch.unsigned_abs() << COUNT_BITS,
            begun: 0,
            open: Vec::new(),
            named: Vec::new(),
            whole: None,
        }
    }

    /// The journal names the stream that this value is, if it is one.
    pub(super) fn names(&mut self, value: &Value) {
        if let Some(stream) = value.as_stream() {
            self.named.push(StreamNo(stream.number));
        }
    }

    /// What a call resolves with whose stream is durable.
    pub(super) fn confirmation(&mut self, call: CallId) -> Option<Value> {
        self.whole.take_if(|(of, _)| *of == call).map(|(_, value)| value)
    }

    fn position(&self, call: CallId, attempt: u32) -> Option<usize> {
        let is_it = |open: &Open| open.call == call && open.attempt == attempt;
        self.open.iter().position(is_it)
    }
}

impl Driver {
    /// A callback has returned a stream, and this is the next piece of it.
    pub(super) fn chunk(
        &mut self,
        now: Timestamp,
        (call, attempt): (CallId, u32),
        (index, bytes): (u32, Bytes),
        out: &mut Out,
    ) -> Result<(), Abandon> {
        let Some(run) = self.run else { return Ok(()) };
        if !self.instance.is_current(call, attempt) {
            out.commands.push(Command::Halt { run, call, attempt });
            out.commands.push(Command::Kept { run, chunks: 1 });
            return Ok(());
        }
        let kept = self.instance.durable().state_bytes;
        let open: u64 = self.streams.open.iter().map(|open| open.bytes).sum();
        let total = kept.saturating_add(open).saturating_add(bytes.len() as u64);
        if total > self.instance.limits().state_bytes {
            let input = Input::AttemptSucceeded {
                call,
                attempt,
                bytes: total,
                output: OutputKind::Stream,
            };
            return self.handle(now, input, None, out);
        }
        let at = self.open_stream((call, attempt), out)?;
        let stream = &mut self.streams.open[at];
        if index != stream.chunks || stream.has_ended {
            return Err(Abandon(format!(
                "piece {index} of a stream came where piece {} was expected",
                stream.chunks
            )));
        }
        stream.chunks += 1;
        stream.bytes += bytes.len() as u64;
        let room = PREVIEW_BYTES - stream.head.len();
        stream.head.extend_from_slice(&bytes[..room.min(bytes.len())]);
        let write = StreamWrite::Append {
            instance: self.row.no,
            lease: self.lease,
            stream: stream.number,
            index,
            bytes,
        };
        out.stream_writes.push(Write { write, run });
        Ok(())
    }

    /// The place of a stream, which begins if it is new. The first of a holding sends off what earlier ones have left unfinished.
    fn open_stream(&mut self, (call, attempt): (CallId, u32), out: &mut Out) -> Result<usize, Abandon> {
        if let Some(at) = self.streams.position(call, attempt) {
            return Ok(at);
        }
        if self.streams.begun == 0 {
            self.streams.named.sort_unstable();
            let (until, keep) = (StreamNo(self.streams.first), self.streams.named.clone());
            self.drop_streams((StreamNo(0), until, keep), out);
        }
        if self.streams.begun >> COUNT_BITS != 0 {
            return Err(Abandon("its lease has no numbers for more streams".into()));
        }
        self.streams.open.push(Open {
            number: StreamNo(self.streams.first | self.streams.begun),
            call,
            attempt,
            chunks: 0,
            bytes: 0,
            kept: 0,
            head: Vec::new(),
            has_ended: false,
        });
        self.streams.begun += 1;
        Ok(self.streams.open.len() - 1)
    }

    /// All pieces of a stream have come.
    pub(super) fn streamed(
        &mut self,
        now: Timestamp,
        (call, attempt): (CallId, u32),
        size: (u32, u64),
        out: &mut Out,
    ) -> Result<(), Abandon> {
        if !self.instance.is_current(call, attempt) {
            return Ok(());
        }
        let at = self.open_stream((call, attempt), out)?;
        let stream = &mut self.streams.open[at];
        let came = (stream.chunks, stream.bytes);
        if came != size || stream.has_ended {
            return Err(Abandon(format!(
                "a stream of {} pieces and {} bytes was announced, {} and {} came",
                size.0, size.1, came.0, came.1
            )));
        }
        stream.has_ended = true;
        self.finish_stream(now, at, out)
    }

    /// A piece has been written.
    pub(crate) fn stream_kept(&mut self, now: Timestamp, kept: &Kept, out: &mut Out) -> Result<(), Abandon> {
        if self.run == Some(kept.run) {
            out.commands.push(Command::Kept {
                run: kept.run,
                chunks: 1,
            });
        }
        let position = self
            .streams
            .open
            .iter()
            .position(|open| open.number == kept.stream);
        let Some(at) = position.filter(|_| self.is_busy()) else {
            return Ok(());
        };
        self.streams.open[at].kept += 1;
        self.finish_stream(now, at, out)
    }

    /// Tells the rules of a stream that is whole.
    fn finish_stream(&mut self, now: Timestamp, at: usize, out: &mut Out) -> Result<(), Abandon> {
        if !self.streams.open[at].is_whole() {
            return Ok(());
        }
        let Open {
            number,
            call,
            attempt,
            chunks,
            bytes,
            head,
            ..
        } = self.streams.open.swap_remove(at);
        let value = Value::stream(&StoredStream::new(number.0, (chunks, bytes), &head));
        self.streams.whole = Some((call, value.clone()));
        let input = Input::AttemptSucceeded {
            call,
            attempt,
            bytes,
            output: OutputKind::Stream,
        };
        let handled = self.handle(now, input, Some(value.as_bytes().clone()), out);
        if self.streams.whole.take().is_some() {
            // The rules have made something else of it.
            self.drop_streams((number, StreamNo(number.0 + 1), Vec::new()), out);
        }
        handled
    }

    /// Gives up the streams of attempts that nobody waits for.
    pub(super) fn halt_streams(&mut self, out: &mut Out) {
        if self.streams.open.is_empty() {
            return;
        }
        let (instance, run) = (&self.instance, self.run);
        let is_void = |open: &mut Open| run.is_none() || !instance.is_current(open.call, open.attempt);
        for Open {
            number,
            call,
            attempt,
            ..
        } in self.streams.open.extract_if(.., is_void).collect::<Vec<_>>()
        {
            if let Some(run) = run {
                out.commands.push(Command::Halt { run, call, attempt });
            }
            self.drop_streams((number, StreamNo(number.0 + 1), Vec::new()), out);
        }
    }

    fn drop_streams(&self, (from, until, keep): (StreamNo, StreamNo, Vec<StreamNo>), out: &mut Out) {
        let write = StreamWrite::Drop {
            instance: self.row.no,
            from,
            until,
            keep,
        };
        let run = self.run.unwrap_or(RunId(0));
        out.stream_writes.push(Write { write, run });
    }

    /// The run wants a piece of a stream.
    pub(super) fn pull(&self, pull: u32, (stream, index): (u64, u32), out: &mut Out) {
        if let Some(run) = self.run {
            out.pulls.push(Pull {
                instance: self.row.no,
                lease: self.lease,
                run,
                pull,
                stream: StreamNo(stream),
                index,
            });
        }
    }

    /// A piece has been read.
    pub(crate) fn pulled(
        &self,
        pull: &Pull,
        read: Result<Option<Bytes>, StoreError>,
        out: &mut Out,
    ) -> Result<(), Abandon> {
        if self.run != Some(pull.run) {
            return Ok(());
        }
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(StoreError::Corrupt(error)) => {
                tracing::error!(
                    instance = self.row.id,
                    error,
                    "a stream is damaged; user code is told"
                );
                None
            }
            Err(error) => return Err(Abandon(format!("a stream cannot be read: {error}"))),
        };
        out.commands.push(Command::Piece {
            run: pull.run,
            pull: pull.pull,
            bytes,
        });
        Ok(())
    }
}
