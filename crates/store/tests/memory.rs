//! The memory store keeps the promises.

use cairn_store::conformance::Subject;
use cairn_store::memory::MemoryStore;

fn make() -> Subject {
    Subject::new(MemoryStore::new(), ())
}

cairn_store::conformance_tests!(make);
