//! What the command line asks for.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ArgMatches;
use clap::error::ErrorKind;
use clap_complete::Shell;
use repram_config::Flag;

use super::flux_arguments::FluxSpecOptions;
use super::since::Since;
use super::{arguments, code, flags, flux_arguments};
use crate::fleet::NodeIndex;

/// Lines that `logs -f` shows of the past when nothing else is asked for, as `tail` does.
const LINES_BEFORE_FOLLOWING: u64 = 10;

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Run the fleet in the foreground.
    Run(RunOptions),
    /// Run any one command with the duties of an init.
    Exec(ExecOptions),
    /// Show the status.
    Status(StatusOptions),
    /// Show lines.
    Logs(LogsOptions),
    /// Begin new log files.
    Rotate(RotateOptions),
    /// Show what became of the lines.
    LogStats(LogStatsOptions),
    /// Show events.
    Events(EventsOptions),
    /// Restart nodes.
    Restart(RestartOptions),
    /// Run another number of nodes.
    Scale(ScaleOptions),
    /// Read the settings again.
    Reload(ReloadOptions),
    /// Stop the fleet.
    Stop(StopOptions),
    /// Ask whether enough nodes are ready.
    Health(HealthOptions),
    /// `why`: tell why nodes are as they are.
    Why(WhyOptions),
    /// Show who holds which slot.
    Claims(ClaimsOptions),
    /// Show the settings.
    Config(ConfigOptions),
    /// Make or check the specification of a Flux app.
    FluxSpec(FluxSpecOptions),
    /// Show metrics.
    Metrics(MetricsOptions),
    /// Print a completion script.
    Completions(Shell),
    /// Print the manual page, or write all of them into this folder.
    Man(Option<PathBuf>),
}

/// How to run the fleet.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The configuration file that `--config` names.
    pub config: Option<PathBuf>,
    /// Settings that were given as flags.
    pub flags: Vec<Flag>,
}

/// Options of `supervisor exec`.
#[derive(Clone, Debug, Default)]
pub struct ExecOptions {
    /// The program and its arguments, at least the former.
    pub command: Vec<OsString>,
    /// `--stop-timeout`.
    pub flags: Vec<Flag>,
}

/// Options of `supervisor config`.
#[derive(Clone, Debug, Default)]
pub struct ConfigOptions {
    /// The settings to show are those of such a run.
    pub run: RunOptions,
    /// Print JSON.
    pub json: bool,
}

/// What tells which supervisor is asked.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The configuration file that `--config` names.
    pub config: Option<PathBuf>,
    /// `--state-dir` and `--base-port`.
    pub flags: Vec<Flag>,
}

/// Options of `supervisor status`.
#[derive(Clone, Debug, Default)]
pub struct StatusOptions {
    /// Which supervisor.
    pub place: Place,
    /// Print JSON.
    pub json: bool,
}

/// Options of `supervisor health`.
pub type HealthOptions = StatusOptions;

/// Options of `supervisor claims`.
pub type ClaimsOptions = StatusOptions;

/// Options of `supervisor logs rotate`.
pub type RotateOptions = StatusOptions;

/// Options of `supervisor logs stats`.
pub type LogStatsOptions = StatusOptions;

/// Options of `supervisor metrics`.
#[derive(Clone, Debug, Default)]
pub struct MetricsOptions {
    /// Which supervisor.
    pub place: Place,
    /// Also those of the nodes.
    pub nodes: bool,
}

/// Options of every command that changes the running fleet.
#[derive(Clone, Debug, Default)]
pub struct ChangeOptions {
    /// Which supervisor.
    pub place: Place,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Wait until the change has ended.
    pub wait: bool,
    /// Print JSON.
    pub json: bool,
}

/// Options of `supervisor restart`.
#[derive(Clone, Debug, Default)]
pub struct RestartOptions {
    /// As for every change.
    pub change: ChangeOptions,
    /// These nodes; none means all.
    pub nodes: Vec<NodeIndex>,
    /// One after the other.
    pub rolling: bool,
    /// Also below MIN_READY.
    pub force: bool,
    /// End the rolling restart that is under way instead.
    pub abort: bool,
}

/// Options of `supervisor scale`.
#[derive(Clone, Debug, Default)]
pub struct ScaleOptions {
    /// As for every change.
    pub change: ChangeOptions,
    /// Nodes to run.
    pub to: u16,
}

