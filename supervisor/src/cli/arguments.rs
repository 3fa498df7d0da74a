//! The arguments that there are, with their help.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command, ValueHint, value_parser};

use super::flags;
use super::node_name::parse_node;
use super::since::Since;

/// The whole command line.
pub(crate) fn command() -> Command {
    Command::new("supervisor")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Runs a fleet of repram nodes and keeps it running")
        .long_about(
            "Runs a fleet of repram nodes and keeps it running.\n\n\
             `supervisor run` starts the nodes in the foreground; the other commands ask the \
             supervisor that runs. Every setting can be given as a flag, as an environment \
             variable or in a TOML file.",
        )
        .after_help(
            "Example:\n  supervisor run --node-count 3     in one terminal\n  \
             supervisor status                 in another\n\n\
             Exit codes: 0 done; 1 the fleet failed, or the answer is no; 64 wrong usage; \
             69 no ports, or no supervisor reachable; 70 internal error; 78 wrong settings",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .max_term_width(100)
        .subcommands([
            run(),
            status(),
            why(),
            logs(),
            events(),
            restart(),
            scale(),
            reload(),
            stop(),
            health(),
            claims(),
            metrics(),
            exec(),
            config(),
            super::flux_arguments::command(config_file()),
            completions(),
            man(),
        ])
}

/// Tells every command that understands `--json`, with the words that lead to it.
#[cfg(test)]
pub(crate) fn with_json(tell: &mut dyn FnMut(&str)) {
    fn walk(command: &Command, words: &str, tell: &mut dyn FnMut(&str)) {
        if command.get_arguments().any(|arg| arg.get_id() == "json") {
            tell(words);
        }
        for below in command.get_subcommands() {
            walk(below, format!("{words} {}", below.get_name()).trim(), tell);
        }
    }
    let mut root = command();
    root.build();
    walk(&root, "", tell);
}

/// The examples of the command that these arguments begin with, or of the whole program.
pub(crate) fn examples(arguments: &[OsString]) -> Option<String> {
    let root = command();
    let named = arguments.get(1).and_then(|name| root.find_subcommand(name));
    let help = named.unwrap_or(&root).get_after_help()?.to_string();
    // What stands behind the first empty line are rules, not examples.
    help.split("\n\n").next().map(str::to_owned)
}

fn run() -> Command {
    Command::new("run")
        .about("Start the fleet and stay in the foreground until it is stopped")
        .after_help(
            "Example:\n  supervisor run --node-count 5 --base-port 9081\n\n\
             SIGTERM or SIGINT (Ctrl-C) stops the fleet, a second one kills it; SIGUSR1 opens \
             the log files anew, SIGUSR2 prints the status.",
        )
        .arg(config_file())
        .defer(|command| command.args(flags::all()))
}

fn status() -> Command {
    asking("status")
        .about("Show what every node is doing")
        .after_help(
            "Example:\n  supervisor status\n  supervisor status --json | jq '.nodes[].state'",
        )
        .arg(json("Print the status as a JSON object"))
}

fn why() -> Command {
    asking("why")
        .about("Tell why nodes are as they are, what was done about it, and what comes next")
        .long_about(
            "Tells the story of a node: what it does and since when, what the supervisor will do \
             next and when, how its last processes ended and what was done about it, with the \
             last lines of each and what it answered to probes. Without a node there is a \
             paragraph for each that is not fine, or the word that all is fine.",
        )
        .after_help(
            "Example:\n  supervisor why          which nodes are not fine\n  \
             supervisor why 3        all about flux-node-3",
        )
        .args([
            Arg::new("nodes")
                .value_name("NODE")
                .num_args(0..)
                .value_parser(parse_node)
                .help("Nodes: numbers or names [default: all that are not fine]"),
            json("Print the stories as a JSON object"),
            utc(),
        ])
}

fn logs() -> Command {
    asking("logs")
        .about("Show what the nodes write, merged in the order of time")
        .long_about(
            "Shows what the nodes write, merged in the order of time, from their files and as \
             it comes. Without a running supervisor the files in LOG_DIR are read.",
        )
        .after_help(
            "Example:\n  supervisor logs -f                  the last lines, and those that come\n  \
             supervisor logs --node 2 -n 100     the last hundred lines of flux-node-2\n  \
             supervisor logs --since 5m          of the last five minutes\n  \
             supervisor logs --since 3:00 --until 3:15\n  \
             supervisor logs stats               what was written, and what was dropped\n  \
             supervisor logs rotate              begin new files now\n\n\
             Times are shown in the local zone with its offset, or in UTC with --utc; --json \
             always has UTC, as the files have.",
        )
        .args([
            Arg::new("follow")
                .short('f')
                .long("follow")
                .action(ArgAction::SetTrue)
                .help("Go on with lines as they come"),
            Arg::new("lines")
                .short('n')
                .long("lines")
                .visible_alias("tail")
                .value_name("N")
                .value_parser(super::Lines::parse)
                .help("Only the last N lines, or all [default: all, with -f 10]"),
            Arg::new("raw")
                .long("raw")
                .action(ArgAction::SetTrue)
                .help("The bytes of the nodes without name and time"),
            json("One JSON object per line").conflicts_with("raw"),
            utc(),
        ])
        .args(chosen())
        .args(flags::log_dir())
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .subcommand(
            asking("rotate")
                .about("Begin new log files now; the old ones are kept and compressed")
                .after_help("Example:\n  supervisor logs rotate")
                .arg(json("Print what was rotated as a JSON object")),
        )
        .subcommand(
            asking("stats")
                .about("Show how many lines were read, written, cut and dropped since the start")
                .after_help("Example:\n  supervisor logs stats --json | jq '.nodes[].file'")
                .arg(json("Print the numbers as a JSON object")),
        )
}

fn events() -> Command {
    asking("events")
        .about("Show what happened to the fleet, and why")
        .long_about(
            "Shows what happened to the fleet and what the supervisor did: the last 512 events, \
             the oldest first, and with -f those that come.",
        )
        .after_help(
            "Example:\n  supervisor events -f\n  \
             supervisor events --node 2 --since 5m\n  \
             supervisor events --json | jq 'select(.event == \"node_exited\")'",
        )
        .args([
            Arg::new("follow")
                .short('f')
                .long("follow")
                .action(ArgAction::SetTrue)
                .help("Go on with events as they come"),
            json("One JSON object per line"),
            utc(),
        ])
        .args(chosen())
}

/// Which lines or events are wanted: of which nodes, and from when to when.
fn chosen() -> [Arg; 3] {
    [
        Arg::new("node")
            .long("node")
            .value_name("NODE")
            .action(ArgAction::Append)
            .value_delimiter(',')
            .value_parser(parse_node)
            .help("Only of this node: a number or a name; may be repeated"),
        Arg::new("since")
            .long("since")
            .value_name("TIME")
            .value_parser(Since::parse)
            .help("From then on: 5m, 1h30m, 12:00, 2026-11-20T12:00:00Z"),
        Arg::new("until")
            .long("until")
            .value_name("TIME")
            .value_parser(Since::parse)
            .conflicts_with("follow")
            .help("Up to then, in the same forms"),
    ]
}

fn restart() -> Command {
    asking("restart")
        .about("Restart nodes: all at once, or one after the other")
        .long_about(
            "Restarts nodes, all when none is named, and waits until they are ready. Their ports \
             stay open: connections wait for the next process. It costs no restart budget.\n\n\
             Without --rolling the nodes end at the same time, which is refused when fewer than \
             MIN_READY nodes would stay ready. With it the next node goes when the one before is \
             ready, has got back its values, and ROLLING_SOAK has passed. It waits while another \
             node is down, and ends when a node comes back worse than it went: the rest stay as \
             they are. It goes on when this command is interrupted; --abort ends it.\n\n\
             The exit code is 0 when all are ready again, and 1 when the restart was refused or \
             halted.",
        )
        .after_help(
            "Example:\n  supervisor restart --rolling      all nodes, one after the other\n  \
             supervisor restart 2              flux-node-2 alone",
        )
        .args([
            Arg::new("nodes")
                .value_name("NODE")
                .num_args(0..)
                .value_parser(parse_node)
                .help("Nodes to restart: numbers or names [default: all]"),
            Arg::new("rolling")
                .long("rolling")
                .action(ArgAction::SetTrue)
                .conflicts_with("force")
                .help("One node after the other, keeping MIN_READY nodes ready"),
            Arg::new("force")
                .long("force")
                .action(ArgAction::SetTrue)
                .help("Also when fewer than MIN_READY nodes stay ready"),
            Arg::new("abort")
                .long("abort")
                .action(ArgAction::SetTrue)
                .conflicts_with_all(["nodes", "rolling", "force", "no-wait", "dry-run"])
                .help("End the rolling restart that is under way, after its present node"),
        ])
        .args(change_flags())
}

fn scale() -> Command {
    asking("scale")
        .about("Run another number of nodes, without touching those that stay")
        .long_about(
            "Runs another number of nodes, until the supervisor ends or is told otherwise. New \
             nodes claim ports of the range and start one after the other; the highest numbers go \
             first, drain, and let go of their ports. Logs and UUIDs are kept: a node that comes \
             back is the one that it was.\n\nA MIN_READY that was not set stays one less than \
             the number of nodes. Fewer nodes than a MIN_READY that was set are refused.",
        )
        .after_help("Example:\n  supervisor scale 5")
        .arg(
            Arg::new("to")
                .required(true)
                .value_name("N")
                .value_parser(node_count)
                .help("How many nodes, from 1 to MAX_PORTS, at most 256"),
        )
        .args(change_flags())
}

fn node_count(text: &str) -> Result<u16, &'static str> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or("allowed is a whole number from 1 to MAX_PORTS, such as 3")
}

