//! Simulated worlds that try to break the rules.