/// Options of `supervisor reload`.
pub type ReloadOptions = ChangeOptions;

/// Options of `supervisor stop`.
#[derive(Clone, Debug, Default)]
pub struct StopOptions {
    /// Which supervisor.
    pub place: Place,
    /// Kill instead of asking to end.
    pub now: bool,
    /// Wait until the supervisor has ended.
    pub wait: bool,
    /// Print JSON lines.
    pub json: bool,
}

/// Options of `supervisor why`.
#[derive(Clone, Debug, Default)]
pub struct WhyOptions {
    /// Which supervisor.
    pub place: Place,
    /// Of these nodes; none means all that are not fine.
    pub nodes: Vec<NodeIndex>,
    /// Print JSON.
    pub json: bool,
    /// Show times in UTC.
    pub utc: bool,
}

/// Options of `supervisor events`.
#[derive(Clone, Debug, Default)]
pub struct EventsOptions {
    /// Which supervisor.
    pub place: Place,
    /// Go on with events as they come.
    pub follow: bool,
    /// Of these nodes; none means all, and those of the fleet.
    pub nodes: Vec<NodeIndex>,
    /// From then on.
    pub since: Option<Since>,
    /// Up to then.
    pub until: Option<Since>,
    /// Print JSON lines.
    pub json: bool,
    /// Show times in UTC.
    pub utc: bool,
}

/// Options of `supervisor logs`.
#[derive(Clone, Debug, Default)]
pub struct LogsOptions {
    /// Which supervisor.
    pub place: Place,
    /// Go on with lines as they come.
    pub follow: bool,
    /// Of these nodes; none means all.
    pub nodes: Vec<NodeIndex>,
    /// From then on.
    pub since: Option<Since>,
    /// Up to then.
    pub until: Option<Since>,
    /// Only so many.
    pub lines: Lines,
    /// The bytes of the nodes without name and time.
    pub raw: bool,
    /// Print JSON lines.
    pub json: bool,
    /// Show times in UTC.
    pub utc: bool,
}

impl LogsOptions {
    /// How many of the last lines are shown; none means all.
    pub(crate) fn last(&self) -> Option<u64> {
        match self.lines {
            Lines::Last(lines) => Some(lines),
            Lines::All => None,
            // Whoever says since when wants everything since then.
            Lines::Unsaid if self.follow && self.since.is_none() => Some(LINES_BEFORE_FOLLOWING),
            Lines::Unsaid => None,
        }
    }
}

/// How many lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lines {
    /// Nothing was said.
    #[default]
    Unsaid,
    /// Every line.
    All,
    /// The last so many.
    Last(u64),
}

impl Lines {
    /// Reads a number or `all`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            text => text
                .parse()
                .map(Self::Last)
                .map_err(|_| "allowed is a whole number or `all`".to_owned()),
        }
    }
}

/// Reads the arguments, program name first.
///
/// # Errors
/// Help, the version or what is wrong was printed; the code to exit with comes back.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, ExitCode> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if is_bare_run(&arguments) {
        return Ok(Invocation::Run(RunOptions::default()));
    }
    let matches = arguments::command()
        .try_get_matches_from(&arguments)
        .map_err(|error| {
            // Without stderr there is nobody to tell.
            let _ = error.print();
            if !error.use_stderr() {
                return ExitCode::from(code::OK);
            }
            // The help that is shown where there is no command ends with them.
            let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
            if let Some(examples) = arguments::examples(&arguments).filter(|_| !is_help) {
                let _ = writeln!(io::stderr(), "\n{examples}");
            }
            ExitCode::from(code::USAGE)
        })?;
    // The parser has made sure that there is a command, and that it is one of ours.
    matches
        .subcommand()
        .and_then(invocation)
        .ok_or(ExitCode::from(code::INTERNAL))
}

/// Whether nothing but `run` is asked for, as a container does, which sets variables. To find
/// nothing among all the flags that a run may have takes longer than to start a process.
fn is_bare_run(arguments: &[OsString]) -> bool {
    matches!(arguments, [_, command] if command == "run")
}

