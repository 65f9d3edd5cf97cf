//! Messages of Cap'n Proto's RPC protocol, as far as a switch must understand them: which ids a message names, and where they stand,
//! so that they can be replaced in place. What the messages carry is not looked at.
//!
//! Offsets are those of `rpc.capnp`, which is a stable format.

use bytes::Bytes;
use futures_util::FutureExt as _;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Most segments of a message.
const MOST_SEGMENTS: usize = 512;
/// Bytes of the largest message: workerd lets an RPC carry 32 MiB.
const LARGEST: usize = 128 << 20;
const WORD: usize = 8;

/// Why a message cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a malformed message: {0}")]
pub(super) struct Malformed(&'static str);

/// An id in a message: where it stands and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id {
    at: usize,
    pub(super) value: u32,
}

/// To what a message is addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// An export of the receiver.
    Export(Id),
    /// The answer to a question of the sender.
    Answer(Promised),
}

/// The answer to a question, as a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Promised {
    /// Where the target stands.
    at: usize,
    pub(super) question: Id,
}

/// An entry of a table of capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Capability {
    /// Where its kind stands.
    at: usize,
    pub(super) kind: CapabilityKind,
}

/// What a capability is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CapabilityKind {
    None,
    /// An export of the sender.
    Sender(Id),
    /// An export of the sender that will be resolved.
    SenderPromise(Id),
    /// An export of the receiver.
    Receiver(Id),
    /// Part of the answer to a question of the sender.
    ReceiverAnswer(Id),
}

/// What a return says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Returned {
    Results(Vec<Capability>),
    /// The results are those of another question, of the sender of the return.
    OfQuestion(Id),
    /// An exception, or nothing.
    Other,
}

/// Whether what a message brought along is released with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Along {
    Released,
    Kept,
}

/// What comes back for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    ByReturn,
    /// Only calls on its answer matter.
    Never,
}

/// Whether a finish follows a return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finished {
    Later,
    ByReturn,
}

/// A message, by what a switch does with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Bootstrap {
        question: Id,
    },
    Call {
        question: Id,
        target: Target,
        params: Vec<Capability>,
        answered: Answered,
    },
    Return {
        answer: Id,
        params: Along,
        finished: Finished,
        returned: Returned,
    },
    Finish {
        question: Id,
        results: Along,
    },
    Resolve {
        promise: Id,
        capability: Option<Capability>,
    },
    Release {
        export: Id,
        count: u32,
    },
    /// The sender's embargo is to come back by the way of the target.
    Embargo {
        target: Target,
        id: Id,
    },
    /// The receiver's embargo has come back.
    Disembargo {
        target: Target,
        id: Id,
    },
    /// The sender gives up.
    Abort,
    /// The sender did not understand what it was sent.
    Unimplemented,
}

/// A message with its segment table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    bytes: Vec<u8>,
    /// Where segments begin, and their words.
    segments: Vec<(usize, usize)>,
}

/// A struct in a message.
#[derive(Debug, Clone, Copy)]
struct Struct {
    segment: usize,
    /// Words in the segment.
    at: usize,
    data_words: usize,
    pointers: usize,
}

/// A list of structs: its first element, how many there are, and the words of data and of pointers of each.
type Structs = (Place, usize, (usize, usize));

/// A word of a message.
#[derive(Debug, Clone, Copy)]
struct Place {
    segment: usize,
    at: usize,
}

