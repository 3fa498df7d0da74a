//! `supervisor exec`: an init for any one command.
//!
//! The command is our direct child in a process group of its own. What it finds is what it
//! would find without us: descriptors, environment, the signals that are blocked and those
//! that are ignored (such as SIGHUP under nohup(1), or SIGPIPE under systemd). Only
//! `LISTEN_PID` and `WATCHDOG_PID` change: where they name us, they name the child.
//!
//! Everything happens in one thread that waits for one thing, the next signal: all of them
//! are blocked and read from a descriptor (signalfd(2)), so none is lost, and no handler runs
//! between two lines. The kernel tells by SIGCHLD that a child ended or stopped.
//!
//! After the command, and only then, everything that it left behind is ended; so long a
//! signal is the command's own business.

mod ending;
mod foreground;
mod inbox;
mod keeper;
mod start;

pub use start::exec;
