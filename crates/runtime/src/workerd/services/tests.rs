//! The switch without processes: messages are made and read by hand.

use super::message::{self, Capability, CapabilityKind, Failure, Kind, Message, Returned};
use super::switch::{Broken, Out, Slot, Switch};
use bytes::Bytes;

/// Words of a message of one segment, whose root and body are in place: the body has this data and these pointers.
fn message(kind: u64, data: &[u64], rest: &[u64]) -> Message {
    let pointers = 3;
    let mut words = vec![at(0, 1, 1), kind, at(0, data.len(), pointers)];
    words.extend_from_slice(data);
    words.extend_from_slice(rest);
    words.resize(words.len().max(3 + data.len() + 3), 0);
    read(&framed(&words))
}

fn at(offset: u64, data: usize, pointers: u64) -> u64 {
    offset << 2 | (data as u64) << 32 | pointers << 48
}

fn framed(words: &[u64]) -> Vec<u8> {
    let mut bytes = [
        0_u32.to_le_bytes(),
        u32::try_from(words.len()).unwrap().to_le_bytes(),
    ]
    .concat();
    bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    bytes
}

fn read(mut bytes: &[u8]) -> Message {
    let reading = Message::read(&mut bytes);
    futures_util::FutureExt::now_or_never(reading)
        .unwrap()
        .unwrap()
        .unwrap()
}

/// A call of the export `target` with one capability of this kind and id.
fn call(question: u32, target: u32, (kind, id): (u64, u32)) -> Message {
    // Behind the three pointers: the target, the payload, the table of one capability.
    let rest = [
        at(2, 1, 1),
        at(3, 0, 2),
        0,
        u64::from(target),
        0,
        0,
        1 | 7 << 32 | 2 << 35,
        1 << 2 | 1 << 32 | 1 << 48,
        kind | u64::from(id) << 32,
        0,
    ];
    message(2, &[u64::from(question), 0, 0], &rest)
}

/// A return with one capability.
fn returned(answer: u32, (kind, id): (u64, u32)) -> Message {
    let rest = [
        at(2, 0, 2),
        0,
        0,
        3,
        1 | 7 << 32 | 2 << 35,
        1 << 2 | 1 << 32 | 1 << 48,
        kind | u64::from(id) << 32,
        0,
    ];
    message(3, &[u64::from(answer) | 1 << 32, 0], &rest)
}

fn kind(bytes: &[u8]) -> Kind {
    read(bytes).kind().unwrap().unwrap()
}

const SENDER: u64 = 1;
const RECEIVER: u64 = 3;
const ONE: Slot = Slot(1);
const TWO: Slot = Slot(2);

/// A switch whose caller has asked for the bootstrap object.
struct World(Switch);

impl World {
    fn new() -> Self {
        let mut world = Self(Switch::default());
        world.caller(message(8, &[0], &[])).unwrap();
        world.0.take_out();
        world
    }

    fn caller(&mut self, message: Message) -> Result<(), Broken> {
        let kind = message.kind().unwrap().unwrap();
        self.0.take_from_caller(kind, message)
    }

    fn target(&mut self, slot: Slot, message: Message) {
        let kind = message.kind().unwrap().unwrap();
        self.0.take_from_target(slot, kind, message).unwrap();
    }

    /// The start of a session on a target, by the caller's question, and its answer with an export of the target.
    fn session(&mut self, slot: Slot, (question, export): (u32, u32)) -> u32 {
        let start = call(question, 0, (0, 0));
        let kind = start.kind().unwrap().unwrap();
        assert!(self.0.is_start(&kind));
        self.0.start(slot, kind, start).unwrap();
        self.0.take_out();
        self.target(slot, returned(question, (SENDER, export)));
        self.one_for_caller()
    }

    /// The id of the only capability in the only message, which is for the caller.
    fn one_for_caller(&mut self) -> u32 {
        match self.0.take_out().as_slice() {
            [Out::Caller(bytes)] => sender_of(bytes),
            other => panic!("{other:?}"),
        }
    }

    fn sent(&mut self) -> Vec<(Option<Slot>, Kind)> {
        let out = self.0.take_out().into_iter();
        out.map(|out| match out {
            Out::Caller(bytes) => (None, kind(&bytes)),
            Out::Target(slot, bytes) => (Some(slot), kind(&bytes)),
        })
        .collect()
    }
}