impl Message {
    /// Reads a message; none at the end of the stream.
    pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let mut first = [0; 4];
        if stream.read(&mut first[..1]).await? == 0 {
            return Ok(None);
        }
        stream.read_exact(&mut first[1..]).await?;
        let count = u32::from_le_bytes(first) as usize + 1;
        if count > MOST_SEGMENTS {
            return Err(io::Error::other("a message of too many segments"));
        }
        // The table ends with a whole word.
        let table = (4 + 4 * count).next_multiple_of(WORD);
        let mut bytes = vec![0; table];
        bytes[..4].copy_from_slice(&first);
        stream.read_exact(&mut bytes[4..]).await?;
        let mut at = table;
        let mut segments = Vec::with_capacity(count);
        for segment in 0..count {
            let words = u32_at(&bytes, 4 + 4 * segment).unwrap_or(0) as usize;
            segments.push((at, words));
            at = at.saturating_add(words.saturating_mul(WORD));
        }
        if at > LARGEST {
            return Err(io::Error::other(format!(
                "a message of {at} bytes; at most {LARGEST} are allowed"
            )));
        }
        // Room is made as the bytes come, not as the table promises.
        let promised = (at - table) as u64;
        let came = stream.take(promised).read_to_end(&mut bytes).await? as u64;
        if came < promised {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(Self { bytes, segments }))
    }

    /// The message as it travels.
    pub(super) fn into_bytes(self) -> Bytes {
        self.bytes.into()
    }

    /// Replaces an id.
    pub(super) fn put(&mut self, id: Id, value: u32) {
        if let Some(place) = self.bytes.get_mut(id.at..id.at + 4) {
            place.copy_from_slice(&value.to_le_bytes());
        }
    }

    /// Makes a capability none.
    pub(super) fn remove(&mut self, capability: Capability) {
        if let Some(place) = self.bytes.get_mut(capability.at..capability.at + 2) {
            place.fill(0);
        }
    }

    /// Addresses an export of the receiver instead.
    pub(super) fn readdress(&mut self, target: Target, export: u32) {
        match target {
            Target::Export(id) => self.put(id, export),
            Target::Answer(Promised { at, .. }) => {
                if let Some(place) = self.bytes.get_mut(at..at + 6) {
                    place[..4].copy_from_slice(&export.to_le_bytes());
                    place[4..].fill(0);
                }
            }
        }
    }

    /// Makes an embargo one that has come back.
    pub(super) fn turn(&mut self, embargo: Id) {
        if let Some(place) = self.bytes.get_mut(embargo.at + 4..embargo.at + 6) {
            place.copy_from_slice(&1_u16.to_le_bytes());
        }
    }

    /// Reads what the message is. None for one that a connection of two parties has no use for.
    pub(super) fn kind(&self) -> Result<Option<Kind>, Malformed> {
        let root = Place { segment: 0, at: 0 };
        let root = self.structure(root)?.ok_or(Malformed("it is empty"))?;
        let body = self.pointer(root, 0)?;
        let body = || body.ok_or(Malformed("its body is missing"));
        Ok(Some(match self.u16(root, 0) {
            0 => Kind::Unimplemented,
            1 => Kind::Abort,
            2 => self.call(body()?)?,
            3 => self.returned(body()?)?,
            4 => Kind::Finish {
                question: self.id(body()?, 0)?,
                results: along(self.bit(body()?, 32)),
            },
            5 => {
                let resolve = body()?;
                let capability = match self.u16(resolve, 4) {
                    0 => self
                        .pointer(resolve, 0)?
                        .map(|of| self.capability(of))
                        .transpose()?,
                    _ => None,
                };
                Kind::Resolve {
                    promise: self.id(resolve, 0)?,
                    capability,
                }
            }
            6 => Kind::Release {
                export: self.id(body()?, 0)?,
                count: self.u32(body()?, 4),
            },
            8 => Kind::Bootstrap {
                question: self.id(body()?, 0)?,
            },
            13 => return self.disembargo(body()?).map(Some),
            _ => return Ok(None),
        }))
    }

    fn call(&self, call: Struct) -> Result<Kind, Malformed> {
        let target = self
            .pointer(call, 0)?
            .ok_or(Malformed("a call without a target"))?;
        // Bits 128 and up are younger than the rest: they may be missing.
        let answered = if self.bit(call, 130) {
            Answered::Never
        } else {
            Answered::ByReturn
        };
        Ok(Kind::Call {
            question: self.id(call, 0)?,
            target: self.target(target)?,
            params: self.capabilities(self.pointer(call, 1)?)?,
            answered,
        })
    }

    fn returned(&self, of: Struct) -> Result<Kind, Malformed> {
        let returned = match self.u16(of, 6) {
            0 => Returned::Results(self.capabilities(self.pointer(of, 0)?)?),
            4 => Returned::OfQuestion(self.id(of, 8)?),
            _ => Returned::Other,
        };
        let finished = if self.bit(of, 33) {
            Finished::ByReturn
        } else {
            Finished::Later
        };
        Ok(Kind::Return {
            answer: self.id(of, 0)?,
            params: along(self.bit(of, 32)),
            finished,
            returned,
        })
    }

    fn disembargo(&self, of: Struct) -> Result<Kind, Malformed> {
        let target = self
            .pointer(of, 0)?
            .ok_or(Malformed("a disembargo without a target"))?;
        let (target, id) = (self.target(target)?, self.id(of, 0)?);
        match self.u16(of, 4) {
            0 => Ok(Kind::Embargo { target, id }),
            1 => Ok(Kind::Disembargo { target, id }),
            _ => Err(Malformed("a disembargo of more than two parties")),
        }
    }

    fn target(&self, of: Struct) -> Result<Target, Malformed> {
        match self.u16(of, 4) {
            0 => Ok(Target::Export(self.id(of, 0)?)),
            1 => Ok(Target::Answer(Promised {
                at: self.data_at(of, 0, 6).unwrap_or(0),
                question: self.promised_answer(of)?,
            })),
            _ => Err(Malformed("an unknown target")),
        }
    }

    fn promised_answer(&self, of: Struct) -> Result<Id, Malformed> {
        let answer = self
            .pointer(of, 0)?
            .ok_or(Malformed("an answer that is missing"))?;
        self.id(answer, 0)
    }

    fn capabilities(&self, payload: Option<Struct>) -> Result<Vec<Capability>, Malformed> {
        let Some(payload) = payload.filter(|payload| payload.pointers > 1) else {
            return Ok(Vec::new());
        };
        let table = Place {
            segment: payload.segment,
            at: payload.at + payload.data_words + 1,
        };
        let Some((first, count, (data_words, pointers))) = self.structures(table)? else {
            return Ok(Vec::new());
        };
        let each = |index| Struct {
            segment: first.segment,
            at: first.at + index * (data_words + pointers),
            data_words,
            pointers,
        };
        (0..count).map(|index| self.capability(each(index))).collect()
    }

    fn capability(&self, of: Struct) -> Result<Capability, Malformed> {
        let kind = match self.u16(of, 0) {
            0 => CapabilityKind::None,
            1 => CapabilityKind::Sender(self.id(of, 4)?),
            2 => CapabilityKind::SenderPromise(self.id(of, 4)?),
            3 => CapabilityKind::Receiver(self.id(of, 4)?),
            4 => CapabilityKind::ReceiverAnswer(self.promised_answer(of)?),
            _ => return Err(Malformed("a capability of more than two parties")),
        };
        Ok(Capability {
            at: self.data_at(of, 0, 2).unwrap_or(0),
            kind,
        })
    }

    /// Where bytes of a struct's data stand, if it has them.
    fn data_at(&self, of: Struct, offset: usize, bytes: usize) -> Option<usize> {
        (offset + bytes <= of.data_words * WORD).then(|| self.segments[of.segment].0 + of.at * WORD + offset)
    }

    /// A field that must be there to be replaced.
    fn id(&self, of: Struct, offset: usize) -> Result<Id, Malformed> {
        let at = self
            .data_at(of, offset, 4)
            .ok_or(Malformed("a struct without its id"))?;
        let value = u32_at(&self.bytes, at).ok_or(Malformed("it ends early"))?;
        Ok(Id { at, value })
    }

    fn u32(&self, of: Struct, offset: usize) -> u32 {
        let at = self.data_at(of, offset, 4);
        at.and_then(|at| u32_at(&self.bytes, at)).unwrap_or(0)
    }

    fn u16(&self, of: Struct, offset: usize) -> u16 {
        let at = self.data_at(of, offset, 2);
        let bytes = at.and_then(|at| self.bytes.get(at..at + 2));
        bytes.map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn bit(&self, of: Struct, bit: usize) -> bool {
        let at = self.data_at(of, bit / 8, 1);
        at.and_then(|at| self.bytes.get(at))
            .is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
    }

    /// The struct that a pointer of a struct leads to.
    fn pointer(&self, of: Struct, index: usize) -> Result<Option<Struct>, Malformed> {
        if index >= of.pointers {
            return Ok(None);
        }
        self.structure(Place {
            segment: of.segment,
            at: of.at + of.data_words + index,
        })
    }

    fn structure(&self, pointer: Place) -> Result<Option<Struct>, Malformed> {
        let Some((place, word)) = self.follow(pointer)? else {
            return Ok(None);
        };
        if word & 3 != 0 {
            return Err(Malformed("not a struct where one should be"));
        }
        let (data_words, pointers) = struct_size(word);
        self.check(place, data_words + pointers)?;
        Ok(Some(Struct {
            segment: place.segment,
            at: place.at,
            data_words,
            pointers,
        }))
    }

    /// A list of structs: its first element, how many there are, and the words of data and pointers of each.
    fn structures(&self, pointer: Place) -> Result<Option<Structs>, Malformed> {
        let Some((place, word)) = self.follow(pointer)? else {
            return Ok(None);
        };
        // 7: a list whose first word says what its elements are.
        if word & 3 != 1 || word >> 32 & 7 != 7 {
            return Err(Malformed("not a list of structs where one should be"));
        }
        let words = usize::try_from(word >> 35).map_err(|_| Malformed("a list that is too long"))?;
        self.check(place, words + 1)?;
        let tag = self.word(place)?;
        let (data_words, pointers) = struct_size(tag);
        let count = (tag as u32 >> 2) as usize;
        // Elements without words could be any number.
        if count.saturating_mul((data_words + pointers).max(1)) > words {
            return Err(Malformed("a list that is longer than its words"));
        }
        let first = Place {
            segment: place.segment,
            at: place.at + 1,
        };
        Ok(Some((first, count, (data_words, pointers))))
    }

    /// Follows a pointer into another segment if it leads there: where its object is, and the word that says what it is.
    fn follow(&self, pointer: Place) -> Result<Option<(Place, u64)>, Malformed> {
        let word = self.word(pointer)?;
        if word == 0 {
            return Ok(None);
        }
        if word & 3 != 2 {
            return Ok(Some((object(pointer, word)?, word)));
        }
        let pad = far(word);
        let landed = self.word(pad)?;
        if word & 4 == 0 {
            return Ok(Some((object(pad, landed)?, landed)));
        }
        // Two words: where the object is, and what it is.
        let what = Place {
            segment: pad.segment,
            at: pad.at + 1,
        };
        Ok(Some((far(landed), self.word(what)?)))
    }

    fn word(&self, place: Place) -> Result<u64, Malformed> {
        self.check(place, 1)?;
        let at = self.segments[place.segment].0 + place.at * WORD;
        let bytes = self
            .bytes
            .get(at..at + WORD)
            .and_then(|bytes| bytes.try_into().ok());
        bytes.map(u64::from_le_bytes).ok_or(Malformed("it ends early"))
    }

    /// Sees that so many words are there.
    fn check(&self, place: Place, words: usize) -> Result<(), Malformed> {
        let segment = self
            .segments
            .get(place.segment)
            .ok_or(Malformed("a segment that is missing"))?;
        let end = place.at.checked_add(words);
        match end {
            Some(end) if end <= segment.1 => Ok(()),
            _ => Err(Malformed("a pointer out of its segment")),
        }
    }
}

