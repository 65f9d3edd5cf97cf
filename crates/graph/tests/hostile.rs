//! Code that is broken, far too deep, far too much, or made to loop: there is an answer, and nothing panics.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers outside of #[test] functions

use cairn_graph::{Graph, Node, graph};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// A panic gives no graph, so only a hook tells that there was one.
fn count_panics() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        hook(info);
    }));
}

fn read(source: &str) -> Option<Graph> {
    graph(&[("index.js", source)], "index.js", "Flow")
}

fn flow(body: &str) -> String {
    format!("export class Flow extends X {{ async run(event, step) {{ {body} }} }}")
}

#[test]
fn whatever_is_thrown_at_it() {
    count_panics();
    no_class();
    broken();
    deep();
    endless();
    large();
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
}

fn no_class() {
    for source in [
        "",
        "\u{feff}",
        "export const Flow = 1;",
        "export class Flow {}",
        "class Flow { run() {} }",
        "export class Other { run() {} }",
        "export { Flow } from \"./index.js\";",
        "export * from \"./index.js\";",
        "export { Flow } from \"./missing.js\";",
        "import { Flow } from \"./index.js\"; export { Flow };",
        "export class Flow extends Flow {}",
        "class A extends B {} class B extends A {} export class Flow extends A {}",
        "const a = b, b = a; export { a as Flow };",
        "export const Flow = wrap(Flow);",
        "export class Flow { run(",
        "from workers import WorkflowEntrypoint\nclass Flow(WorkflowEntrypoint):\n    async def run(self, event, step):\n        pass\n",
    ] {
        assert_eq!(read(source), None, "{source}");
    }
    assert_eq!(graph(&[], "index.js", "Flow"), None);
    assert_eq!(graph(&[("a.js", "")], "index.js", "Flow"), None);
}

/// Each shape, cut off anywhere, and with a piece left out anywhere.
fn broken() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/minified");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "js") {
            continue;
        }
        let source = fs::read_to_string(path).unwrap();
        let places: Vec<usize> = source.char_indices().map(|(at, _)| at).step_by(61).collect();
        for pair in places.windows(2) {
            read(&source[..pair[0]]);
            read(&format!("{}{}", &source[..pair[0]], &source[pair[1]..]));
        }
    }
}

fn deep() {
    let units = [
        ("(", ")"),
        ("[", "]"),
        ("{", "}"),
        ("!", ""),
        ("a=>", ""),
        ("a?b:", ""),
        ("a=", ""),
        ("if(a)b;else ", ""),
        ("new ", ""),
        ("a**", ""),
        ("`${", "}`"),
        ("(()=>{", "})()"),
        ("function f(){", "}"),
        ("class A{static{", "}}"),
        ("f(", ")"),
        ("a.b(async c=>", ")"),
        ("({a:", "})"),
        ("for(;;)", ""),
        ("try{", "}catch{}"),
        ("(a=(b", "))"),
        ("switch(a){default:", "}"),
        ("a[", "]"),
        ("a?.(", ")"),
        ("x:", ""),
        ("await ", ""),
        ("step.do(\"a\",()=>", ")"),
    ];
    for (open, close) in units {
        for times in [100, 700, 2_900, 400_000] {
            let body = format!("{}1{}", open.repeat(times), close.repeat(times));
            let source = flow(&body);
            let found = read(&source);
            assert!(times < 400_000 || found.is_none(), "{open}");
        }
    }
    // Deep on the left, where parsers do not call themselves.
    for unit in ["+a", ".a", "[0]", "()", "&&a", ",a", "??a", "`a`"] {
        read(&flow(&format!("a{}", unit.repeat(200_000))));
    }
}

/// Code that could be read for ever.
fn endless() {
    let twice = |levels: usize| {
        let mut source = String::from("async function f0(step, g) { await step.do(\"x\", g); }\n");
        for level in 1..levels {
            let before = level - 1;
            writeln!(
                source,
                "async function f{level}(step, g) {{ await f{before}(step, () => g()); await f{before}(step, () => g(1)); }}"
            )
            .unwrap();
        }
        source
            + &flow(&format!(
                "await f{}(step, () => step.sleep(\"s\", 1));",
                levels - 1
            ))
    };
    read(&twice(30));
    for body in [
        "const f = (g) => { step.do(\"a\", () => f(() => f(g))); f(() => g(f)); }; await f(f);",
        "const o = { step }; o.o = o; const f = async (o) => { await o.step.do(\"a\"); await f({ o, step: o.o.step }); }; await f(o);",
        "class A { constructor(s) { this.a = new A(s); this.s = s; } go() { return this.a.go(this.s.do(\"a\")); } } await new A(step).go();",
        "let p = step.do(\"a\"); for (;;) { p = p.then(() => p); await Promise.all([p, [p, [p]]]); }",
        "const a = []; a.push(a, step.do(\"x\")); await Promise.all(a.concat(a)); for (const b of a) for (const c of b) await c;",
    ] {
        assert!(read(&flow(body)).is_some(), "{body}");
    }
    // What is made of itself cannot run either.
    for body in [
        "const n = `${n}${n}`; const m = n + m; await step.do(m, n);",
        "const c = { ...c, ...d }; const d = { ...c, timeout: d.timeout }; await step.do(\"a\", c, () => {});",
        "let x = step; x = x || x; x = [x, x]; x = { x, y: x }; x = x.x || x.y; while (x) x = x || f(x, x); x.do(\"a\");",
    ] {
        read(&flow(body));
    }
}

/// Ten megabytes around one step, and more steps than anybody looks at.
fn large() {
    let mut source = String::from("import { WorkflowEntrypoint as W } from \"cloudflare:workers\";\n");
    let mut number = 0;
    while source.len() < 10_000_000 {
        writeln!(
            source,
            "function f{number}(a, b) {{ const c = [a, b, /[({{]/.test(a)]; for (const d of c) if (d) return g(`${{d}}`, {{ a, b: \"x\" }}); }}"
        )
        .unwrap();
        number += 1;
    }
    source += "export class Flow extends W { async run(e, s) { f7(1, 2); await s.do(\"one\", async () => f8(3)); } }";
    let found = read(&source).unwrap();
    assert!(matches!(found.workflow.nodes.as_slice(), [Node::StepDo { name, .. }] if name == "one"));
    assert!(read(&flow(&"await step.do(\"a\", async () => 1);".repeat(100_000))).is_none());
    let many = read(&flow(&"await step.do(\"a\", async () => 1);".repeat(10_000))).unwrap();
    assert_eq!(many.workflow.nodes.len(), 10_000);
}