fn invocation((name, matches): (&str, &ArgMatches)) -> Option<Invocation> {
    let json = || matches.get_flag("json");
    let utc = || matches.get_flag("utc");
    Some(match name {
        "run" => Invocation::Run(run(matches)),
        "exec" => Invocation::Exec(ExecOptions {
            command: matches.get_many("command")?.cloned().collect(),
            flags: flags::given(matches),
        }),
        "config" => Invocation::Config(ConfigOptions {
            run: run(matches),
            json: json(),
        }),
        "flux-spec" => Invocation::FluxSpec(flux_arguments::options(matches, run(matches))?),
        "status" => Invocation::Status(asking(matches)),
        "why" => Invocation::Why(WhyOptions {
            place: place(matches),
            nodes: nodes(matches, "nodes"),
            json: json(),
            utc: utc(),
        }),
        "health" => Invocation::Health(asking(matches)),
        "claims" => Invocation::Claims(asking(matches)),
        "logs" => match matches.subcommand() {
            Some(("stats", matches)) => Invocation::LogStats(asking(matches)),
            Some((_, matches)) => Invocation::Rotate(asking(matches)),
            None => Invocation::Logs(logs(matches)),
        },
        "events" => Invocation::Events(events(matches)),
        "restart" => Invocation::Restart(RestartOptions {
            change: change(matches),
            nodes: nodes(matches, "nodes"),
            rolling: matches.get_flag("rolling"),
            force: matches.get_flag("force"),
            abort: matches.get_flag("abort"),
        }),
        "scale" => Invocation::Scale(ScaleOptions {
            change: change(matches),
            to: *matches.get_one("to")?,
        }),
        "reload" => Invocation::Reload(change(matches)),
        "stop" => Invocation::Stop(StopOptions {
            place: place(matches),
            now: matches.get_flag("now"),
            wait: !matches.get_flag("no-wait"),
            json: json(),
        }),
        "metrics" => Invocation::Metrics(MetricsOptions {
            place: place(matches),
            nodes: matches.get_flag("nodes"),
        }),
        "man" => Invocation::Man(matches.get_one("dir").cloned()),
        "completions" => Invocation::Completions(matches.get_one::<String>("shell")?.parse().ok()?),
        _ => return None,
    })
}

fn logs(matches: &ArgMatches) -> LogsOptions {
    LogsOptions {
        place: place(matches),
        follow: matches.get_flag("follow"),
        nodes: nodes(matches, "node"),
        since: matches.get_one("since").cloned(),
        until: matches.get_one("until").cloned(),
        lines: matches.get_one("lines").copied().unwrap_or_default(),
        raw: matches.get_flag("raw"),
        json: matches.get_flag("json"),
        utc: matches.get_flag("utc"),
    }
}

fn events(matches: &ArgMatches) -> EventsOptions {
    EventsOptions {
        place: place(matches),
        follow: matches.get_flag("follow"),
        nodes: nodes(matches, "node"),
        since: matches.get_one("since").cloned(),
        until: matches.get_one("until").cloned(),
        json: matches.get_flag("json"),
        utc: matches.get_flag("utc"),
    }
}

fn nodes(matches: &ArgMatches, name: &str) -> Vec<NodeIndex> {
    let nodes = matches.get_many(name).unwrap_or_default();
    nodes.copied().collect()
}

fn run(matches: &ArgMatches) -> RunOptions {
    RunOptions {
        config: matches.get_one("config").cloned(),
        flags: flags::given(matches),
    }
}

fn place(matches: &ArgMatches) -> Place {
    let RunOptions { config, flags } = run(matches);
    Place { config, flags }
}

fn change(matches: &ArgMatches) -> ChangeOptions {
    ChangeOptions {
        place: place(matches),
        dry_run: matches.get_flag("dry-run"),
        wait: !matches.get_flag("no-wait"),
        json: matches.get_flag("json"),
    }
}

