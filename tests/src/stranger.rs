//! Somebody else's process on ports of the range.

use std::process::Child;

use crate::process::Process;
use crate::sandbox::Sandbox;
use crate::wait::{PATIENCE, wait_until};

/// A process that holds ports and is none of the fleet's.
pub struct Stranger {
    child: Child,
}

impl Stranger {
    /// Starts one that holds `ports`, each written `tcp:PORT` or `udp:PORT`, on
    /// 127.0.0.1, and waits until it does. It is started before the fleet.
    ///
    /// # Panics
    /// When it cannot hold them.
    #[track_caller]
    pub fn holding(sandbox: &Sandbox, ports: &[String]) -> Self {
        let program = sandbox.write("stranger.py", include_str!("../programs/stranger.py"));
        let mut command = sandbox.program("python3".as_ref());
        command.arg(program).args(ports);
        let (mut child, _output) = sandbox.spawn(&mut command, "stranger");
        let ready = sandbox.path("stranger.ready");
        wait_until("a stranger on its ports", PATIENCE, || {
            if let Ok(Some(status)) = child.try_wait() {
                panic!("the stranger ended with {status}");
            }
            if ready.exists() {
                Ok(())
            } else {
                Err("it is not ready".to_owned())
            }
        });
        Self { child }
    }

    /// Its process.
    pub fn process(&self) -> Process {
        Process {
            pid: self.child.id().cast_signed(),
        }
    }

    /// Ends it: its ports are free afterwards.
    pub fn leave(self) {}
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}
