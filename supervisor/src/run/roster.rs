//! Nodes that join and leave the fleet while it runs.

use super::member::Member;
use super::shell::Shell;
use super::slots;
use crate::fleet::NodeIndex;

impl Shell {
    /// A node joins the fleet, with the identity that it had when it was here before.
    pub(super) fn add_member(&mut self, node: NodeIndex) {
        assert_eq!(
            usize::from(node.0),
            self.members.len(),
            "nodes join in the order of their numbers"
        );
        let name = node.name();
        let uuid = self.state.identity(&name).uuid;
        let member = Member::new(node, name, uuid);
        if let Some(claimer) = &mut self.claimer {
            claimer.join(slots::applicants(
                std::slice::from_ref(&member),
                &mut self.state,
            ));
        }
        self.members.push(member);
        self.logs.expect_nodes(node.0 + 1);
    }

    /// The last node leaves the fleet: its ports are anybody's now, and the domain is told.
    /// Its log and its identity stay.
    pub(super) fn remove_member(&mut self, node: NodeIndex) {
        let member = self.members.pop();
        let member = member.filter(|member| member.index == node);
        let member = member.expect("nodes leave in the order of their numbers, the last first");
        let uuid = member.uuid;
        // The claimer tells the others that they are free, so they are let go of before.
        drop(member);
        if let Some(claimer) = &mut self.claimer {
            claimer.leave(uuid);
        }
    }
}
