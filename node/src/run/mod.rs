//! Start-up, worker runtimes, stop.