fn sender_of(bytes: &Bytes) -> u32 {
    let capabilities = match kind(bytes) {
        Kind::Return {
            returned: Returned::Results(results),
            ..
        } => results,
        Kind::Call { params, .. } => params,
        other => panic!("{other:?}"),
    };
    match capabilities.as_slice() {
        [
            Capability {
                kind: CapabilityKind::Sender(id),
                ..
            },
        ] => id.value,
        other => panic!("{other:?}"),
    }
}

fn release(export: u32) -> Message {
    read(&message::release(export, 1))
}

#[test]
fn our_own_messages_can_be_read() {
    let export = message::return_export(7, 5);
    assert_eq!(sender_of(&export), 5);
    assert!(matches!(kind(&export), Kind::Return { answer, .. } if answer.value == 7));
    for text in ["", "a", "1234567", "12345678", "no \u{e9}"] {
        let failed = message::return_exception(9, Failure::Failed, text);
        assert!(
            matches!(kind(&failed), Kind::Return { answer, returned: Returned::Other, .. } if answer.value == 9)
        );
        assert!(String::from_utf8_lossy(&failed).contains(text));
        let resolved = message::resolve_exception(3, Failure::Disconnected, text);
        assert!(matches!(kind(&resolved), Kind::Resolve { promise, capability: None } if promise.value == 3));
    }
    assert!(matches!(kind(&message::finish(4)), Kind::Finish { question, .. } if question.value == 4));
    assert!(matches!(kind(&message::release(4, 2)), Kind::Release { export, count: 2 } if export.value == 4));
    assert!(
        matches!(kind(&message::bootstrap(u32::MAX)), Kind::Bootstrap { question } if question.value == u32::MAX)
    );
}

#[test]
fn what_two_targets_call_the_same_is_two_for_the_caller() {
    let mut world = World::new();
    let first = world.session(ONE, (1, 6));
    let second = world.session(TWO, (2, 6));
    assert_ne!(first, second);
    for (export, slot) in [(first, ONE), (second, TWO)] {
        world.caller(call(3, export, (SENDER, 4))).unwrap();
        let out = world.0.take_out();
        let [Out::Target(to, bytes)] = out.as_slice() else {
            panic!("{out:?}")
        };
        assert_eq!(*to, slot);
        let Kind::Call { question, target, .. } = kind(bytes) else {
            panic!()
        };
        assert_eq!(question.value, 3, "the caller's own ids stay");
        assert!(
            matches!(target, message::Target::Export(id) if id.value == 6),
            "{target:?}"
        );
        assert_eq!(sender_of(bytes), 4);
        world.target(slot, returned(3, (0, 0)));
        world.caller(read(&message::finish(3))).unwrap();
        world.0.take_out();
    }
}

#[test]
fn a_target_is_idle_when_nothing_is_open() {
    let mut world = World::new();
    assert!(world.0.is_idle(ONE));
    let export = world.session(ONE, (1, 6));
    world.caller(read(&message::finish(1))).unwrap();
    // The finish released what the return brought.
    assert!(world.0.is_idle(ONE));
    let again = world.session(ONE, (1, 6));
    assert_eq!(export, again, "ids are used again");
    // An export of the caller that the target keeps is something open.
    world.caller(call(2, again, (SENDER, 4))).unwrap();
    world.target(ONE, returned(2, (0, 0)));
    for done in [message::finish(1), message::finish(2)] {
        world.caller(read(&done)).unwrap();
    }
    assert!(!world.0.is_idle(ONE));
    world.target(ONE, release(4));
    assert!(world.0.is_idle(ONE));
    assert!(world.caller(call(9, again, (0, 0))).is_err(), "it was released");
}

#[test]
fn calls_of_targets_get_ids_of_their_own() {
    let mut world = World::new();
    world.session(ONE, (1, 6));
    world.session(TWO, (2, 6));
    let mut shown = Vec::new();
    for slot in [ONE, TWO] {
        world.target(slot, call(0, 8, (SENDER, 1)));
        let sent = world.sent();
        let [(None, Kind::Call { question, .. })] = sent.as_slice() else {
            panic!("{sent:?}")
        };
        shown.push(question.value);
    }
    assert_ne!(shown[0], shown[1]);
    world.caller(returned(shown[1], (0, 0))).unwrap();
    let sent = world.sent();
    assert!(
        matches!(sent.as_slice(), [(Some(TWO), Kind::Return { answer, .. })] if answer.value == 0),
        "{sent:?}"
    );
}

