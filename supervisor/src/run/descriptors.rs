//! Descriptors for the whole fleet.
//!
//! The usual soft limit, 1024, is for programs that use select(2). The supervisor holds the
//! sockets, logs and locks of all nodes, so it raises its own; nodes begin with what it found,
//! for they may be such programs.

use repram_config::{Loaded, NODE_COUNT_MAX, Problem, Settings};
use repram_discovery::descriptors::{DescriptorLimit, ROOM};

use crate::fleet::{MaxNodes, NodeBound};

/// At most so many for a node: the sockets of its slot, its log, lock, output and notices, and a
/// question to it. A test counts them.
const PER_NODE: u64 = 12;
/// At most so many for everything else: the control API and who follows logs, event queues,
/// questions to other hosts.
const SHARED: u64 = 128;

const _: () = assert!(SHARED + PER_NODE * NODE_COUNT_MAX as u64 <= ROOM as u64);

/// The limit on descriptors of this process. None where the system does not tell it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptors {
    /// As it was found, which is what nodes get.
    pub(super) found: Option<DescriptorLimit>,
    /// Open at the same time, at most.
    ours: Option<u64>,
}

impl Descriptors {
    /// Raises the soft limit as far as the largest fleet needs and the hard one allows. Call it
    /// before there is a second thread.
    pub(super) fn raise() -> Self {
        let found = DescriptorLimit::of_this_process().ok();
        Self {
            found,
            ours: found.map(|found| found.raise(ROOM.into()).unwrap_or(found).soft),
        }
    }

    /// How large a fleet can be.
    pub(super) fn max_nodes(self, settings: &Settings) -> MaxNodes {
        let bound = |count, bound| MaxNodes { count, bound };
        let descriptors = self.ours.map(|limit| {
            let nodes = limit.saturating_sub(SHARED) / PER_NODE;
            let count = u16::try_from(nodes).unwrap_or(u16::MAX);
            bound(count, NodeBound::Descriptors(limit))
        });
        let others = [
            bound(NODE_COUNT_MAX, NodeBound::Setting),
            bound(settings.max_ports, NodeBound::Ports),
        ];
        let all = others.into_iter().chain(descriptors);
        all.min_by_key(|max| max.count).expect("there are two")
    }

    /// Refuses a fleet for which there are not enough.
    pub(super) fn check(self, loaded: &Loaded) -> Result<(), Problem> {
        let wanted = loaded.settings.node_count;
        let max = self.max_nodes(&loaded.settings);
        let NodeBound::Descriptors(limit) = max.bound else {
            return Ok(());
        };
        if wanted <= max.count {
            return Ok(());
        }
        let needed = SHARED + PER_NODE * u64::from(wanted);
        let found =
            format!("{wanted}, which may need {needed} open files where the hard limit is {limit}");
        let higher = "a higher limit (`ulimit -Hn`, `docker run --ulimit nofile=`)";
        let allowed = match max.count {
            0 => format!("only {higher}"),
            most => format!("at most {most}, or {higher}"),
        };
        Err(loaded.problem("node_count", found, allowed))
    }
}

#[cfg(test)]
mod tests {
    use repram_config::{Environment, Role, load};

    use super::*;

    fn loaded(node_count: u16, max_ports: u16) -> Loaded {
        let variable = |name: &str, value: u16| (name.into(), value.to_string().into());
        let environment = Environment {
            variables: vec![
                variable("NODE_COUNT", node_count),
                variable("MAX_PORTS", max_ports),
            ],
            pid1: false,
            uid: 7,
            role: Role::Supervisor,
        };
        load(&environment, None, &[]).expect("good settings")
    }

    fn with(ours: Option<u64>) -> Descriptors {
        Descriptors { found: None, ours }
    }

    #[test]
    fn the_lowest_bound_counts() {
        let check = |ours, max_ports, expect| {
            let max = with(ours).max_nodes(&loaded(1, max_ports).settings);
            assert_eq!((max.count, max.bound), expect, "{ours:?} {max_ports}");
        };
        check(Some(4096), 10, (10, NodeBound::Ports));
        check(None, 10, (10, NodeBound::Ports));
        check(Some(4096), 1000, (256, NodeBound::Setting));
        check(Some(u64::MAX), 1000, (256, NodeBound::Setting));
        check(Some(1024), 1000, (74, NodeBound::Descriptors(1024)));
        check(Some(128), 1000, (0, NodeBound::Descriptors(128)));
        check(Some(0), 1000, (0, NodeBound::Descriptors(0)));
    }

    #[test]
    fn a_fleet_that_is_too_large_is_a_problem_of_the_setting() {
        let check = |ours, node_count, expect: &str| {
            let problem = with(ours).check(&loaded(node_count, 1000)).err();
            let text = problem.map(|problem| problem.to_string());
            assert_eq!(text.unwrap_or_default(), expect, "{ours:?} {node_count}");
        };
        check(Some(256), 10, "");
        check(None, 256, "");
        check(
            Some(256),
            11,
            "NODE_COUNT: found 11, which may need 260 open files where the hard limit is 256, \
             allowed is at most 10, or a higher limit (`ulimit -Hn`, `docker run --ulimit nofile=`)",
        );
        check(
            Some(100),
            1,
            "NODE_COUNT: found 1, which may need 140 open files where the hard limit is 100, \
             allowed is only a higher limit (`ulimit -Hn`, `docker run --ulimit nofile=`)",
        );
    }
}
