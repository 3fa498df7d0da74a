//! Settings as flags.

use clap::{Arg, ArgMatches};
use repram_config::{Declaration, Flag, declaration, declarations};

/// The flags by which a command finds the supervisor that it asks.
const PLACE: [&str; 2] = ["state_dir", "base_port"];

/// A flag for every setting that one can set so and that does something.
pub(crate) fn all() -> impl Iterator<Item = Arg> {
    declarations()
        .iter()
        .filter(|declaration| !declaration.is_per_node())
        .filter_map(flag)
}

/// The flags by which a supervisor is found.
pub(crate) fn place() -> impl Iterator<Item = Arg> {
    PLACE.into_iter().filter_map(place_flag)
}

/// The flag by which its files are found.
pub(crate) fn log_dir() -> Option<Arg> {
    place_flag("log_dir")
}

/// The flag that says how long a stop may take.
pub(crate) fn stop_timeout() -> Option<Arg> {
    flag(declaration("stop_timeout")?)
}

fn place_flag(key: &str) -> Option<Arg> {
    Some(flag(declaration(key)?)?.help_heading("Which supervisor"))
}

fn flag(declaration: &'static Declaration) -> Option<Arg> {
    let words = declaration.words();
    let value = if words.is_empty() {
        "VALUE".to_owned()
    } else {
        words.join("|")
    };
    let doc = declaration.doc();
    // The first sentence is enough for a list; the rest is on the page of the settings.
    let first = doc
        .split_once(". ")
        .map_or(doc.trim_end_matches('.'), |(first, _)| first);
    let help = format!(
        "{first} [default: {}] [env: {}]",
        declaration.default_text().replace('`', ""),
        declaration.variable()
    );
    let arg = Arg::new(declaration.key())
        .long(declaration.flag()?)
        .value_name(value)
        .help(help)
        .help_heading(declaration.section().title())
        // Whether -1 is a port is not for the command line to say: all problems of the
        // settings are told together.
        .allow_negative_numbers(true);
    Some(arg)
}

/// The settings that were given as flags, in the order of their declaration.
pub(crate) fn given(matches: &ArgMatches) -> Vec<Flag> {
    let value = |declaration: &'static Declaration| {
        let key = declaration.key();
        let value = matches.try_get_one::<String>(key).ok().flatten()?;
        Some(Flag {
            key,
            value: value.clone(),
        })
    };
    declarations().iter().filter_map(value).collect()
}