fn reload() -> Command {
    asking("reload")
        .about("Read the configuration file again and go over to it")
        .long_about(
            "Lets the supervisor read its configuration file and the file of the secret again \
             and go over to what they say; environment and flags are those of its start. All \
             problems are listed before anything is done. What the nodes must be started with \
             is followed by a rolling restart, another NODE_COUNT by starting or stopping nodes. \
             Settings that need a new start of the supervisor are refused, and then nothing \
             changes. Waits until all is done.",
        )
        .after_help(
            "Example:\n  supervisor reload --dry-run     what would be done\n  \
             supervisor reload\n\n\
             Exit codes: 0 done; 1 the rolling restart was halted; 69 no supervisor reachable; \
             78 the settings cannot be used, nothing has changed",
        )
        .args(change_flags())
}

/// What every command understands that changes the running fleet.
fn change_flags() -> [Arg; 3] {
    [
        Arg::new("no-wait")
            .long("no-wait")
            .action(ArgAction::SetTrue)
            .help("Return as soon as the change has begun"),
        Arg::new("dry-run")
            .long("dry-run")
            .action(ArgAction::SetTrue)
            .help("Only show what would be done, in order"),
        json("Print what happens as JSON objects, one per line; a plan as one object"),
    ]
}

fn stop() -> Command {
    asking("stop")
        .about("Stop the fleet and its supervisor")
        .long_about(
            "Stops the fleet and its supervisor: all nodes are asked to end, and killed when \
             STOP_TIMEOUT is nearly over. Waits until the supervisor has ended.",
        )
        .after_help("Example:\n  supervisor stop && supervisor run")
        .args([
            Arg::new("now")
                .long("now")
                .action(ArgAction::SetTrue)
                .help("Kill the nodes instead of asking them to end"),
            Arg::new("no-wait")
                .long("no-wait")
                .action(ArgAction::SetTrue)
                .help("Return as soon as the stop has begun"),
            json("Print what happens as JSON objects, one per line"),
        ])
}

