//! The arguments of `supervisor flux-spec`.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, ValueHint, value_parser};

use super::flags;
use super::invocation::RunOptions;
use crate::flux_spec::Wanted;

/// What is to be done about a specification.
#[derive(Clone, Debug)]
pub enum FluxSpecOptions {
    /// Print one for the settings.
    Make(RunOptions, Wanted),
    /// Check one: this file, or `-` for standard input.
    Check(PathBuf),
}

pub(super) fn command(config_file: Arg) -> Command {
    Command::new("flux-spec")
        .about("Print the specification of a Flux app for the settings, or check one")
        .long_about(
            "Prints the specification of an app for Flux (RunOnFlux), version 8, that runs this \
             fleet with the settings that were given, as `supervisor run` would have them. It is \
             checked by the rules of FluxOS. A container publishes at most five ports: with \
             INGRESS_PORT the front port and the gossip ports of up to four nodes, otherwise all \
             ports of up to two nodes.",
        )
        .after_help(
            "Example:\n  supervisor flux-spec --owner 1Cb... --image ghcr.io/you/repram-fleet:1.0.0 \
             --ingress-port 8080 > app.json\n  \
             supervisor flux-spec --check app.json\n\n\
             Exit codes: 0 done; 1 the specification that was checked is not accepted; 64 wrong \
             usage; 78 the settings do not fit into an app",
        )
        .arg(
            Arg::new("check")
                .long("check")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .value_hint(ValueHint::FilePath)
                .exclusive(true)
                .help("Name everything in this specification that FluxOS refuses; - is standard input"),
        )
        .args(app())
        .args(size())
        .arg(config_file)
        .defer(|command| command.args(flags::all()))
}

/// What the app is.
fn app() -> [Arg; 4] {
    let text =
        |name: &'static str, value: &'static str| Arg::new(name).long(name).value_name(value);
    [
        text("owner", "ID")
            .required_unless_present("check")
            .help("The ID of the app's owner"),
        text("image", "IMAGE")
            .required_unless_present("check")
            .help("The image with its version, such as ghcr.io/you/repram-fleet:1.0.0"),
        text("name", "NAME")
            .default_value("repram")
            .help("The name of the app"),
        text("description", "TEXT")
            .default_value("An ephemeral key-value store: REPRAM nodes under one supervisor")
            .help("What it is for"),
    ]
}

/// How much of everything it gets.
fn size() -> [Arg; 6] {
    let number = |name: &'static str, default: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("N")
            .default_value(default)
            .value_parser(value_parser!(u64))
    };
    [
        number("instances", "3").help("Hosts that run it"),
        number("expire", "88000").help("Blocks of half a minute that it runs"),
        number("cpu", "0.5")
            .value_name("CORES")
            .value_parser(value_parser!(f64))
            .help("Cores of each instance"),
        number("ram", "500").help("Megabytes of each instance"),
        number("hdd", "1").help("Gigabytes of each instance"),
        number("public-offset", "22830")
            .value_parser(value_parser!(u16))
            .help("From a port in the container to its public one, unless ADVERTISE_PORTS says"),
    ]
}

pub(super) fn options(matches: &ArgMatches, run: RunOptions) -> Option<FluxSpecOptions> {
    if let Some(file) = matches.get_one("check") {
        return Some(FluxSpecOptions::Check(PathBuf::clone(file)));
    }
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let number = |name: &str| matches.get_one::<u64>(name).copied();
    let wanted = Wanted {
        name: text("name")?,
        description: text("description")?,
        owner: text("owner")?,
        image: text("image")?,
        instances: number("instances")?,
        expire: number("expire")?,
        cpu: matches.get_one("cpu").copied()?,
        ram: number("ram")?,
        hdd: number("hdd")?,
        public_offset: matches.get_one("public-offset").copied()?,
    };
    Some(FluxSpecOptions::Make(run, wanted))
}
