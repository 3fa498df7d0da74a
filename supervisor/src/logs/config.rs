//! How logs are to be kept.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use repram_config::{LogDir, LogFormat, LogStdout, Settings};

use super::console::Clock;
use super::destinations::Destinations;
use super::files::{Catalogue, Compressor, FileSystem, FileWriter, Limits};
use super::handle::{Inner, Logs};
use super::latch::Latch;
use super::mailbox::Mailbox;
use super::outbox::Outbox;
use super::reader::Reader;
use super::show::{Form, ShowWriter};
use super::stdout::Stdout;
use super::waker::Waker;
use crate::style::Style;

/// How logs are to be kept.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Where `flux-node-N.log` lives; none writes no files.
    pub dir: Option<PathBuf>,
    /// What the container's stdout shows.
    pub stdout: LogStdout,
    /// In which form. The files are always text.
    pub format: LogFormat,
    /// Bytes at which a file is rotated; lowered when `total` has no room for that many.
    pub max_size: u64,
    /// Age of its first line at which a file is rotated; zero rotates by size only.
    pub max_age: Duration,
    /// Rotated files that are kept per node.
    pub keep: u32,
    /// Bytes that all files may take together.
    pub total: u64,
    /// Bytes of a line that are kept; the rest of a longer one is cut.
    pub max_line: usize,
    /// Nodes that will write: `flux-node-1` up to this number.
    pub nodes: u16,
}

impl LogConfig {
    /// What the settings ask for.
    #[must_use]
    pub fn from_settings(settings: &Settings) -> Self {
        Self {
            dir: match &settings.log_dir {
                LogDir::Off => None,
                LogDir::Path(dir) => Some(dir.clone()),
            },
            stdout: settings.log_stdout,
            format: settings.log_format,
            max_size: settings.log_max_size,
            max_age: settings.log_max_age,
            keep: settings.log_keep,
            total: settings.log_total,
            max_line: usize::try_from(settings.log_max_line).unwrap_or(usize::MAX),
            nodes: settings.node_count,
        }
    }

    /// Opens the directory, which is made when it is missing, and starts the threads.
    ///
    /// # Errors
    /// When the directory cannot be used or a thread cannot be started.
    pub fn build(self) -> Result<Logs, LogError> {
        let style = Style::of(&io::stdout());
        let terminal = io::stdout().is_terminal();
        let clock = match terminal {
            true => Clock::TimeOfDay(TimeZone::system()),
            false => Clock::Utc,
        };
        let form = Form {
            format: self.format,
            style,
            clock,
            terminal,
        };
        let stdout = Stdout::open().map_err(LogError::Start)?;
        self.build_with(form, Box::new(stdout))
    }

    /// The same with another stdout.
    pub(crate) fn build_with(
        self,
        form: Form,
        stdout: Box<dyn Write + Send>,
    ) -> Result<Logs, LogError> {
        let waker = Arc::new(Waker::new().map_err(LogError::Start)?);
        let mailbox = Arc::new(Mailbox::new(Arc::clone(&waker)));
        let catalogue = self
            .dir
            .clone()
            .map(|dir| self.catalogue(dir))
            .transpose()?;
        let files = catalogue
            .is_some()
            .then(|| Arc::new(Outbox::new(Arc::clone(&waker))));
        let destinations = Destinations {
            files,
            shown: Arc::new(Outbox::new(Arc::clone(&waker))),
            shows: self.stdout,
        };
        let mut inner = Inner::new(Arc::clone(&mailbox), destinations.clone(), self.format);
        let mut threads = Vec::new();
        if let (Some(catalogue), Some(outbox)) = (catalogue, destinations.files.clone()) {
            let compressor = Arc::new(Compressor::new(Arc::clone(&catalogue)));
            compressor.nudge();
            let writer = FileWriter::new(
                FileSystem,
                outbox,
                Arc::clone(&catalogue),
                Arc::clone(&compressor),
                Arc::clone(&mailbox),
            );
            threads.push(spawn("logs-files", &inner.files_done, || writer.run())?);
            inner.with_files(catalogue, compressor);
        } else {
            inner.files_done.open();
        }
        // Also where it shows nothing, which may change.
        let outbox = Arc::clone(&destinations.shown);
        let writer = ShowWriter::new(outbox, Arc::clone(&mailbox), form, stdout);
        threads.push(spawn("logs-stdout", &inner.shown_done, || writer.run())?);
        let files_done = Arc::clone(&inner.files_done);
        let reader = Reader::new(waker, mailbox, destinations, files_done, self.max_line)
            .map_err(LogError::Start)?;
        threads.push(spawn("logs-reader", &inner.reader_done, || reader.run())?);
        Ok(Logs::new(inner, threads))
    }

    /// How much the files may take.
    pub(super) fn limits(&self) -> Limits {
        Limits::new(self.max_size, self.keep, self.total, self.nodes).with_max_age(self.max_age)
    }

    fn catalogue(&self, dir: PathBuf) -> Result<Arc<Catalogue>, LogError> {
        let opened = fs::create_dir_all(&dir)
            .and_then(|()| Catalogue::scan(&dir, self.limits(), Instant::now()));
        match opened {
            Ok(catalogue) => {
                catalogue.tidy();
                Ok(Arc::new(catalogue))
            }
            Err(source) => Err(LogError::Directory { dir, source }),
        }
    }
}

/// Starts a thread that opens `done` at its end.
fn spawn(
    name: &str,
    done: &Arc<Latch>,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, LogError> {
    let done = Arc::clone(done);
    let body = move || {
        run();
        done.open();
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(LogError::Start)
}

/// Why logging could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directory for the files cannot be used.
    #[error("use LOG_DIR {}", .dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A thread, pipe or poll descriptor could not be had.
    #[error("start the threads that carry the logs")]
    Start(#[source] io::Error),
}
