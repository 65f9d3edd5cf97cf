//! Frames: encoded, decoded, and refused.

use super::decode::Hello;
use super::*;
use crate::{Command, Firing, Known, KnownStep, Outcome, ReportKind, RunId, StartRun, Value, WorkerId};
use cairn_core::{
    CallId, CallRequest, Callback, ConfigInput, DelayInput, DurationInput, ErrorInfo, InvalidConfig, StepKey,
    StepKind, Timestamp,
};
use expect_test::expect;

fn read(frame: &str) -> Result<Vec<Message>, ProtocolError> {
    let mut messages = Vec::new();
    decode(frame, |message| {
        messages.push(message);
        Ok(())
    })?;
    Ok(messages)
}

fn one(message: &str) -> ReportKind {
    let messages = read(&format!("[{message}]")).unwrap();
    match messages.into_iter().next() {
        Some(Message::Report { kind, run }) => {
            assert_eq!(run, RunId(7));
            kind
        }
        other => panic!("{other:?}"),
    }
}

fn frames(commands: &[Command]) -> Vec<String> {
    let mut writer = FrameWriter::default();
    for command in commands {
        writer.push(command).unwrap();
    }
    writer
        .take()
        .into_iter()
        .map(|frame| String::from_utf8(frame).unwrap())
        .collect()
}

fn json(text: &str) -> Value {
    Value::from_json(text).unwrap()
}

fn start(history: Vec<KnownStep>) -> Command {
    Command::Start(Box::new(StartRun {
        run: RunId(1),
        purpose: cairn_core::Purpose::Progress,
        first_attempts: crate::FirstAttempts::AtOnce,
        company: crate::Company::Any,
        worker: WorkerId("w".into()),
        class_name: "Cla\"ss".into(),
        workflow_name: "flow".into(),
        instance_id: "i".into(),
        created_at: Timestamp(5),
        firing: None,
        params: json("{\"a\":1}"),
        step_limit: 10,
        history,
    }))
}

fn known(kind: StepKind, known: Known) -> KnownStep {
    KnownStep {
        key: StepKey {
            kind,
            name: "n".into(),
            count: 2,
        },
        known,
    }
}

