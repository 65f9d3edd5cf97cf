//! The diagram of a workflow, read from the code of its bundle: [`graph`].
//!
//! The way: modules are parsed when they are needed (`modules`), `run()` of the class is read as it would be executed (`walk`), what
//! was found becomes the nodes of the API (`finish`, `node`). Nothing here does I/O, and nothing that code says can make it panic,
//! recurse without end or need memory without bound; what is too much gives no graph.

mod draft;
mod finish;
mod modules;
mod nesting;
mod node;
mod text;
mod value;
mod walk;
mod waves;

pub use node::{
    Backoff, Block, Branch, BreakKind, Config, Duration, EventOptions, Function, Graph, Node, ParallelKind,
    Payload, Retries, Times, Workflow,
};

use oxc_allocator::Allocator;
use std::thread;

/// Bytes of source that are looked at, of all modules.
const LARGEST: usize = 48 * 1024 * 1024;
/// Bytes of stack. Parsers call themselves; only what is used becomes memory.
const STACK: usize = 128 * 1024 * 1024;

/// The graph of the class that the module `main` exports under a name; `modules` are names and sources of all modules.
///
/// None where it cannot be known: no such class, no `run()`, code that does not parse or is nested too deep, or far too much of it.
/// It takes about as long as parsing does, and blocks the thread.
pub fn graph(modules: &[(&str, &str)], main: &str, class_name: &str) -> Option<Graph> {
    let bytes: usize = modules.iter().map(|(_, source)| source.len()).sum();
    if bytes > LARGEST {
        return None;
    }
    thread::scope(|scope| {
        let reading = thread::Builder::new()
            .name("graph".into())
            .stack_size(STACK)
            .spawn_scoped(scope, || read(modules, main, class_name));
        reading.ok()?.join().ok()?
    })
}

fn read(modules: &[(&str, &str)], main: &str, class_name: &str) -> Option<Graph> {
    let allocators: Vec<Allocator> = modules.iter().map(|_| Allocator::default()).collect();
    let modules = modules::Modules::new(modules, &allocators);
    let drafts = walk::Reader::new(&modules).read(modules.named(main)?, class_name)?;
    finish::graph(&drafts, class_name)
}
