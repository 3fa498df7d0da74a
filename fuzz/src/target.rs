//! What is fuzzed.

use crate::{between_nodes, documents, http};

/// A decoder, or some that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its folder in `corpus`.
    pub name: &'static str,
    /// Takes any bytes. A panic is a finding.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "http",
        run: http::request_target,
    },
    Target {
        name: "datagram",
        run: between_nodes::datagram,
    },
    Target {
        name: "hello",
        run: between_nodes::hello,
    },
    Target {
        name: "record",
        run: between_nodes::record,
    },
    Target {
        name: "question",
        run: between_nodes::question,
    },
    Target {
        name: "answer",
        run: between_nodes::answer,
    },
    Target {
        name: "discovery",
        run: documents::discovery,
    },
    Target {
        name: "claim",
        run: documents::claim,
    },
    Target {
        name: "supervised",
        run: documents::supervised,
    },
    Target {
        name: "notify",
        run: documents::notify,
    },
];
