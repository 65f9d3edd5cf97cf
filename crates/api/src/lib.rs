//! The words on the wire: Cloudflare's envelope, objects and errors.