fn asking(matches: &ArgMatches) -> StatusOptions {
    StatusOptions {
        place: place(matches),
        json: matches.get_flag("json"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Option<Invocation> {
        let arguments = std::iter::once("supervisor").chain(line.split_whitespace());
        let matches = arguments::command().try_get_matches_from(arguments).ok()?;
        invocation(matches.subcommand()?)
    }

    #[test]
    fn commands_are_understood() {
        let check = |line: &str, expect: &str| {
            let found = parse(line)
                .map(|found| format!("{found:?}"))
                .unwrap_or_default();
            assert!(found.contains(expect), "{line}: {found}");
        };
        check("run", "Run(RunOptions { config: None, flags: [] })");
        check("run --config a.toml", "config: Some(\"a.toml\")");
        check(
            "run --node-count 5",
            "Flag { key: \"node_count\", value: \"5\" }",
        );
        check("run --node-count=-1", "value: \"-1\"");
        check("run --node-count -1", "value: \"-1\"");
        check("status --json --state-dir /x", "json: true");
        check(
            "status --state-dir /x",
            "Flag { key: \"state_dir\", value: \"/x\" }",
        );
        check("health", "Health(");
        check("claims --json", "Claims(");
        check(
            "logs -f --node 1,2 --node flux-node-3",
            "nodes: [NodeIndex(0), NodeIndex(1), NodeIndex(2)]",
        );
        check("logs -n all", "lines: All");
        check("logs -n 7", "lines: Last(7)");
        check("logs --tail 7", "lines: Last(7)");
        check("logs --until 12:00", "until: Some(Today(");
        check("logs rotate", "Rotate(");
        check("logs stats --json", "LogStats(");
        check("events -f --utc", "follow: true");
        check(
            "events --node 2 --since 5m",
            "nodes: [NodeIndex(1)], since: Some(",
        );
        check("why", "nodes: []");
        check(
            "why 1 flux-node-3 --json",
            "nodes: [NodeIndex(0), NodeIndex(2)], json: true",
        );
        check("reload --dry-run", "dry_run: true, wait: true");
        check("stop --now --no-wait", "now: true, wait: false");
        check("config --json --base-port 1", "json: true");
        check(
            "restart --rolling 1 flux-node-2",
            "nodes: [NodeIndex(0), NodeIndex(1)], rolling: true, force: false",
        );
        check("restart --force --dry-run", "dry_run: true, wait: true");
        check("restart --abort", "abort: true");
        check("scale 5 --no-wait", "wait: false, json: false }, to: 5");
        check(
            "exec -- ls --all -- x",
            "command: [\"ls\", \"--all\", \"--\", \"x\"], flags: []",
        );
        check("exec ls -h", "command: [\"ls\", \"-h\"]");
        check("exec --stop-timeout 2s -- ls", "key: \"stop_timeout\"");
        check("metrics --nodes", "nodes: true");
        check("flux-spec --check -", "Check(\"-\")");
        check(
            "flux-spec --owner me --image i:1 --node-count 2",
            "name: \"repram\"",
        );
        check("man", "Man(None)");
        check("man /x", "Man(Some(\"/x\"))");
        check("completions zsh", "Completions(Zsh)");
    }

    #[test]
    fn mistakes_are_usage_errors() {
        let check = |line: &str| assert!(parse(line).is_none(), "{line}");
        check("");
        check("start");
        check("run --node-cuont 3");
        check("status --node-count 3");
        check("logs --raw --json");
        check("events -f --until 5m");
        check("why 0");
        check("logs -n some");
        check("logs --node first");
        check("logs --node 0");
        check("logs -f --until 12:00");
        check("restart first");
        check("logs --since yesterday");
        check("completions tcsh");
        check("restart --rolling --force");
        check("restart --abort 1");
        check("scale");
        check("scale many");
        check("exec");
        check("exec --");
        check("exec --node-count 3 -- ls");
        check("exec --no-such-flag");
        check("run now");
    }

    #[test]
    fn a_bare_run_is_what_the_parser_finds() {
        let arguments = ["supervisor", "run"].map(OsString::from);
        assert!(is_bare_run(&arguments));
        let found = super::parse(arguments).expect("it is a command");
        assert_eq!(format!("{:?}", Some(found)), format!("{:?}", parse("run")));
        for other in ["", "stop", "run --node-count 3", "run now"] {
            let words: Vec<OsString> = format!("supervisor {other}")
                .split_whitespace()
                .map(OsString::from)
                .collect();
            assert!(!is_bare_run(&words), "{other}");
        }
    }

    #[test]
    fn secrets_and_what_the_supervisor_sets_are_no_flags() {
        assert!(parse("run --cluster-secret x").is_none());
        assert!(parse("run --node-id x").is_none());
    }

    #[test]
    fn following_begins_near_the_end() {
        let check = |line: &str, expect: Option<u64>| {
            let Some(Invocation::Logs(options)) = parse(line) else {
                panic!("{line}")
            };
            assert_eq!(options.last(), expect, "{line}");
        };
        check("logs", None);
        check("logs -f", Some(10));
        check("logs -f -n 3", Some(3));
        check("logs -f -n all", None);
        check("logs -f --since 5m", None);
        check("logs -n 3", Some(3));
    }
}
