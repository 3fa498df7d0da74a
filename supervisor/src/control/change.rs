//! The calls that change the running fleet.

use http::{Response, StatusCode};

use super::api::{Answer, Api, Caller, JSON_LINES, content, json};
use super::body::Content;
use super::problem::Problem;
use super::query::Query;
use super::request::{Begun, ChangeOrder, Ended, Request};
use super::stream::{self, LiveEvents, Shown};
use crate::event::EventKind;
use crate::fleet::{Occasion, Plan, Refusal, RestartMode, RestartOrder, Ticket};

/// How an order is answered.
struct Manner {
    /// Only say what would be done.
    dry_run: bool,
    /// Answer with the events of the change, until it has ended.
    wait: bool,
}

impl Manner {
    fn of(query: &mut Query) -> Result<Self, Problem> {
        Ok(Self {
            dry_run: query.switch("dry_run", false)?,
            wait: query.switch("wait", true)?,
        })
    }
}

impl Api {
    /// `POST /restart`.
    pub(super) async fn restart(&self, mut query: Query, caller: &Caller) -> Answer {
        let manner = Manner::of(&mut query)?;
        let (rolling, force) = (
            query.switch("rolling", false)?,
            query.switch("force", false)?,
        );
        let nodes = query.nodes()?;
        query.finish()?;
        let mode = match (rolling, force) {
            (true, true) => {
                let detail = "a rolling restart keeps MIN_READY nodes ready; leave out rolling or \
                              force";
                return Err(Problem::bad_request(detail));
            }
            (true, false) => RestartMode::Rolling,
            (false, force) => RestartMode::Together { force },
        };
        let order = ChangeOrder::Restart(RestartOrder {
            nodes,
            mode,
            occasion: Occasion::Operator,
        });
        self.change(order, &manner, caller).await
    }

    /// `POST /restart/abort`.
    pub(super) async fn end_rolling(&self, query: Query, caller: &Caller) -> Answer {
        query.finish()?;
        let by = caller.text();
        let ended = self.ask(|reply| Request::EndRolling { by, reply }).await?;
        ended.map_err(|refusal| refused(&refusal))?;
        Ok(json(StatusCode::OK, &Ended { ended: true }))
    }

    /// `POST /scale`.
    pub(super) async fn scale(&self, mut query: Query, caller: &Caller) -> Answer {
        let manner = Manner::of(&mut query)?;
        let to = query.count("to")?;
        query.finish()?;
        self.change(ChangeOrder::Scale { to }, &manner, caller)
            .await
    }

    async fn change(&self, order: ChangeOrder, manner: &Manner, caller: &Caller) -> Answer {
        // Before the order, so that no event of the change is missed.
        let live = if manner.wait && !manner.dry_run {
            let following = self.follow_events().await;
            let (_, live) = following.map_err(|problem| {
                Problem::unavailable(format!("{}, or do not wait (wait=false)", problem.detail))
            })?;
            Some(live)
        } else {
            None
        };
        let (by, dry_run) = (caller.text(), manner.dry_run);
        let decision = self.ask(|reply| Request::Change {
            order,
            dry_run,
            by,
            reply,
        });
        let begun = decision.await?.map_err(|refusal| refused(&refusal))?;
        match (begun, live) {
            (Decision::Planned(plan), _) => Ok(json(StatusCode::OK, &plan)),
            (Decision::Begun(ticket, _), Some(live)) => Ok(follow(ticket, live)),
            (Decision::Begun(change, plan), None) => {
                Ok(json(StatusCode::ACCEPTED, &Begun { change, plan }))
            }
        }
    }
}

/// What was decided about an order that can be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It was only asked what would happen.
    Planned(Plan),
    /// It is being carried out.
    Begun(Ticket, Plan),
}

/// The events from the change's first to its last, and all others that come between.
fn follow(ticket: Ticket, live: LiveEvents) -> Response<Content> {
    let mut begun = false;
    let pieces = stream::events(Vec::new(), live, move |event| {
        let outcome = match &event.kind {
            EventKind::ChangeDone { change, .. } | EventKind::ChangeHalted { change, .. } => {
                *change == ticket.0
            }
            EventKind::ChangeStarted { change, .. } => {
                begun |= *change == ticket.0;
                false
            }
            _ => false,
        };
        match (begun, outcome) {
            (_, true) => Shown::Last,
            (true, false) => Shown::Yes,
            (false, false) => Shown::No,
        }
    });
    content(StatusCode::ACCEPTED, JSON_LINES, Content::Stream(pieces))
}

fn refused(refusal: &Refusal) -> Problem {
    let status = match refusal {
        Refusal::NoSuchNode { .. } => StatusCode::NOT_FOUND,
        Refusal::OutOfRange { .. } => StatusCode::BAD_REQUEST,
        Refusal::Stopping
        | Refusal::BelowMinReady { .. }
        | Refusal::NoneToSpare { .. }
        | Refusal::UnderWay { .. }
        | Refusal::NothingUnderWay
        | Refusal::FewerThanMinReady { .. } => StatusCode::CONFLICT,
    };
    Problem::new(status, refusal.to_string())
}
