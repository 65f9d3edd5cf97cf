//! Faults of the machine: its disk and its clock.
