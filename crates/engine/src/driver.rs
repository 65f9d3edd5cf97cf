//! One held instance.