/// What bytes from outside are read as, and whether putting each id where it stands leaves them as they are. For the fuzz targets.
pub(crate) fn examine(mut bytes: &[u8]) -> Result<(String, bool), String> {
    let message = match Message::read(&mut bytes).now_or_never() {
        Some(Ok(Some(message))) => message,
        Some(Ok(None)) | None => return Err("there is no message".into()),
        Some(Err(error)) => return Err(error.to_string()),
    };
    let kind = message.kind().map_err(|error| error.to_string())?;
    let mut same = message.clone();
    for id in kind.iter().flat_map(ids) {
        same.put(id, id.value);
    }
    Ok((format!("{kind:?}"), same == message))
}

/// The ids that a message names.
fn ids(kind: &Kind) -> Vec<Id> {
    let of_target = |target: &Target| match target {
        Target::Export(id) => *id,
        Target::Answer(promised) => promised.question,
    };
    let of_capability = |capability: &Capability| match capability.kind {
        CapabilityKind::None => None,
        CapabilityKind::Sender(id)
        | CapabilityKind::SenderPromise(id)
        | CapabilityKind::Receiver(id)
        | CapabilityKind::ReceiverAnswer(id) => Some(id),
    };
    match kind {
        Kind::Bootstrap { question } | Kind::Finish { question, .. } => vec![*question],
        Kind::Call {
            question,
            target,
            params,
            ..
        } => {
            let own = [*question, of_target(target)];
            own.into_iter()
                .chain(params.iter().filter_map(of_capability))
                .collect()
        }
        Kind::Return { answer, returned, .. } => {
            let brought = match returned {
                Returned::Results(all) => all.iter().filter_map(of_capability).collect(),
                Returned::OfQuestion(id) => vec![*id],
                Returned::Other => Vec::new(),
            };
            [vec![*answer], brought].concat()
        }
        Kind::Resolve { promise, capability } => {
            let resolved = capability.iter().filter_map(of_capability);
            [*promise].into_iter().chain(resolved).collect()
        }
        Kind::Release { export, .. } => vec![*export],
        Kind::Embargo { target, id } | Kind::Disembargo { target, id } => vec![of_target(target), *id],
        Kind::Abort | Kind::Unimplemented => Vec::new(),
    }
}

