//! Which members hold a key.
