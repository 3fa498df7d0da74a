//! Datagrams and frames.