fn along(kept: bool) -> Along {
    // The bit is inverted: released is the default.
    if kept { Along::Kept } else { Along::Released }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    bytes.try_into().ok().map(u32::from_le_bytes)
}

/// Words of data and of pointers of a struct.
fn struct_size(word: u64) -> (usize, usize) {
    ((word >> 32 & 0xffff) as usize, (word >> 48) as usize)
}

/// Where a near pointer leads.
fn object(pointer: Place, word: u64) -> Result<Place, Malformed> {
    let offset = (word as u32).cast_signed() >> 2;
    let at = isize::try_from(pointer.at)
        .ok()
        .and_then(|at| at.checked_add(1 + offset as isize));
    let at = at.and_then(|at| usize::try_from(at).ok());
    Ok(Place {
        segment: pointer.segment,
        at: at.ok_or(Malformed("a pointer out of its segment"))?,
    })
}

/// Where a pointer into another segment leads.
fn far(word: u64) -> Place {
    Place {
        segment: (word >> 32) as usize,
        at: (word as u32 >> 3) as usize,
    }
}

/// Why something failed, as the protocol has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// It cannot be done.
    Failed = 0,
    /// The connection was lost.
    Disconnected = 2,
}

/// A message of one segment, word by word.
struct Words(Vec<u64>);

