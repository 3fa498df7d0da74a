//! The claim of slots: which node gets which pair of ports.
