//! The call that reloads the settings.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::StatusCode;
use tokio::sync::mpsc;

use super::api::{Answer, Api, Caller, JSON_LINES, content, json};
use super::body::{Content, PIECES_MAX, Piece};
use super::problem::Problem;
use super::query::Query;
use super::request::Request;
use super::stream::{self, LiveEvents, Shown};
use crate::event::EventKind;
use crate::reload::{ReloadPlan, ReloadRefused};

impl Api {
    /// `POST /reload`.
    pub(super) async fn reload(&self, mut query: Query, caller: &Caller) -> Answer {
        let dry_run = query.switch("dry_run", false)?;
        let wait = query.switch("wait", !dry_run)?;
        query.finish()?;
        // Before the order, so that no event is missed.
        let live = if wait {
            Some(self.follow_events().await?.1)
        } else {
            None
        };
        let by = caller.text();
        let request = |reply| Request::Reload { dry_run, by, reply };
        let plan = self
            .ask(request)
            .await?
            .map_err(|refused| problem(&refused))?;
        Ok(match live {
            None => json(StatusCode::OK, &plan),
            Some(live) => content(
                StatusCode::OK,
                JSON_LINES,
                Content::Stream(follow(plan, live)),
            ),
        })
    }
}

fn problem(refused: &ReloadRefused) -> Problem {
    let status = match refused {
        ReloadRefused::Settings(_) => Problem::SETTINGS,
        ReloadRefused::Fleet(_) => StatusCode::CONFLICT,
        ReloadRefused::Unread(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    Problem::new(status, refused.to_string())
}

/// The plan in one line, and then everything that happens until its changes have ended.
fn follow(plan: ReloadPlan, live: LiveEvents) -> mpsc::Receiver<Piece> {
    let (pieces, receiver) = mpsc::channel(PIECES_MAX);
    // It always serialises: its keys are strings.
    let mut line = serde_json::to_vec(&plan).unwrap_or_default();
    line.push(b'\n');
    tokio::spawn(async move {
        if pieces.send(Ok(Bytes::from(line))).await.is_err() || plan.changes.is_empty() {
            return;
        }
        let mut open: BTreeSet<u64> = plan.changes.iter().map(|ticket| ticket.0).collect();
        let mut begun = false;
        let mut events = stream::events(Vec::new(), live, move |event| {
            match &event.kind {
                EventKind::ChangeStarted { change, .. } => begun |= open.contains(change),
                EventKind::ChangeDone { change, .. } | EventKind::ChangeHalted { change, .. } => {
                    open.remove(change);
                }
                _ => {}
            }
            match (open.is_empty(), begun) {
                (true, _) => Shown::Last,
                (false, true) => Shown::Yes,
                (false, false) => Shown::No,
            }
        });
        while let Some(piece) = events.recv().await {
            if pieces.send(piece).await.is_err() {
                return;
            }
        }
    });
    receiver
}
