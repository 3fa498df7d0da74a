//! The HTTP API on hyper.