fn health() -> Command {
    asking("health")
        .about("Say by the exit code whether enough nodes are ready")
        .long_about(
            "Says in one line whether enough nodes are ready, at least MIN_READY and at least \
             one, and what the others do. The exit code is 0 for yes, 1 for no and 69 when no \
             supervisor answers.",
        )
        .after_help("Example, in a Dockerfile:\n  HEALTHCHECK CMD [\"supervisor\", \"health\"]")
        .arg(json("Print the answer as a JSON object"))
}

fn claims() -> Command {
    asking("claims")
        .about("Show who holds which ports of the range")
        .long_about(
            "Shows every slot of the range and who holds it: a node of this supervisor, one of \
             another supervisor, or a stranger with its process. Where ports are unique over a \
             domain, its other hosts are asked, too.",
        )
        .after_help("Example:\n  supervisor claims")
        .arg(json("Print the claims as a JSON object"))
}

fn metrics() -> Command {
    asking("metrics")
        .about("Print what Prometheus reads of the supervisor")
        .long_about(
            "Prints what GET /metrics answers on the control socket and on ADMIN_ADDR, in the text \
             format of Prometheus. With --nodes the metrics of all nodes follow, each with the \
             label `node`; a node that does not answer within two seconds is left out.",
        )
        .after_help("Example:\n  supervisor metrics --nodes")
        .arg(
            Arg::new("nodes")
                .long("nodes")
                .action(ArgAction::SetTrue)
                .help("Also those of the nodes themselves"),
        )
}

