//! Drives instances: claims, decides, commits, acts.
