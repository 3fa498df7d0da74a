//! The node's own log, on its standard output.

use repram_config::{LogFormat, LogLevel, Settings};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt;

/// Writes what happens to the standard output. Under a supervisor a line has no time of its
/// own, because the supervisor puts one in front of it.
pub(super) fn start(settings: &Settings, supervised: bool) {
    let log = fmt()
        .with_max_level(level(settings.log_level))
        .with_target(false)
        .with_ansi(false);
    // It fails when there is a subscriber already, which only a test could have set.
    let _ = if supervised {
        tracing::subscriber::set_global_default(log.without_time().finish())
    } else if settings.log_format == LogFormat::Json {
        tracing::subscriber::set_global_default(log.json().finish())
    } else {
        tracing::subscriber::set_global_default(log.finish())
    };
}

const fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
