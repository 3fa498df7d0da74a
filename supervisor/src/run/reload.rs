//! Other settings while the fleet runs.
//!
//! The files are read aside; everything that can be refused is refused before anything is
//! done. Then the supervisor itself goes over to the new settings in one step, and what the
//! nodes need follows by itself: more or fewer of them, and a rolling restart.

use repram_config::{Loaded, Problem, Problems};
use repram_discovery::chain::chain;
use tokio::sync::oneshot;

use super::descriptors::Descriptors;
use super::events::News;
use super::launch::Secrets;
use super::refusal::{need_new_start, secret_in_two_steps};
use super::secret;
use super::serving;
use super::shell::Shell;
use super::source::{ReadError, Source};
use super::start::{find_program, fleet_config, settle_address};
use crate::control::{Gate, ReloadReply};
use crate::event::EventKind;
use crate::fleet::{self, Input, Refusal, ReloadSteps};
use crate::logs::LogConfig;
use crate::program::Program;
use crate::reload::{ReloadPlan, ReloadRefused, SettingChange};

/// What a reload needs to know of the start.
#[derive(Debug)]
pub(super) struct Reloading {
    pub(super) source: Source,
    /// Whether the domain is this machine.
    pub(super) domain_is_here: bool,
    /// How large a fleet can be.
    pub(super) descriptors: Descriptors,
    /// Asks for the token of ADMIN_ADDR.
    pub(super) gate: Gate,
}

/// An order to reload.
#[derive(Debug)]
pub(super) struct ReloadOrder {
    /// Only say what would be done.
    pub(super) dry_run: bool,
    /// Who asked.
    pub(super) by: String,
    /// Where the answer goes; the events tell it in any case, unless it is a dry run.
    pub(super) reply: Option<oneshot::Sender<ReloadReply>>,
}

/// New settings that were read, or why they are of no use.
#[derive(Debug)]
pub(super) struct Read {
    order: ReloadOrder,
    outcome: Result<(Loaded, Program), ReloadRefused>,
}

/// New settings that can be used.
struct Next {
    loaded: Loaded,
    program: Program,
    secrets: Secrets,
    plan: ReloadPlan,
    steps: ReloadSteps,
}

impl Shell {
    /// Reads the settings again; what is found comes as [`News::Reload`].
    pub(super) fn begin_reload(&self, order: ReloadOrder) {
        let (source, news) = (self.reloading.source.clone(), self.news.clone());
        tokio::spawn(async move {
            let outcome = match source.load().await {
                Ok(loaded) => match find_program(&loaded) {
                    Ok(program) => Ok((loaded, program)),
                    Err(problem) => Err(Problems::from(problem).into()),
                },
                Err(ReadError::Settings(problems)) => Err(problems.into()),
                Err(error @ ReadError::Thread(_)) => Err(ReloadRefused::Unread(chain(&error))),
            };
            let _ = news
                .send(News::Reload(Box::new(Read { order, outcome })))
                .await;
        });
    }

    /// Goes over to the settings that were read, or says why not.
    pub(super) fn take_reload(&mut self, read: Read) {
        let Read { order, outcome } = read;
        let ReloadOrder { dry_run, by, reply } = order;
        let judged = match outcome {
            Ok((loaded, program)) => self.judge(loaded, program),
            Err(refused) => Err(refused),
        };
        let answer = match judged {
            Ok(next) if dry_run => Ok(next.plan),
            Ok(next) => Ok(self.go_over(next, by)),
            Err(refused) => {
                if !dry_run {
                    let problems = refused.reasons();
                    self.emit(None, EventKind::ReloadRefused { by, problems });
                }
                Err(refused)
            }
        };
        if let Some(reply) = reply {
            // Whoever asked may be gone: then nobody reads the answer.
            let _ = reply.send(answer);
        }
    }

    /// Whether the fleet can go over to these settings, and what that takes.
    fn judge(&self, mut loaded: Loaded, program: Program) -> Result<Next, ReloadRefused> {
        if self.is_stopping() {
            return Err(Refusal::Stopping.into());
        }
        settle_address(&mut loaded.settings, self.reloading.domain_is_here);
        let changes = loaded.changes_from(&self.settings);
        let mut problems: Vec<Problem> = need_new_start(&loaded, &changes);
        if changes
            .iter()
            .any(|it| it.declaration.key() == "node_count")
        {
            problems.extend(self.reloading.descriptors.check(&loaded).err());
        }
        let chosen = secret::choose(&loaded, self.reloading.domain_is_here, &self.state);
        let (secrets, warning) = match chosen {
            Ok(chosen) => chosen,
            Err(problem) => {
                problems.push(problem);
                (Secrets::default(), None)
            }
        };
        if problems.is_empty() {
            problems.extend(secret_in_two_steps(
                &loaded,
                self.launcher.secrets(),
                &secrets,
            ));
        }
        if let Some(problems) = Problems::new(problems) {
            return Err(problems.into());
        }
        let warnings = loaded.warnings.iter().map(ToString::to_string);
        let mut plan = ReloadPlan {
            settings: changes.iter().map(SettingChange::from).collect(),
            warnings: warnings.chain(warning).collect(),
            ..ReloadPlan::default()
        };
        let asked = fleet::ReloadOrder {
            config: fleet_config(&loaded, &program, self.reloading.descriptors),
            scale_to: plan.scales().then_some(loaded.settings.node_count),
            restarts: plan.restarts_nodes(),
        };
        let steps = self.fleet.plan_reload(&asked, self.now())?;
        plan.scale.clone_from(&steps.scale);
        plan.restart = steps.restart.as_ref().map(|(_, plan)| plan.clone());
        Ok(Next {
            loaded,
            program,
            secrets,
            plan,
            steps,
        })
    }

    /// Uses other settings from now on.
    fn go_over(&mut self, next: Next, by: String) -> ReloadPlan {
        let Next {
            loaded,
            program,
            secrets,
            mut plan,
            steps,
        } = next;
        let changes = plan.settings.iter().map(ToString::to_string).collect();
        let told = by.clone();
        self.emit(None, EventKind::Reloaded { by: told, changes });
        for warning in &plan.warnings {
            self.warn(warning.clone());
        }
        if plan.is_empty() {
            return plan;
        }
        let settings = &loaded.settings;
        self.launcher.configure(settings, program, secrets);
        self.logs.configure(&LogConfig::from_settings(settings));
        self.reloading.gate.set_token(serving::token(settings));
        let config = fleet_config(&loaded, &self.launcher.program, self.reloading.descriptors);
        self.settings = loaded.settings;
        let to = self.settings.node_count;
        self.feed(Input::Configure(Box::new(config)));
        if steps.scale.is_some() {
            let (ticket, by) = (self.next_ticket(), by.clone());
            plan.changes.push(ticket);
            self.feed(Input::Scale { ticket, to, by });
        }
        if let Some((order, _)) = steps.restart {
            let ticket = self.next_ticket();
            plan.changes.push(ticket);
            self.feed(Input::Restart { ticket, order, by });
        }
        plan
    }
}
