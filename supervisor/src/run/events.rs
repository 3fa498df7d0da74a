//! The event loop.

use std::iter;

use nix::libc::SIGKILL;
use nix::unistd::Pid;
use repram_discovery::claim::NoSlot;
use repram_discovery::sockets::SlotSockets;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::exfiltrator::origin::Origin;
use tokio::sync::mpsc;

use super::domain;
use super::reload::{Read, ReloadOrder};
use super::shell::Shell;
use super::survey::Survey;
use crate::control::{Request, StopReply};
use crate::exit::{Ended, ExitReason, Usage};
use crate::fleet::{Answer, Check, Input, NodeIndex, Notice};
use crate::reaper;
use crate::signals::{self, Signals};

/// News from the shell's own tasks that wait to be taken in. Each task waits when it is
/// full, so it only has to be large enough to keep them busy.
pub(super) const NEWS_MAX: usize = 256;

/// What the shell's own tasks found out.
#[derive(Debug)]
pub(super) enum News {
    Notified {
        node: NodeIndex,
        pid: u32,
        notices: Vec<Notice>,
    },
    Probed {
        node: NodeIndex,
        pid: u32,
        check: Check,
        answer: Answer,
    },
    Claimed {
        node: NodeIndex,
        claim: Result<SlotSockets, NoSlot>,
    },
    Reload(Box<Read>),
}

/// Where events come from.
pub(super) struct Sources {
    pub(super) signals: Signals,
    pub(super) news: mpsc::Receiver<News>,
    pub(super) requests: mpsc::Receiver<Request>,
}

/// Turns what happens into inputs of the core until the fleet has ended. Returns the exit
/// code.
pub(super) async fn run(shell: &mut Shell, mut sources: Sources) -> u8 {
    // Orphans that ended during the start have said so to nobody.
    reap(shell);
    shell.feed(Input::Begin);
    loop {
        if let Some(code) = shell.exit {
            return code;
        }
        let deadline = shell.next_deadline();
        tokio::select! {
            // In this order: a dead node is seen before a question about it is answered.
            biased;
            signals = sources.signals.next() => {
                for signal in signals {
                    take_signal(shell, &signal);
                }
            }
            Some(news) = sources.news.recv() => take_news(shell, news),
            Some(request) = sources.requests.recv() => take_request(shell, request),
            event = domain::next_claim(&mut shell.claimer) => shell.take_claim_event(event),
            () = sleep_until(deadline) => shell.feed(Input::Tick),
        }
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn take_signal(shell: &mut Shell, origin: &Origin) {
    let by = || signals::describe(origin);
    match origin.signal {
        SIGCHLD => reap(shell),
        SIGTERM | SIGINT => shell.feed(Input::Stop {
            by: by(),
            now: false,
        }),
        SIGQUIT => shell.feed(Input::Stop {
            by: by(),
            now: true,
        }),
        // A terminal that goes away may say so more than once.
        SIGHUP if shell.terminal.went_away() && shell.is_stopping() => {}
        SIGHUP if shell.terminal.went_away() => {
            let by = "the terminal, which went away".into();
            shell.feed(Input::Stop { by, now: false });
        }
        SIGHUP => shell.begin_reload(ReloadOrder {
            dry_run: false,
            by: by(),
            reply: None,
        }),
        SIGUSR1 => shell.logs.reopen(),
        SIGUSR2 => shell.print_status(),
        _ => {}
    }
}

/// Reaps everything that has ended: nodes, and orphans that we adopted.
pub(super) fn reap(shell: &mut Shell) {
    let ended: Vec<_> = iter::from_fn(reaper::reap_one).collect();
    if !ended.is_empty() {
        // Once for all of them, so that the kills that ended them are counted together.
        shell.oom.look(shell.now());
    }
    let mut orphans = false;
    for (pid, reason, usage) in ended {
        match shell.node_of(pid) {
            Some(node) => exited(shell, node, pid, reason, usage),
            None => orphans = true,
        }
    }
    if orphans {
        shell.feed(Input::OrphanReaped);
    }
}

fn exited(shell: &mut Shell, node: NodeIndex, pid: Pid, reason: ExitReason, usage: Usage) {
    let ours = shell.process_ended(node).is_some_and(|ended| ended.killed);
    let now = shell.now();
    let oom = match reason {
        ExitReason::Signal(SIGKILL) if !ours => shell.oom.suspect(now),
        ExitReason::Signal(_) | ExitReason::Code(_) => None,
    };
    let pid = pid.as_raw().cast_unsigned();
    let ended = Ended { reason, usage, oom };
    shell.feed(Input::Exited { node, pid, ended });
}

fn take_news(shell: &mut Shell, news: News) {
    match news {
        News::Notified { node, pid, notices } => {
            for notice in notices {
                if let Notice::Conflict(conflict) = &notice {
                    shell.take_conflict(node, conflict);
                }
                shell.feed(Input::Notified { node, pid, notice });
            }
        }
        News::Probed {
            node,
            pid,
            check,
            answer,
        } => shell.feed(Input::Probed {
            node,
            pid,
            check,
            answer,
        }),
        News::Claimed { node, claim } => {
            if let Some(input) = shell.take_claim(node, claim) {
                shell.feed(input);
            }
        }
        News::Reload(read) => shell.take_reload(*read),
    }
}

fn take_request(shell: &mut Shell, request: Request) {
    shell.settling.begin();
    // Whoever asked may be gone: then nobody reads the answer.
    match request {
        Request::Status { reply } => {
            let _ = reply.send(shell.status());
        }
        Request::Figures { reply } => {
            let _ = reply.send(Box::new(shell.figures()));
        }
        Request::Health { reply } => {
            let _ = reply.send(shell.health());
        }
        Request::Why { nodes, reply } => {
            let _ = reply.send(shell.why(&nodes));
        }
        Request::Claims { reply } => {
            let survey = Survey::of(shell);
            tokio::spawn(async move {
                // Without an answer the client is told to try again.
                if let Ok(claims) = survey.take().await {
                    let _ = reply.send(claims);
                }
            });
        }
        Request::Change {
            order,
            dry_run,
            by,
            reply,
        } => {
            let _ = reply.send(shell.change(order, dry_run, by));
        }
        Request::EndRolling { by, reply } => {
            let _ = reply.send(shell.end_rolling(by));
        }
        Request::Reload { dry_run, by, reply } => {
            let reply = Some(reply);
            shell.begin_reload(ReloadOrder { dry_run, by, reply });
        }
        Request::Stop { now, by, reply } => {
            let under_way = shell.is_stopping();
            let answer = if under_way {
                StopReply::UnderWay
            } else {
                StopReply::Started
            };
            let _ = reply.send(answer);
            // Asking twice is no reason to kill: here, unlike by a key, one says so.
            if !under_way || now {
                shell.feed(Input::Stop { by, now });
            }
        }
    }
}