#[test]
fn commands_share_a_frame() {
    let (run, call) = (RunId(1), CallId(3));
    let settle = |outcome| Command::Settle { run, call, outcome };
    let event = Outcome::Event {
        event_type: "t".into(),
        at: Timestamp(9),
        payload: Value::undefined(),
    };
    let commands = [
        start(vec![
            known(StepKind::Do, Known::Ended(Outcome::Value(json("[1]")))),
            known(StepKind::Sleep, Known::Ended(Outcome::Slept)),
            known(StepKind::WaitForEvent, Known::Ended(event.clone())),
            known(
                StepKind::Do,
                Known::Ended(Outcome::Failed(ErrorInfo::new("E", "m"))),
            ),
            known(StepKind::Do, Known::Open),
        ]),
        Command::Attempt {
            run,
            call,
            attempt: 2,
        },
        settle(Outcome::Stored),
        settle(Outcome::Value(json("\"x\""))),
        settle(Outcome::Slept),
        settle(event),
        settle(Outcome::Failed(ErrorInfo::new("E", "a\nb"))),
        Command::Hold { run },
        Command::Unhold { run },
        Command::Stop { run },
    ];
    let frames = frames(&commands);
    assert_eq!(frames.len(), 1);
    expect![[r#"
        [["start",1,{"class":"Cla\"ss","workflow":"flow","instance":"i","created":5,"steps":10},"j",{"a":1},[["do","n",2,"value","j",[1]],["sleep","n",2,"slept"],["wait","n",2,"event","t",9,"g",[["u"]]],["do","n",2,"failed",["E","m"]],["do","n",2,"open"]],0],
        ["attempt",1,3,2],
        ["stored",1,3],
        ["value",1,3,"j","x"],
        ["slept",1,3],
        ["event",1,3,"t",9,"g",[["u"]]],
        ["failed",1,3,["E","a\nb"]],
        ["hold",1],
        ["unhold",1],
        ["stop",1]]"#]]
    .assert_eq(&frames[0].replace("],[\"attempt", "],\n[\"attempt").replace("],[\"st", "],\n[\"st").replace("],[\"value\"", "],\n[\"value\"")
        .replace("],[\"slept", "],\n[\"slept").replace("],[\"event", "],\n[\"event").replace("],[\"failed", "],\n[\"failed")
        .replace("],[\"hold", "],\n[\"hold").replace("],[\"unhold", "],\n[\"unhold"));
}

#[test]
fn a_run_may_begin_on_hold() {
    let Command::Start(mut begin) = start(Vec::new()) else {
        panic!("a start");
    };
    begin.first_attempts = crate::FirstAttempts::OnRequest;
    let frames = frames(&[Command::Start(begin)]);
    assert!(
        frames[0].contains(r#""steps":10,"held":true},"j","#),
        "{}",
        frames[0]
    );
}

#[test]
fn a_firing_travels_with_the_start() {
    let Command::Start(mut begin) = start(Vec::new()) else {
        panic!("a start");
    };
    begin.firing = Some(Firing {
        cron: "*/30 * * * MON".into(),
        scheduled_at: Timestamp(60_000),
    });
    let frames = frames(&[Command::Start(begin)]);
    assert!(!frames[0].contains("held"), "{}", frames[0]);
    let schedule = r#""steps":10,"schedule":{"cron":"*/30 * * * MON","scheduledTime":60000}},"j","#;
    assert!(frames[0].contains(schedule), "{}", frames[0]);
}

#[test]
fn a_large_history_comes_in_pages() {
    let value = json(&format!("\"{}\"", "x".repeat(1 << 20)));
    let history = (0..10)
        .map(|_| known(StepKind::Do, Known::Ended(Outcome::Value(value.clone()))))
        .collect();
    let frames = frames(&[start(history), Command::Hold { run: RunId(1) }]);
    assert_eq!(frames.len(), 3);
    assert!(frames[0].starts_with("[[\"start\"") && frames[0].ends_with("],1]]"));
    assert!(frames[1].starts_with("[[\"steps\",1,[[\"do\"") && frames[1].ends_with("],1]]"));
    assert!(frames[2].ends_with("],0],[\"hold\",1]]"));
    for frame in &frames {
        serde_json::from_str::<serde::de::IgnoredAny>(frame).unwrap();
    }
}

#[test]
fn a_value_that_does_not_fit_is_refused() {
    let value = json(&format!("\"{}\"", "x".repeat(LARGEST_VALUE)));
    let command = Command::Settle {
        run: RunId(1),
        call: CallId(1),
        outcome: Outcome::Value(value),
    };
    let mut writer = FrameWriter::default();
    assert!(writer.push(&command).is_err());
    assert!(writer.take().is_empty());
    // The largest that fits does so after a frame that is nearly full.
    let settle = |size| {
        let value = json(&format!("\"{}\"", "x".repeat(size)));
        Command::Settle {
            run: RunId(1),
            call: CallId(1),
            outcome: Outcome::Value(value),
        }
    };
    let frames = frames(&[settle(FULL_FRAME - 100), settle(LARGEST_VALUE - 3)]);
    assert!(frames.len() == 1 && frames[0].len() < LARGEST_FRAME);
}

#[test]
fn many_commands_share_some_frames_and_those_of_a_run_one() {
    let hold = |run| Command::Hold { run: RunId(run) };
    let many: Vec<Command> = (0..200).map(hold).collect();
    let frames_of = |commands: &[Command]| {
        frames(commands)
            .iter()
            .map(|frame| frame.matches("hold").count())
            .collect::<Vec<_>>()
    };
    assert_eq!(frames_of(&many[..128]), [128]);
    assert_eq!(frames_of(&many), [128, 72]);
    let one_run: Vec<Command> = (0..200).map(|_| hold(1)).collect();
    assert_eq!(frames_of(&one_run), [200]);
}

#[test]
fn step_calls() {
    let ReportKind::Called(call) = one(r#"["do",7,1,0,"a\u00e9",2,null,1]"#) else {
        panic!()
    };
    assert_eq!(
        (call.call, call.parent, call.key.to_string()),
        (CallId(1), None, "aé-2".into())
    );
    assert_eq!(
        call.request,
        CallRequest::Do {
            config: Ok(ConfigInput::default()),
            callback: Callback::Executing,
            rollback: None,
        }
    );

    let ReportKind::Called(call) = one(r#"["do",7,2,1,"a",1,"invalid",0]"#) else {
        panic!()
    };
    assert_eq!(call.parent, Some(CallId(1)));
    assert_eq!(
        call.request,
        CallRequest::Do {
            config: Err(InvalidConfig),
            callback: Callback::Idle,
            rollback: None,
        }
    );

    let config = r#"{"retries":{"limit":"Infinity","delay":{"dynamic":true},"backoff":"x"},"timeout":"1 s","sensitive":"output"}"#;
    let ReportKind::Called(call) = one(&format!(r#"["do",7,2,1,"a",1,{config},0]"#)) else {
        panic!()
    };
    let CallRequest::Do {
        config: Ok(config), ..
    } = call.request
    else {
        panic!()
    };
    let retries = config.retries.unwrap();
    assert_eq!(
        (retries.limit, retries.delay, retries.backoff),
        (f64::INFINITY, DelayInput::Dynamic, Some("x".into()))
    );
    assert_eq!(config.timeout, Some(DurationInput::Text("1 s".into())));

    let ReportKind::Called(call) = one(r#"["sleep",7,1,0,"s",1,1.5]"#) else {
        panic!()
    };
    assert_eq!(
        call.request,
        CallRequest::Sleep {
            duration: DurationInput::Millis(1.5)
        }
    );
    let ReportKind::Called(call) = one(r#"["until",7,1,0,"s",1,null]"#) else {
        panic!()
    };
    assert!(matches!(call.request, CallRequest::SleepUntil { millis } if millis.is_nan()));
    let ReportKind::Called(call) = one(r#"["wait",7,1,0,"s",1,"t","2 days"]"#) else {
        panic!()
    };
    let timeout = Some(DurationInput::Text("2 days".into()));
    assert_eq!(
        call.request,
        CallRequest::WaitForEvent {
            event_type: "t".into(),
            timeout
        }
    );
}

#[test]
fn streams_come_and_go_in_pieces() {
    assert_eq!(
        one(r#"["chunk",7,1,2,0,"AAEC"]"#),
        ReportKind::Chunk {
            call: CallId(1),
            attempt: 2,
            index: 0,
            bytes: bytes::Bytes::from_static(&[0, 1, 2]),
        }
    );
    assert_eq!(
        one(r#"["streamed",7,1,2,3,700000]"#),
        ReportKind::Streamed {
            call: CallId(1),
            attempt: 2,
            chunks: 3,
            bytes: 700_000
        }
    );
    assert_eq!(
        one(r#"["pull",7,1,9007199254740991,2]"#),
        ReportKind::Pull {
            pull: 1,
            stream: (1 << 53) - 1,
            index: 2
        }
    );
    let chunk = |bytes: usize| {
        let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, vec![7; bytes]);
        read(&format!("[[\"chunk\",7,1,1,0,\"{text}\"]]"))
    };
    assert!(chunk(CHUNK_BYTES).is_ok());
    for bytes in [0, CHUNK_BYTES + 1, CHUNK_BYTES + 2, CHUNK_BYTES + 3] {
        assert!(chunk(bytes).is_err(), "{bytes}");
    }
    let (run, call) = (RunId(1), CallId(3));
    let stream = crate::StoredStream::new(5, (1, 2), b"hi");
    let piece = |bytes: Option<&'static [u8]>| Command::Piece {
        run,
        pull: 4,
        bytes: bytes.map(bytes::Bytes::from_static),
    };
    let mut writer = FrameWriter::default();
    writer.credit(16);
    for command in [
        Command::Kept { run, chunks: 2 },
        Command::Halt {
            run,
            call,
            attempt: 2,
        },
        piece(Some(&[0, 1])),
        piece(None),
        Command::Settle {
            run,
            call,
            outcome: Outcome::Value(Value::stream(&stream)),
        },
    ] {
        writer.push(&command).unwrap();
    }
    expect![[r#"[["credit",16],["halt",1,3,2],["piece",1,4,"AAE="],["piece",1,4,null],["value",1,3,"s",{"stream":5,"chunks":1,"bytes":2,"preview":"hi"}]]"#]]
        .assert_eq(&String::from_utf8(writer.take().remove(0)).unwrap());
}

#[test]
fn outcomes_of_attempts_and_runs() {
    let output = Value::undefined();
    assert_eq!(
        one(r#"["done",7,1,2,"g",[["u"]]]"#),
        ReportKind::AttemptSucceeded {
            call: CallId(1),
            attempt: 2,
            output: output.clone()
        }
    );
    assert_eq!(
        one(r#"["returned",7,"g",[["u"]]]"#),
        ReportKind::Returned { output }
    );
    let ReportKind::AttemptFailed(failed) = one(r#"["threw",7,1,2,["E","m"],[1,1e300]]"#) else {
        panic!()
    };
    assert_eq!(
        (failed.error, failed.dynamic_delay),
        (ErrorInfo::new("E", "m"), Some(Ok(u64::MAX)))
    );
    let ReportKind::AttemptFailed(failed) = one(r#"["threw",7,1,2,["E","m"],[0,["D","n"]]]"#) else {
        panic!()
    };
    assert_eq!(failed.dynamic_delay, Some(Err(ErrorInfo::new("D", "n"))));
    let ReportKind::Raised(raised) = one(r#"["raised",7,["E","m"],4,0]"#) else {
        panic!()
    };
    assert_eq!(
        (raised.error, raised.from_call),
        (ErrorInfo::new("E", "m"), Some(CallId(4)))
    );
}

#[test]
fn messages_without_a_report() {
    let messages =
        read(r#"[["hello",{"exports":["A","b"],"workflows":["A"]}],["log",7,"s-1","warn","x"],["pong",3]]"#);
    let exports = ["A".to_owned(), "b".to_owned()].into();
    let expected = vec![
        Message::Hello(Hello {
            exports,
            workflows: ["A".to_owned()].into(),
        }),
        Message::Log(decode::Log {
            run: RunId(7),
            step: "s-1".into(),
            level: Level::Warn,
            text: "x".into(),
        }),
        Message::Pong(3),
    ];
    assert_eq!(messages.unwrap(), expected);
    assert_eq!(read("[]").unwrap(), []);
}

#[test]
fn anything_else_is_an_error() {
    for bad in [
        "",
        "{}",
        "[",
        "[1]",
        "[[]]",
        "[[\"x\",1]]",
        "[] []",
        "[[\"pong\",1,2]]",
        "[[\"pong\"]]",
        "[[\"pong\",-1]]",
        "[[\"do\",7,0,0,\"a\",1,null,1]]",
        "[[\"do\",7,1,0,\"a\",0,null,1]]",
        "[[\"do\",7,1,0,\"a\",1,null,2]]",
        "[[\"do\",7,1,0,\"a\",1,null]]",
        "[[\"do\",7,1,0,\"a\",1,null,1,1]]",
        "[[\"do\",7,1,0,1,1,null,1]]",
        "[[\"do\",7,1,0,\"a\",1,{\"x\":1},1]]",
        "[[\"do\",7,1,0,\"a\",1,\"bad\",1]]",
        "[[\"do\",7,1,0,\"\\ud800\",1,null,1]]",
        "[[\"do\",7,1,0,\"a\",1,{\"retries\":{\"limit\":1}},1]]",
        "[[\"do\",7,1,0,\"a\",1,{\"retries\":{\"limit\":\"1\",\"delay\":1}},1]]",
        "[[\"do\",7,1,0,\"a\",1,{\"timeout\":{\"dynamic\":true}},1]]",
        "[[\"do\",7,1,0,\"a\",1,{\"timeout\":[]},1]]",
        "[[\"done\",7,1,1,\"j\"]]",
        "[[\"done\",7,1,1,\"k\",1]]",
        "[[\"done\",7,1,1,\"g\",1]]",
        "[[\"done\",7,1,0,\"j\",1]]",
        "[[\"done\",7,4294967296,1,\"j\",1]]",
        "[[\"done\",\"7\",1,1,\"j\",1]]",
        "[[\"done\",7,1,1,\"s\",{\"stream\":1,\"chunks\":0,\"bytes\":0,\"preview\":\"\"}]]",
        "[[\"chunk\",7,1,1,0,\"A\"]]",
        "[[\"chunk\",7,1,1,0,\"AA-_\"]]",
        "[[\"chunk\",7,1,1,-1,\"AAAA\"]]",
        "[[\"chunk\",7,1,1,0,null]]",
        "[[\"streamed\",7,1,1,1]]",
        "[[\"pull\",7,1,-5,0]]",
        "[[\"threw\",7,1,1,[\"E\"],null]]",
        "[[\"threw\",7,1,1,[\"E\",\"m\"],[2,1]]]",
        "[[\"threw\",7,1,1,[\"E\",\"m\"],[1,-1]]]",
        "[[\"threw\",7,1,1,[\"E\",\"m\"],[1]]]",
        "[[\"log\",7,\"\",\"loud\",\"x\"]]",
        "[[\"hello\",{\"exports\":[]}]]",
        "[[\"raised\",7,[\"E\",\"m\",\"s\"],0]]",
        "[[\"wait\",7,1,0,\"s\",1,null,null]]",
        "[[\"until\",7,1,0,\"s\",1,\"x\"]]",
        "[[\"sleep\",7,1,0,\"s\",1,null]]",
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
    assert!(read(&"[".repeat(1_000_000)).is_err());
    let deep = format!(
        "[[\"done\",7,1,1,\"j\",{}{}]]",
        "[".repeat(1_000_000),
        "]".repeat(1_000_000)
    );
    assert_eq!(read(&deep).unwrap().len(), 1);
}

/// Valid frames with bytes changed at random, and plain noise: an answer is given, whatever it is.
#[test]
fn garbage_does_no_harm() {
    let seeds = [
        r#"[["do",7,1,0,"a",2,{"retries":{"limit":3,"delay":"1 second"}},1],["done",7,1,1,"g",[["o","a",1],["i","5"]]]]"#,
        r#"[["threw",7,1,2,["E","m"],[0,["D","n"]]],["hello",{"exports":["A"],"workflows":[]}],["pong",3]]"#,
        r#"[["returned",7,"g",[["v","Uint16Array",1,0,1],["b","AAEC"],["e","E","m",null,0],["d",5]]]]"#,
    ];
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let bytes = br#"[]{}",:0129-.eE\unulltrufasdoj "#;
    let mut understood = 0;
    for round in 0..20_000 {
        let mut frame = seeds[round % seeds.len()].as_bytes().to_vec();
        for _ in 0..=random(4) {
            let at = random(frame.len());
            match random(3) {
                0 => frame[at] = bytes[random(bytes.len())],
                1 => frame.insert(at, bytes[random(bytes.len())]),
                _ => drop(frame.remove(at)),
            }
        }
        let text = String::from_utf8(frame).unwrap();
        let mut values = Vec::new();
        let result = decode(&text, |message| {
            if let Message::Report {
                kind: ReportKind::Returned { output } | ReportKind::AttemptSucceeded { output, .. },
                ..
            } = message
            {
                values.push(output);
            }
            Ok(())
        });
        understood += usize::from(result.is_ok());
        for value in values {
            let text = value.to_json_text();
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
            assert_eq!(Value::from_stored(value.as_bytes().clone()), Ok(value));
        }
    }
    assert!(understood > 0 && understood < 20_000);
}
