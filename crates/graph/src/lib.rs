//! The diagram of a workflow, read from the code of its bundle.
