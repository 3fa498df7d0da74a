//! Who this node is.

use repram_config::{Loaded, Settings};
use repram_discovery::chain::chain;
use repram_discovery::state_dir::StateDir;
use repram_discovery::supervised::Hello;
use tracing::warn;
use uuid::Uuid;

use super::failure::Failure;

/// Who this node is, and what it knows from its life before.
pub(super) struct Identity {
    pub(super) node_id: String,
    pub(super) uuid: Uuid,
    pub(super) generation: u64,
    pub(super) last_slot: Option<u16>,
}

/// The identity that the supervisor gave.
///
/// # Errors
/// When it gave no UUID.
pub(super) fn given(loaded: &Loaded, hello: &Hello) -> Result<Identity, Failure> {
    let settings = &loaded.settings;
    let uuid = settings.node_uuid.ok_or_else(|| {
        let allowed = "the UUID that the supervisor gave this node";
        Failure::Settings(loaded.problem("node_uuid", "nothing", allowed).into())
    })?;
    let node_id = settings.node_id.clone().unwrap_or_else(|| uuid.to_string());
    Ok(Identity {
        node_id,
        uuid,
        generation: hello.generation,
        last_slot: None,
    })
}

/// The identity of a stand-alone node, which counts its generations itself.
pub(super) fn own(settings: &Settings, state: &mut StateDir) -> Identity {
    let node_id = settings
        .node_id
        .clone()
        .unwrap_or_else(|| name_of(settings.http_port));
    let identity = match settings.node_uuid {
        Some(uuid) => state.adopt(&node_id, uuid),
        None => state.identity(&node_id),
    };
    let generation = state.next_generation(&node_id);
    Identity {
        node_id,
        uuid: identity.uuid,
        generation,
        last_slot: identity.last_slot,
    }
}

/// The name of a node that was given none: two on one machine differ in their ports.
fn name_of(http_port: Option<u16>) -> String {
    http_port.map_or_else(
        || "repram-node".to_owned(),
        |port| format!("repram-node-{port}"),
    )
}

/// Where a stand-alone node keeps its identity.
pub(super) fn open_state(settings: &Settings) -> StateDir {
    StateDir::open_shared(&settings.state_dir).unwrap_or_else(|error| {
        warn!(
            error = chain(&error),
            "STATE_DIR cannot be used: this node's UUID lasts as long as its process"
        );
        StateDir::in_memory()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_without_a_name_are_told_apart_by_port() {
        assert_eq!(name_of(None), "repram-node");
        assert_eq!(name_of(Some(8080)), "repram-node-8080");
    }
}
