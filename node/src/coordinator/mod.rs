//! Writes and reads over the holders of a key.
