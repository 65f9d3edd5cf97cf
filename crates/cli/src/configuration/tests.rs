//! Files, the environment and flags together.
