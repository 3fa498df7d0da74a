//! Nodes as people name them.

use crate::fleet::NodeIndex;

/// Reads a node: its number or its name. Every command that takes a node reads it so.
pub(crate) fn parse_node(text: &str) -> Result<NodeIndex, String> {
    NodeIndex::parse(text)
        .ok_or_else(|| "allowed is the number of a node or its name: 2, flux-node-2".to_owned())
}
