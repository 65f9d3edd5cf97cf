//! Values on their way from JavaScript to Rust and back.

use crate::harness::World;
use cairn_core::{StepKey, StepKind, Timestamp};
use cairn_runtime::{Known, KnownStep, Outcome, ReportKind, Value};

/// Makes a list of values, and a text that tells all that matters of a value.
const TOOLS: &str = r#"
        const shared = { s: 1 };
        const cycle = { name: 'cycle', list: [] }; cycle.list.push(cycle, cycle.list);
        const sparse = [1, , 3]; sparse.extra = 'x';
        const buffer = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]).buffer;
        const cause = new TypeError('outer', { cause: new RangeError('inner') });
        const deep = []; let at = deep; for (let i = 0; i < 5000; i++) { at.push({ n: [] }); at = at[0].n; }
        const proto = JSON.parse('{"__proto__":{"x":1},"y":2}');
        const make = () => [
            0, -0, 1.5, 1e300, NaN, Infinity, -Infinity, '', 'a"\n\u2028', '\ud800', 'é😀', true, false, null, undefined, 12345678901234567890n, -1n,
            {}, [], { a: [1, { b: null }] }, { u: undefined, n: NaN }, [undefined], sparse, new Array(3), cycle, [shared, shared], deep, proto,
            new Date(0), new Date(NaN), /a"b/gi, new Map([['k', new Map([[{}, 1]])], [NaN, -0]]), new Set([1, 'x', shared, [shared]]),
            buffer, new Uint8Array(buffer, 2, 3), [new Uint16Array(buffer, 2, 2), new DataView(buffer, 1, 4), new Float64Array(buffer)],
            new BigInt64Array([1n, -1n]), new Uint8ClampedArray(0), new Float32Array([1.5]), cause, new Error(''), Object(true), Object('str'), Object(4.5),
            { '10': 1, '2': 2, z: 1, a: 2 }, { toJSON: 1 }, Object.freeze({ f: 1 }), [[[[[[]]]]]], 'x'.repeat(1000),
        ];
        const describe = (root) => {
            const ids = new Map(); const out = []; const todo = [root];
            const id = (value) => {
                if (Object(value) !== value) return `${typeof value}:${Object.is(value, -0) ? '-0' : typeof value === 'string' ? JSON.stringify(value) : String(value)}`;
                if (!ids.has(value)) { ids.set(value, ids.size); todo.push(value); }
                return '#' + ids.get(value);
            };
            todo.pop(); out.push(id(root));
            while (todo.length) {
                const value = todo.shift();
                const line = [ids.get(value), Object.prototype.toString.call(value), Object.getPrototypeOf(value)?.constructor.name ?? 'Object'];
                if (value instanceof Map) value.forEach((v, k) => line.push(id(k), id(v)));
                if (value instanceof Set) value.forEach((v) => line.push(id(v)));
                if (value instanceof Date) line.push(value.getTime());
                if (value instanceof RegExp) line.push(String(value));
                if (value instanceof Error) line.push(value.name, value.message, 'cause' in value ? id(value.cause) : '-');
                if (value instanceof ArrayBuffer) line.push(new Uint8Array(value).join());
                else if (ArrayBuffer.isView(value)) line.push(value.byteOffset, value.byteLength, id(value.buffer));
                else for (const key of Object.keys(value)) line.push(JSON.stringify(key), id(value[key]));
                if (Array.isArray(value)) line.push(value.length);
                if (value instanceof Number || value instanceof String || value instanceof Boolean) line.push(value.valueOf());
                out.push(line.join(' '));
            }
            return out.join('\n');
        };
"#;

