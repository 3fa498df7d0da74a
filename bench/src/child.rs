//! The programs that are kept running while their keepers are measured. They are this
//! very binary in other roles, so that nothing else has to be built or installed; each
//! does next to nothing.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::count;
use crate::line;
use crate::moment::Moment;
use crate::node::{self, Runtimes};
use crate::orphans;

/// The first argument of a child.
const ROLE: &str = "child";

/// The pause between two looks for a file.
const PAUSE: Duration = Duration::from_millis(5);

/// What a child does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Child {
    /// Says that it is ready and then that it is alive, as often as it was asked to.
    Rest,
    /// The same, and it ignores what asks it to end.
    Stubborn,
    /// The same as the first, with a helper in a session of its own.
    Helped,
    /// Writes down the moment at which it was started, and is as the first.
    Begin {
        /// Where.
        record: PathBuf,
    },
    /// Answers on a port with the moment at which it was started, which it writes down,
    /// too.
    Serve {
        /// Where the moment and the pid are written down.
        record: PathBuf,
        /// The port, where no socket was passed.
        port: u16,
    },
    /// Writes numbered lines as fast as they are taken, once [`signal_to_begin`] exists.
    Flood {
        /// Where the moment of the first line is written down.
        record: PathBuf,
        /// How many lines.
        lines: u64,
    },
    /// Makes many orphans and lets all of them end at once.
    Orphans {
        /// Where is written how long it took until all were reaped, and how many were not.
        record: PathBuf,
        /// How many.
        count: u64,
    },
    /// Answers HTTP with a constant.
    Answer {
        /// How it uses the processors.
        runtimes: Runtimes,
        /// Where it listens.
        port: u16,
        /// Bytes of the constant.
        size: usize,
    },
    /// Goes down a hot path, and ends.
    Core {
        /// Which.
        number: usize,
        /// How often.
        rounds: u64,
    },
}

impl Child {
    /// The role that the arguments of this process ask for, if they do.
    pub(crate) fn of_this_process() -> Option<Self> {
        let mut arguments = std::env::args_os().skip(1);
        if arguments.next()? != ROLE {
            return None;
        }
        let role = arguments.next()?;
        if let Some(runtimes) = runtimes(role.to_str()?) {
            let mut number = || arguments.next()?.to_str()?.parse::<u32>().ok();
            return Some(Self::Answer {
                runtimes,
                port: u16::try_from(number()?).ok()?,
                size: usize::try_from(number()?).ok()?,
            });
        }
        if role == "core" {
            let mut number = || arguments.next()?.to_str()?.parse::<u64>().ok();
            return Some(Self::Core {
                number: usize::try_from(number()?).ok()?,
                rounds: number()?,
            });
        }
        let (record, number) = (arguments.next(), arguments.next());
        let number = || number?.to_str()?.parse::<u64>().ok();
        Some(match role.to_str()? {
            "rest" => Self::Rest,
            "stubborn" => Self::Stubborn,
            "helped" => Self::Helped,
            "begin" => Self::Begin {
                record: record?.into(),
            },
            "serve" => Self::Serve {
                record: record?.into(),
                port: u16::try_from(number()?).ok()?,
            },
            "flood" => Self::Flood {
                record: record?.into(),
                lines: number()?,
            },
            "orphans" => Self::Orphans {
                record: record?.into(),
                count: number()?,
            },
            _ => return None,
        })
    }

    /// The command line by which this program becomes this child.
    pub(crate) fn command(&self) -> Vec<OsString> {
        let this = std::env::current_exe().expect("Linux names the running binary");
        let mut command = vec![this.into(), ROLE.into()];
        let mut add = |words: [OsString; 3]| command.extend(words);
        match self {
            Self::Rest => command.push("rest".into()),
            Self::Stubborn => command.push("stubborn".into()),
            Self::Helped => command.push("helped".into()),
            Self::Begin { record } => command.extend(["begin".into(), record.into()]),
            Self::Serve { record, port } => {
                add(["serve".into(), record.into(), port.to_string().into()]);
            }
            Self::Flood { record, lines } => {
                add(["flood".into(), record.into(), lines.to_string().into()]);
            }
            Self::Orphans { record, count } => {
                add(["orphans".into(), record.into(), count.to_string().into()]);
            }
            Self::Core { number, rounds } => {
                let [number, rounds] = count::words(*number, *rounds);
                add(["core".into(), number, rounds]);
            }
            Self::Answer {
                runtimes,
                port,
                size,
            } => {
                let (_, role) = ROLES_OF_RUNTIMES[*runtimes as usize];
                add([
                    role.into(),
                    port.to_string().into(),
                    size.to_string().into(),
                ]);
            }
        }
        command
    }