#[test]
fn a_stub_of_one_target_is_nothing_to_another() {
    let mut world = World::new();
    let first = world.session(ONE, (1, 6));
    let second = world.session(TWO, (2, 6));
    for (stub, kept) in [(first, false), (second, true)] {
        world.caller(call(3, second, (RECEIVER, stub))).unwrap();
        let sent = world.sent();
        let [(Some(TWO), Kind::Call { params, .. })] = sent.as_slice() else {
            panic!("{sent:?}")
        };
        match params[0].kind {
            CapabilityKind::Receiver(id) if kept => assert_eq!(id.value, 6),
            CapabilityKind::None if !kept => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn when_a_target_is_lost_everybody_who_waits_is_told() {
    let mut world = World::new();
    let export = world.session(ONE, (1, 6));
    world.caller(call(2, export, (SENDER, 4))).unwrap();
    world.target(ONE, call(5, 8, (0, 0)));
    world.0.take_out();
    world.0.lost(ONE, Failure::Disconnected, "it is gone");
    let sent = world.sent();
    let told = |wanted: &dyn Fn(&Kind) -> bool| sent.iter().any(|(to, kind)| to.is_none() && wanted(kind));
    assert!(told(
        &|kind| matches!(kind, Kind::Return { answer, returned: Returned::Other, .. } if answer.value == 2)
    ));
    assert!(
        told(&|kind| matches!(kind, Kind::Finish { .. })),
        "its own call is called off"
    );
    assert!(told(
        &|kind| matches!(kind, Kind::Release { export, count: 1 } if export.value == 4)
    ));
    assert_eq!(sent.len(), 3, "{sent:?}");
    let called_off = sent.iter().find_map(|(_, kind)| match kind {
        Kind::Finish { question, .. } => Some(question.value),
        _ => None,
    });
    // What is called on it afterwards fails at once.
    world.caller(call(3, export, (SENDER, 4))).unwrap();
    let sent = world.sent();
    assert!(
        matches!(
            sent.as_slice(),
            [(None, Kind::Release { .. }), (None, Kind::Return { answer, returned: Returned::Other, .. })] if answer.value == 3
        ),
        "{sent:?}"
    );
    // And nothing of it is left once the caller has let go.
    for done in [message::finish(1), message::finish(2), message::finish(3)] {
        world.caller(read(&done)).unwrap();
    }
    world.caller(returned(called_off.unwrap(), (0, 0))).unwrap();
    assert!(world.0.is_idle(ONE));
    assert_eq!(world.sent(), []);
}

#[test]
fn messages_that_are_none_are_refused() {
    let words: &[&[u64]] = &[
        &[],
        &[0],
        &[at(5, 1, 1)],
        &[at(0, 1, 1), 2, at(0, 3, 3)],
        &[at(0, 1, 1), 2, 2 | 9 << 32],
        &[at(0, 1, 1), 2, 0],
        &[
            at(0, 1, 1),
            3,
            at(0, 2, 1),
            0,
            0,
            at(0, 0, 2),
            3,
            1 | 7 << 32 | 200 << 35,
            9,
            0,
        ],
        &[
            at(0, 1, 1),
            3,
            at(0, 2, 1),
            0,
            0,
            at(0, 0, 2),
            3,
            1 | 7 << 32 | 1 << 35,
            (1 << 29) << 2 | 1 << 32,
            0,
        ],
        &[
            at(0, 1, 1),
            3,
            at(0, 2, 1),
            0,
            0,
            at(0, 0, 2),
            3,
            1 | 7 << 32,
            (1 << 29) << 2,
        ],
        &[u64::MAX; 12],
    ];
    for words in words {
        let message = read(&framed(words));
        assert!(message.kind().is_err(), "{words:x?}");
    }
    for truncated in [&framed(&[at(0, 1, 1), 0])[..15], &[0, 0, 0], &[255; 64]] {
        let mut bytes = truncated;
        let reading = futures_util::FutureExt::now_or_never(Message::read(&mut bytes)).unwrap();
        assert!(reading.is_err());
    }
}
