//! One TCP stream per peer.