impl Words {
    /// A message whose body is a struct of so many words of data, and one pointer.
    fn message(kind: u64, data: &[u64]) -> Self {
        let mut words = vec![pointer_to(0, 1, 1), kind, pointer_to(0, data.len(), 1)];
        words.extend_from_slice(data);
        words.push(0);
        Self(words)
    }

    /// Lets the last word, a pointer, lead to an exception.
    fn exception(mut self, failure: Failure, reason: &str) -> Self {
        if let Some(last) = self.0.last_mut() {
            *last = pointer_to(0, 1, 1);
        }
        self.0.push((failure as u64) << 32);
        let bytes = reason.len() as u64 + 1;
        self.0.push(1 | 2 << 32 | bytes << 35);
        let mut text = reason.as_bytes().to_vec();
        text.resize((reason.len() + 1).next_multiple_of(WORD), 0);
        let words = text.chunks_exact(WORD).map(|chunk| {
            let mut word = [0; WORD];
            word.copy_from_slice(chunk);
            u64::from_le_bytes(word)
        });
        self.0.extend(words);
        self
    }

    fn finish(self) -> Bytes {
        let mut bytes = Vec::with_capacity((self.0.len() + 1) * WORD);
        bytes.extend_from_slice(&0_u32.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(self.0.len()).unwrap_or(0).to_le_bytes());
        for word in self.0 {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.into()
    }
}

fn pointer_to(offset: u64, data_words: usize, pointers: u64) -> u64 {
    offset << 2 | (data_words as u64) << 32 | pointers << 48
}

/// `Bootstrap`.
pub(super) fn bootstrap(question: u32) -> Bytes {
    Words::message(8, &[u64::from(question)]).finish()
}

/// `Return` with an export as its only result.
pub(super) fn return_export(answer: u32, export: u32) -> Bytes {
    let mut words = Words::message(3, &[u64::from(answer) | 1 << 32, 0]);
    if let Some(last) = words.0.last_mut() {
        *last = pointer_to(0, 0, 2);
    }
    // The result is the first of the table of capabilities, which has one entry: a tag, a word of data and a pointer.
    words.0.extend([
        3,
        1 | 7 << 32 | 2 << 35,
        1 << 2 | 1 << 32 | 1 << 48,
        1 | u64::from(export) << 32,
        0,
    ]);
    words.finish()
}

/// `Return` with an exception.
pub(super) fn return_exception(answer: u32, failure: Failure, reason: &str) -> Bytes {
    // Bit 32: capabilities of the call are kept, they are released one by one. 1 << 48: an exception.
    let data = [u64::from(answer) | 1 << 32 | 1 << 48, 0];
    Words::message(3, &data).exception(failure, reason).finish()
}

/// `Resolve` with an exception.
pub(super) fn resolve_exception(promise: u32, failure: Failure, reason: &str) -> Bytes {
    let data = [u64::from(promise) | 1 << 32];
    Words::message(5, &data).exception(failure, reason).finish()
}

/// `Finish`; what the results bring along is released.
pub(super) fn finish(question: u32) -> Bytes {
    Words::message(4, &[u64::from(question)]).finish()
}

/// `Release`.
pub(super) fn release(export: u32, count: u32) -> Bytes {
    Words::message(6, &[u64::from(export) | u64::from(count) << 32]).finish()
}
