//! The end of a process in words.

use super::size::short_size;
use crate::event::span;
use crate::exit::ExitClass;
use crate::status::{EndedProcess, FollowUp};

/// What a process was like.
pub(super) fn life_of(process: &EndedProcess, class: ExitClass) -> String {
    let EndedProcess {
        pid,
        generation,
        ran_ms,
        ..
    } = process;
    let how = match class {
        // The word before says it.
        ExitClass::ExitCode | ExitClass::Signal => String::new(),
        _ => format!(", ended with {}", process.how),
    };
    let ready = if process.was_ready {
        ""
    } else {
        ", was never ready"
    };
    let killed = if process.killed {
        " (it was killed, because it did not end in time)"
    } else {
        ""
    };
    format!(
        "pid {pid}, generation {generation}, ran {}{ready}{how}{killed}; used {} of processor time \
         and at most {}",
        span(*ran_ms),
        span(process.user_ms + process.system_ms),
        short_size(process.max_rss),
    )
}

/// What was done about it.
pub(super) fn then(follow_up: &FollowUp) -> String {
    match follow_up {
        FollowUp::Restart {
            delay_ms,
            failures,
            budget,
        } => {
            let when = match delay_ms {
                0 => "at once".to_owned(),
                ms => format!("after {}", span(*ms)),
            };
            format!("started again {when} (failure {failures} of {budget})")
        }
        FollowUp::Brake { canary } => {
            format!("held back until {canary} is ready, because many nodes failed together")
        }
        FollowUp::Fail { failures, retry_ms } => {
            let retry = match retry_ms {
                Some(ms) => format!("; tried again every {}", span(*ms)),
                None => "; given up".to_owned(),
            };
            format!("failed, after {failures} failures without a stable run{retry}")
        }
        FollowUp::Move {
            http_port: Some(port),
        } => format!("moved to port {port}"),
        FollowUp::Move { http_port: None } => "left its port, and no other was free".to_owned(),
        FollowUp::LookForPort => "another port was looked for".to_owned(),
        FollowUp::StartAgain => "started again, as asked".to_owned(),
        FollowUp::StayDown => "left down, as asked".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::ExitReason;
    use crate::status::OomStatus;
    use crate::why::sample::{exit, now};

    #[test]
    fn what_was_done_is_told() {
        let check = |follow_up: FollowUp, expect: &str| assert_eq!(then(&follow_up), expect);
        let restart = |delay_ms| FollowUp::Restart {
            delay_ms,
            failures: 3,
            budget: 10,
        };
        check(restart(0), "started again at once (failure 3 of 10)");
        check(
            restart(1_500),
            "started again after 1.5 s (failure 3 of 10)",
        );
        check(
            FollowUp::Brake {
                canary: "flux-node-1".to_owned(),
            },
            "held back until flux-node-1 is ready, because many nodes failed together",
        );
        check(
            FollowUp::Fail {
                failures: 10,
                retry_ms: Some(30_000),
            },
            "failed, after 10 failures without a stable run; tried again every 30.0 s",
        );
        let http_port = Some(8090);
        check(FollowUp::Move { http_port }, "moved to port 8090");
        check(
            FollowUp::Move { http_port: None },
            "left its port, and no other was free",
        );
        check(FollowUp::LookForPort, "another port was looked for");
        check(FollowUp::StartAgain, "started again, as asked");
        check(FollowUp::StayDown, "left down, as asked");
    }

    #[test]
    fn a_kill_is_told_from_an_end() {
        let mut ended = exit(0, ExitClass::Watchdog, Some(ExitReason::Signal(9)));
        let process = ended.process.as_mut().expect("it ran");
        (process.killed, process.was_ready) = (true, true);
        let (kills, since) = (1, now());
        process.oom = Some(OomStatus { kills, since });
        let text = life_of(process, ended.class);
        let expect = "pid 4711, generation 1, ran 1.5 s, ended with SIGKILL (it was killed, because \
                      it did not end in time); used 15 ms of processor time and at most 6.1 MiB";
        assert_eq!(text, expect);
    }
}
