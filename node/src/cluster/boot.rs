//! Which kernel this is, and which boot clock it gives us.

use std::fs;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::wire::hello::ClockId;

/// A random UUID that the kernel makes at each boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The time namespace of this process, as a link with its number (time_namespaces(7)).
const TIME_NAMESPACE: &str = "/proc/self/ns/time";

/// What tells this kernel and its clock from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Boot {
    /// Equal for nodes on one kernel: they fail together.
    pub(super) host: u64,
    /// Equal for nodes that read the same CLOCK_BOOTTIME: one kernel, one time namespace.
    pub(super) clock: ClockId,
}

impl Boot {
    /// Of the running kernel. Where it does not tell, this node takes itself for alone on
    /// its host, and its clock for its own: that is always safe.
    pub(super) fn of_this_kernel() -> Self {
        let boot = fs::read_to_string(BOOT_ID).map(|text| text.trim().to_owned());
        let boot = boot.unwrap_or_else(|_| Uuid::new_v4().to_string());
        // Kernels before 5.6 have no time namespaces, so there is but one.
        let namespace = fs::read_link(TIME_NAMESPACE)
            .map(|link| link.to_string_lossy().into_owned())
            .unwrap_or_default();
        let digest = |parts: &[&str]| {
            let mut hash = Sha256::new();
            for part in parts {
                hash.update(part.len().to_be_bytes());
                hash.update(part);
            }
            hash.finalize()
        };
        let (mut host, mut clock) = ([0; 8], ClockId::default());
        host.copy_from_slice(&digest(&["host", &boot])[..8]);
        clock.copy_from_slice(&digest(&["clock", &boot, &namespace])[..16]);
        Self {
            host: u64::from_be_bytes(host),
            clock,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_stays_the_same() {
        let expect_equal = fs::read_to_string(BOOT_ID).is_ok();
        assert_eq!(
            Boot::of_this_kernel() == Boot::of_this_kernel(),
            expect_equal
        );
    }
}