    /// Does it, until it is ended.
    pub(crate) fn run(self, started: Moment) -> io::Result<()> {
        match self {
            Self::Rest => rest(),
            Self::Stubborn => {
                for signal in [SIGTERM, SIGINT] {
                    // A flag that nobody looks at.
                    signal_hook::flag::register(signal, Arc::default())?;
                }
                rest()
            }
            Self::Helped => {
                let mut helper = Command::new("setsid");
                helper.args(Self::Rest.command()).spawn()?;
                rest()
            }
            Self::Begin { record } => {
                write_down(started, &record)?;
                rest()
            }
            Self::Serve { record, port } => serve(started, &record, port),
            Self::Flood { record, lines } => flood(&record, lines),
            Self::Orphans { record, count } => {
                orphans::make(&record, count)?;
                rest()
            }
            Self::Core { number, rounds } => {
                count::go(number, rounds);
                Ok(())
            }
            Self::Answer {
                runtimes,
                port,
                size,
            } => node::answer(runtimes, port, size),
        }
    }
}

/// Roles of the server of constants.
const ROLES_OF_RUNTIMES: [(Runtimes, &str); 2] = [
    (Runtimes::Shared, "answer"),
    (Runtimes::PerCore, "answer-per-core"),
];

fn runtimes(role: &str) -> Option<Runtimes> {
    let found = ROLES_OF_RUNTIMES.iter().find(|(_, name)| *name == role)?;
    Some(found.0)
}

/// The file for which a flood waits, so that everything else is known before.
pub(crate) fn signal_to_begin(record: &Path) -> PathBuf {
    record.with_extension("go")
}

/// Says something to whoever keeps this process, if that listens.
fn tell(state: NotifyState<'_>) {
    // Nothing depends on it.
    let _ = sd_notify::notify(&[state]);
}

fn rest() -> io::Result<()> {
    tell(NotifyState::Ready);
    let watchdog = std::env::var("WATCHDOG_USEC").ok();
    let Some(limit) = watchdog.and_then(|text| text.parse().ok()) else {
        sleep_for_ever();
    };
    loop {
        tell(NotifyState::Watchdog);
        // As often as the node of this repository: three chances.
        thread::sleep(Duration::from_micros(limit) / 3);
    }
}

/// Adds a line with the moment and the pid, in one write, to what others have written there.
fn write_down(started: Moment, record: &Path) -> io::Result<()> {
    let mut file = File::options().create(true).append(true).open(record)?;
    file.write_all(format!("{} {}\n", started.to_text(), std::process::id()).as_bytes())
}

/// What was written down: moments and pids, without a line that is not whole yet.
pub(crate) fn starts(text: &str) -> impl Iterator<Item = (Moment, i32)> {
    let whole = text.split_inclusive('\n').filter(|it| it.ends_with('\n'));
    whole.filter_map(|line| {
        let (moment, pid) = line.trim_end().split_once(' ')?;
        Some((Moment::from_text(moment)?, pid.parse().ok()?))
    })
}

fn serve(started: Moment, record: &Path, port: u16) -> io::Result<()> {
    write_down(started, record)?;
    let passed = ListenFd::from_env().take_tcp_listener(0)?;
    let listener = match passed {
        Some(listener) => listener,
        None => TcpListener::bind(("127.0.0.1", port))?,
    };
    // A passed socket does not block for the sake of event loops.
    listener.set_nonblocking(false)?;
    tell(NotifyState::Ready);
    loop {
        let (mut client, _) = listener.accept()?;
        // A client that went away is none of our business.
        let _ = client.write_all(started.to_text().as_bytes());
    }
}

fn flood(record: &Path, lines: u64) -> io::Result<()> {
    tell(NotifyState::Ready);
    let mut block = line::Block::new();
    while !signal_to_begin(record).exists() {
        thread::sleep(PAUSE);
    }
    std::fs::write(record, Moment::now().to_text())?;
    // Standard output as Rust has it would write up to the last newline first.
    let mut out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut first = 0;
    while first < lines {
        for piece in block.fill(first..lines).chunks(line::WRITE) {
            out.write_all(piece)?;
        }
        first += line::PER_BLOCK;
    }
    // A program that ends would be started again.
    sleep_for_ever()
}

fn sleep_for_ever() -> ! {
    loop {
        thread::park();
    }
}
