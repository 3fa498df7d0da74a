//! What a node inherits from its supervisor.