#[tokio::test]
async fn everything_survives_a_round_trip() {
    let code = format!(
        "{TOOLS}
        const values = make();
        const copies = [];
        for (let i = 0; i < values.length; i++) copies.push(await step.do('v' + i, async () => values[i]));
        const wrong = [];
        values.forEach((value, i) => {{ if (describe(value) !== describe(copies[i])) wrong.push([i, describe(value), describe(copies[i])]); }});
        return {{ count: values.length, wrong }};"
    );
    let Some(mut world) = World::with_flow(&code) else {
        return;
    };
    let run = world.start("{}");
    // Each value is checked and stored as bytes, and comes back from them.
    let mut stored = Vec::new();
    let output = loop {
        match world.next().await {
            ReportKind::Called(_) => {}
            ReportKind::AttemptSucceeded { call, output, .. } => {
                let value = Value::from_stored(output.as_bytes().clone()).unwrap();
                let shown = value.to_json_text();
                assert!(
                    serde_json::from_str::<serde_json::Value>(&shown).is_ok(),
                    "{shown}"
                );
                stored.push(value.clone());
                world.settle(run, call, Outcome::Value(value));
            }
            ReportKind::Returned { output } => break output,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        output.to_json_text(),
        format!("{{\"count\":{},\"wrong\":[]}}", stored.len())
    );
    assert!(stored.len() > 45);
    let plain = stored.iter().filter(|value| value.as_bytes()[0] == b'j').count();
    assert_eq!(plain, 17);
}

/// The copy that `stored` resolves with is made in JavaScript, from the same text.
#[tokio::test]
async fn the_runs_own_copies_are_as_good() {
    let code = format!(
        "{TOOLS}
        const values = make();
        const wrong = [];
        for (let i = 0; i < values.length; i++) {{
            const copy = await step.do('v' + i, async () => values[i]);
            if (describe(values[i]) !== describe(copy) || (Object(copy) === copy && copy === values[i])) wrong.push(i);
        }}
        return wrong;"
    );
    let Some(mut world) = World::with_flow(&code) else {
        return;
    };
    let run = world.start("{}");
    assert_eq!(world.output(run).await, "[]");
}

/// Messages far larger than workerd's old limit of 1 MiB, and than a frame.
#[tokio::test]
async fn large_values_pass() {
    let code = "const text = await step.do('large', async () => 'é'.repeat(event.payload.length));
        const many = await Promise.all(Array.from({ length: 8 }, (_, i) => step.do('m', async () => 'x'.repeat(1 << 20))));
        return [text === event.payload, many.every((part) => part.length === 1 << 20)];";
    let Some(mut world) = World::with_flow(code) else {
        return;
    };
    let run = world.start(&format!("\"{}\"", "é".repeat(5 << 20)));
    assert_eq!(world.output(run).await, "[true,true]");
}

#[tokio::test]
async fn a_result_too_large_to_send_fails_its_attempt() {
    let code = "const large = 'x'.repeat(40 << 20);
        try { await step.do('s', async () => large); } catch (error) { return error.message; }";
    let Some(mut world) = World::with_flow(code) else {
        return;
    };
    let run = world.start("{}");
    assert_eq!(
        world.output(run).await,
        "\"WorkflowInternalError: Step s-1 output is too large: 41943042 characters.\""
    );
    // A value of that size can not be sent either: its run is lost, and the others go on.
    let lost = world.start(&format!("\"{}\"", "x".repeat(40 << 20)));
    let ReportKind::Lost { reason } = world.next().await else {
        panic!()
    };
    assert!(reason.contains("cannot be handed to a run"), "{lost:?}: {reason}");
}

/// As the output of `run()`, and as the payload of an event.
#[tokio::test]
async fn everything_survives_as_output_and_payload() {
    let code = format!(
        "{TOOLS}
        if (event.payload.first) return make();
        const got = await step.waitForEvent('w', {{ type: 't' }});
        return describe(got.payload) === describe(make());"
    );
    let Some(mut world) = World::with_flow(&code) else {
        return;
    };
    let first = world.start("{\"first\":true}");
    let ReportKind::Returned { output } = world.finish(first).await else {
        panic!()
    };
    let payload = Value::from_stored(output.as_bytes().clone()).unwrap();
    let event = KnownStep {
        key: StepKey {
            kind: StepKind::WaitForEvent,
            name: "w".into(),
            count: 1,
        },
        known: Known::Ended(Outcome::Event {
            event_type: "t".into(),
            at: Timestamp(1),
            payload,
        }),
    };
    let second = world.start_with("{}", vec![event]);
    assert_eq!(world.output(second).await, "true");
}

/// What clients read of values that JSON does not hold.
#[tokio::test]
async fn clients_read_a_rendering() {
    let code = "const cycle = { in: [] }; cycle.in.push(cycle);
        return { typed: new Uint8Array(3), buffer: new ArrayBuffer(4), big: 12n, map: new Map([[1, 2]]), set: new Set([1]), error: new Error('m'),
            re: /x/g, date: new Date(0), nothing: undefined, nan: NaN, zero: -0, cycle, view: new DataView(new ArrayBuffer(8), 2) };";
    let Some(mut world) = World::with_flow(code) else {
        return;
    };
    let run = world.start("{}");
    assert_eq!(
        world.output(run).await,
        "{\"typed\":\"[Uint8Array(3 bytes)]\",\"buffer\":\"[ArrayBuffer(4 bytes)]\",\"big\":\"[BigInt(12)]\",\"map\":{},\"set\":{},\"error\":{},\
         \"re\":{},\"date\":\"1970-01-01T00:00:00.000Z\",\"nan\":null,\"zero\":0,\"cycle\":{\"in\":[\"[Circular]\"]},\"view\":\"[DataView(6 bytes)]\"}"
    );
}
