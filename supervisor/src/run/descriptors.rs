//! Descriptors for the whole fleet.
//!
//! The usual soft limit, 1024, is for programs that use select(2). The supervisor holds the
//! sockets, logs and locks of all nodes, so it raises its own; nodes begin with what it found,
//! for they may be such programs.

use repram_config::{Loaded, NODE_COUNT_MAX, Problem, Settings};
use repram_discovery::descriptors::DescriptorLimit;

use crate::fleet::{MaxNodes, NodeBound};

/// As far as the soft limit is raised, and for so many there is room from the start: enough for
/// the largest fleet, with all that it and its visitors may ask at the same time.
pub(super) const ROOM: u16 = 4096;

/// Open for each node: the sockets of its slot, its log, lock, output and notices, and the way to
/// it. A test counts them.
const PER_NODE: u64 = 10;
/// Kept for everything else: event queues, what is always open, some visitors of the control
/// API.
const SHARED: u64 = 64;

const _: () = assert!(SHARED + PER_NODE * NODE_COUNT_MAX as u64 <= ROOM as u64);

/// The limit on descriptors of this process. None where the system does not tell it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptors {
    /// Open at the same time, at most.
    ours: Option<u64>,
    /// The soft limit that nodes are to have; none when it is ours.
    pub(super) of_nodes: Option<u64>,
}

impl Descriptors {
    /// Raises the soft limit as far as the largest fleet needs and the hard one allows. Call it
    /// before there is a second thread.
    pub(super) fn raise() -> Self {
        let found = DescriptorLimit::of_this_process().ok();
        let raised = found.and_then(|found| found.raise(ROOM.into()).ok());
        let soft = |limit: DescriptorLimit| limit.soft;
        Self {
            ours: raised.or(found).map(soft),
            of_nodes: raised.and(found).filter(|_| raised != found).map(soft),
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
        let found = format!("{wanted}, which needs {needed} open files where the limit is {limit}");
        let higher = "a higher limit (`ulimit -n`, `docker run --ulimit nofile=`)";
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
        Descriptors {
            ours,
            of_nodes: None,
        }
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
        check(Some(1024), 1000, (96, NodeBound::Descriptors(1024)));
        check(Some(73), 1000, (0, NodeBound::Descriptors(73)));
        check(Some(0), 1000, (0, NodeBound::Descriptors(0)));
    }

    #[test]
    fn a_fleet_that_is_too_large_is_a_problem_of_the_setting() {
        let check = |ours, node_count, expect: &str| {
            let problem = with(ours).check(&loaded(node_count, 1000)).err();
            let text = problem.map(|problem| problem.to_string());
            assert_eq!(text.unwrap_or_default(), expect, "{ours:?} {node_count}");
        };
        check(Some(164), 10, "");
        check(None, 256, "");
        check(
            Some(164),
            11,
            "NODE_COUNT: found 11, which needs 174 open files where the limit is 164, allowed is \
             at most 10, or a higher limit (`ulimit -n`, `docker run --ulimit nofile=`)",
        );
        check(
            Some(70),
            1,
            "NODE_COUNT: found 1, which needs 74 open files where the limit is 70, allowed is \
             only a higher limit (`ulimit -n`, `docker run --ulimit nofile=`)",
        );
    }
}