fn exec() -> Command {
    Command::new("exec")
        .about("Run any one command with the duties of an init")
        .long_about(
            "Runs any one command as process 1 of a container should: signals are forwarded to \
             its process group, orphans are adopted and reaped, what it leaves behind is ended \
             (SIGTERM, and SIGKILL a second before STOP_TIMEOUT is over), and it dies when \
             this process does. Its standard streams, other descriptors and environment are \
             ours, and signals do what they would do without us. Needs no configuration and \
             writes no file.",
        )
        .after_help(
            "Example:\n  supervisor exec -- python3 worker.py --queue mails\n\n\
             Exit codes: that of the command; 128+n when signal n ended it; 126 it cannot be \
             executed; 127 there is no such program; 64 wrong usage; 70 internal error; \
             78 STOP_TIMEOUT is wrong",
        )
        .args(flags::stop_timeout())
        .arg(
            Arg::new("command")
                .required(true)
                .num_args(1..)
                .trailing_var_arg(true)
                .value_name("COMMAND")
                .value_parser(value_parser!(OsString))
                .value_hint(ValueHint::CommandWithArguments)
                .help("The program, looked up in PATH, and its arguments"),
        )
}

fn config() -> Command {
    Command::new("config")
        .about("Show the effective settings and where each came from")
        .after_help("Example:\n  supervisor config --config repram.toml --node-count 5")
        .arg(config_file())
        .arg(json("Print the settings as a JSON object"))
        .defer(|command| command.args(flags::all()))
}

fn completions() -> Command {
    Command::new("completions")
        .about("Print a script that completes commands and flags in your shell")
        .after_help(
            "Example:\n  supervisor completions bash > ~/.local/share/bash-completion/completions/supervisor",
        )
        .arg(
            Arg::new("shell")
                .required(true)
                .value_name("SHELL")
                .value_parser(PossibleValuesParser::new(["bash", "fish", "zsh"]))
                .help("For which shell"),
        )
}

fn man() -> Command {
    Command::new("man")
        .about("Print the manual page, or write all of them into a folder")
        .after_help(
            "Example:\n  supervisor man | man -l -\n  supervisor man ~/.local/share/man/man1",
        )
        .arg(
            Arg::new("dir")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .value_hint(ValueHint::DirPath)
                .help("Write supervisor.1 and a page for every command here"),
        )
}

/// A command that asks a running supervisor.
fn asking(name: &'static str) -> Command {
    let config = config_file().help_heading("Which supervisor");
    Command::new(name).arg(config).args(flags::place())
}

fn config_file() -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .value_hint(ValueHint::FilePath)
        .help("A TOML file with settings [env: REPRAM_CONFIG]")
}

fn json(help: &'static str) -> Arg {
    Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help(help)
}

fn utc() -> Arg {
    Arg::new("utc")
        .long("utc")
        .action(ArgAction::SetTrue)
        .help("Show times in UTC instead of the local zone")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn everything_has_a_help_and_every_command_an_example() {
        fn check(command: &Command) {
            for arg in command.get_arguments() {
                assert!(
                    arg.get_help().is_some(),
                    "{} {}",
                    command.get_name(),
                    arg.get_id()
                );
            }
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name}");
            let after = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(after.contains("Example"), "{name}");
            command.get_subcommands().for_each(check);
        }
        let mut root = command().disable_help_subcommand(true);
        // With the flags that are added only where they are asked for.
        root.build();
        check(&root);
    }
}
