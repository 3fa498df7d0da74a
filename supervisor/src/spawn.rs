//! Starting a process: the one module that needs `unsafe`.
//!
//! [`std::process::Command`] cannot put the child's own pid into the child's environment
//! (`LISTEN_PID`), so this is fork(2) and execve(2) by hand. Everything that allocates is
//! done before the fork: between fork and exec only async-signal-safe calls are made
//! (signal-safety(7)), because other threads of the supervisor may hold any lock.
//!
//! The child dies with the supervisor: `PR_SET_PDEATHSIG` fires when the *thread* that
//! forked ends, so [`Spawn::start`] must be called by the main thread; and because a
//! parent that is gone before the prctl leaves no signal, the child checks its parent
//! after it.
//!
//! Three more things that only `unsafe` can do live here, because they belong to the same
//! duty: what signals did when this program was executed, which the runtime of Rust has
//! changed by the time of `main`, sending a signal that is only a number, and reaping a child
//! together with what it used. A fourth one, giving back memory, lives here so that `unsafe`
//! has one place only.

#![expect(unsafe_code, reason = "fork and exec, see the module's documentation")]

mod footprint;
mod search;
mod signals;
mod wait;

use std::ffi::{CStr, CString, OsStr, OsString};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;

use nix::fcntl::OFlag;
use nix::sys::signal::SigSet;
use nix::unistd::{Pid, pipe2};

pub use footprint::give_back_memory;
use search::find_program;
use signals::ChildSignals;
pub use signals::signal_group;
pub use wait::{Change, Changes, next_change};

/// Descriptors that a process can be given beyond the standard three.
const DESCRIPTORS_MAX: usize = 60;

/// A process to be started, as its own process group.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// Program and arguments; the program is looked up in PATH when it has no slash.
    pub arguments: &'a [OsString],
    /// Its whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Variables that get the child's own pid as their value.
    pub pid_variables: &'a [&'a str],
    /// Descriptors and signals.
    pub surroundings: Surroundings<'a>,
}

/// What a process finds when it begins, beside its environment.
#[derive(Debug)]
pub enum Surroundings<'a> {
    /// Only what is named here: no other descriptor, no signal blocked, and SIGPIPE with
    /// its default effect.
    Own(Own<'a>),
    /// What this process itself was given: its descriptors, and signals as they were.
    Inherited(Inherited<'a>),
}

/// The descriptors of a process that gets nothing but what is named.
#[derive(Debug)]
pub struct Own<'a> {
    /// What becomes descriptor 3, 4, ... in the child, at most 60.
    pub descriptors: Vec<BorrowedFd<'a>>,
    /// What becomes its standard input.
    pub stdin: BorrowedFd<'a>,
    /// What becomes its standard output and standard error.
    pub output: BorrowedFd<'a>,
    /// Value for its `/proc/self/oom_score_adj`, -1000 to 1000.
    pub oom_score_adj: i16,
}

/// What a process that stands in our place cannot take over by itself.
#[derive(Debug)]
pub struct Inherited<'a> {
    /// The signals that were blocked when this process was executed. Which ones were
    /// ignored is known here.
    pub blocked: &'a SigSet,
    /// A terminal whose foreground process group the child's is to become.
    pub terminal: Option<BorrowedFd<'a>>,
}

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// No such program in PATH.
    #[error("{program:?} is not a program in PATH")]
    NotFound {
        /// As it was written.
        program: OsString,
    },
    /// An argument or a variable holds a zero byte.
    #[error("{text:?} holds a zero byte")]
    ZeroByte {
        /// The text.
        text: OsString,
    },
    /// The system has no more processes or descriptors.
    #[error("the system refused a new process")]
    Fork(#[source] io::Error),
    /// The new process could not be set up, or the program not be executed.
    #[error("{what} failed for {program:?}")]
    Child {
        /// The step.
        what: &'static str,
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl SpawnError {
    /// The exit code by which a shell says so: 127 when there is no such program, 126 when
    /// there is one that cannot be executed; none when it is not the program's fault.
    #[must_use]
    pub fn shell_code(&self) -> Option<u8> {
        match self {
            Self::NotFound { .. } => Some(127),
            Self::ZeroByte { .. } | Self::Fork(_) => None,
            Self::Child { what, source, .. } => match source.kind() {
                _ if *what != STEPS[EXEC] => None,
                io::ErrorKind::NotFound => Some(127),
                _ => Some(126),
            },
        }
    }
}

/// The steps of the child that can fail, in the order of their numbers on the pipe.
const STEPS: [&str; 5] = ["setpgid", "prctl", "the check of the parent", "dup", "exec"];

/// The number of the last step.
const EXEC: usize = 4;

impl Spawn<'_> {
    /// Starts the process. Must be called by the main thread.
    ///
    /// # Errors
    /// [`SpawnError`]; no process is left behind then.
    pub fn start(&self) -> Result<Pid, SpawnError> {
        let program = find_program(&self.arguments[0])?;
        let image = Image::build(self, &program)?;
        let (mut report, report_write) = error_pipe().map_err(SpawnError::Fork)?;
        let plan = Plan::new(&self.surroundings, report_write.as_raw_fd());
        // SAFETY: the child runs `run_child` only, which is async-signal-safe and never
        // returns; what it uses was allocated above and is not changed by the parent.
        let pid = match unsafe { libc::fork() } {
            -1 => return Err(SpawnError::Fork(io::Error::last_os_error())),
            0 => unsafe { run_child(image, &plan) },
            pid => Pid::from_raw(pid),
        };
        drop(report_write);
        // Both sides do it, so that the group exists before either goes on.
        let _ = nix::unistd::setpgid(pid, pid);
        let mut failure = [0; 5];
        match report.read_exact(&mut failure) {
            // The pipe was closed by a successful exec.
            Err(_) => Ok(pid),
            Ok(()) => {
                let _ = nix::sys::wait::waitpid(pid, None);
                let step = usize::from(failure[0]).min(STEPS.len() - 1);
                let errno = i32::from_ne_bytes([failure[1], failure[2], failure[3], failure[4]]);
                let source = io::Error::from_raw_os_error(errno);
                Err(SpawnError::Child {
                    what: STEPS[step],
                    program,
                    source,
                })
            }
        }
    }
}

/// The pipe by which the child tells what failed.
fn error_pipe() -> io::Result<(std::fs::File, OwnedFd)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    Ok((std::fs::File::from(read), write))
}

/// What execve needs, allocated before the fork.
struct Image {
    program: CString,
    /// Not read: `argv` points into it.
    _arguments: Vec<CString>,
    /// `NAME=value` with a zero byte at the end, as owned bytes: the pid is written into
    /// some of them by the child.
    environment: Vec<Vec<u8>>,
    /// Of which variable, and where in it, the pid is written.
    pid_slots: Vec<(usize, usize)>,
    /// Empty when it stays as it is.
    oom_score_adj: Vec<u8>,
    argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
}

/// Room for the digits of a pid: 2^22 is the kernel's limit.
const PID_DIGITS: usize = 10;

impl Image {
    fn build(spawn: &Spawn<'_>, program: &Path) -> Result<Self, SpawnError> {
        let arguments: Vec<CString> = spawn
            .arguments
            .iter()
            .map(|text| c_string(text))
            .collect::<Result<_, _>>()?;
        let mut environment = Vec::new();
        for (name, value) in &spawn.environment {
            let mut entry = name.clone();
            entry.push("=");
            entry.push(value);
            environment.push(c_string(&entry)?.into_bytes_with_nul());
        }
        let mut pid_slots = Vec::new();
        for name in spawn.pid_variables {
            pid_slots.push((environment.len(), name.len() + 1));
            let mut entry = format!("{name}=").into_bytes();
            entry.resize(entry.len() + PID_DIGITS + 1, 0);
            environment.push(entry);
        }
        let with_end = |pointers: &mut dyn Iterator<Item = *const libc::c_char>| {
            pointers.chain([ptr::null()]).collect::<Vec<_>>()
        };
        Ok(Self {
            program: c_string(program.as_os_str())?,
            oom_score_adj: match &spawn.surroundings {
                Surroundings::Own(own) => own.oom_score_adj.to_string().into_bytes(),
                Surroundings::Inherited(_) => Vec::new(),
            },
            argv: with_end(&mut arguments.iter().map(|text| text.as_ptr())),
            envp: with_end(&mut environment.iter().map(|entry| entry.as_ptr().cast())),
            _arguments: arguments,
            environment,
            pid_slots,
        })
    }

    /// Writes the pid into the variables that want it. Allocates nothing.
    fn write_pid(&mut self, pid: u32) {
        let mut digits = [0; PID_DIGITS];
        let (mut rest, mut start) = (pid, PID_DIGITS);
        while start == PID_DIGITS || rest > 0 {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        for &(entry, at) in &self.pid_slots {
            let text = &digits[start..];
            self.environment[entry][at..at + text.len()].copy_from_slice(text);
        }
    }
}

/// What the child does between fork and exec.
struct Plan {
    parent: Pid,
    /// What becomes descriptor 0, 1, ..., and all others are closed by exec; when there is
    /// nothing, they stay as they are.
    descriptors: Vec<RawFd>,
    terminal: Option<RawFd>,
    signals: ChildSignals,
    report: RawFd,
}

impl Plan {
    fn new(surroundings: &Surroundings<'_>, report: RawFd) -> Self {
        let parent = Pid::this();
        match surroundings {
            Surroundings::Own(own) => {
                assert!(
                    own.descriptors.len() <= DESCRIPTORS_MAX,
                    "no node is given so many"
                );
                let standard = [own.stdin, own.output, own.output];
                let all = standard.iter().chain(&own.descriptors);
                Self {
                    parent,
                    descriptors: all.map(AsRawFd::as_raw_fd).collect(),
                    terminal: None,
                    signals: ChildSignals::usual(),
                    report,
                }
            }
            Surroundings::Inherited(inherited) => Self {
                parent,
                descriptors: Vec::new(),
                terminal: inherited.terminal.map(|fd| fd.as_raw_fd()),
                signals: ChildSignals::inherited(inherited.blocked),
                report,
            },
        }
    }

    /// Where descriptors are moved first, so that none is overwritten while they are laid
    /// out: behind all of them and all of their places, and no further, for the limit of
    /// descriptors may be low.
    fn parking(&self) -> RawFd {
        let places = self.descriptors.len() as RawFd;
        let given = self.descriptors.iter().chain([&self.report]);
        given.fold(
            places,
            |highest, &fd| if fd < highest { highest } else { fd + 1 },
        )
    }
}

/// The child's way from fork to exec.
///
/// # Safety
/// Only to be called in a fresh child. Makes async-signal-safe calls only.
unsafe fn run_child(mut image: Image, plan: &Plan) -> ! {
    // SAFETY: plain system calls on values that outlive them; the vectors behind `argv`
    // and `envp` are owned by `image`, end with a null pointer and hold C strings.
    unsafe {
        let parking = plan.parking();
        let report = libc::fcntl(plan.report, libc::F_DUPFD_CLOEXEC, parking);
        if report == -1 {
            fail(plan.report, 3);
        }
        if libc::setpgid(0, 0) == -1 {
            fail(report, 0);
        }
        if let Some(terminal) = plan.terminal {
            // Before exec, so that the program never finds itself in the background. The
            // terminal may have gone away meanwhile, which is for the program to see.
            libc::tcsetpgrp(terminal, libc::getpid());
        }
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == -1 {
            fail(report, 1);
        }
        if libc::getppid() != plan.parent.as_raw() {
            fail(report, 2);
        }
        if !plan.descriptors.is_empty() && !lay_out(plan, parking) {
            fail(report, 3);
        }
        if !image.oom_score_adj.is_empty() {
            write_file(c"/proc/self/oom_score_adj", &image.oom_score_adj);
        }
        plan.signals.set();
        image.write_pid(libc::getpid().cast_unsigned());
        libc::execve(
            image.program.as_ptr(),
            image.argv.as_ptr(),
            image.envp.as_ptr(),
        );
        fail(report, EXEC as u8)
    }
}

/// Tells the parent which step failed and why, and ends.
unsafe fn fail(report: RawFd, step: u8) -> ! {
    // SAFETY: errno is this thread's; the buffer lives on this stack.
    unsafe {
        let [a, b, c, d] = (*libc::__errno_location()).to_ne_bytes();
        let message = [step, a, b, c, d];
        libc::write(report, message.as_ptr().cast(), message.len());
        libc::_exit(127)
    }
}

/// Moves every descriptor to its place, and marks all others to be closed by exec.
unsafe fn lay_out(plan: &Plan, parking: RawFd) -> bool {
    // SAFETY: system calls on numbers.
    unsafe {
        let count = plan.descriptors.len();
        let mut parked = [-1; 3 + DESCRIPTORS_MAX];
        for (place, &fd) in parked.iter_mut().zip(&plan.descriptors) {
            *place = libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, parking);
            if *place == -1 {
                return false;
            }
        }
        let mut target = 0;
        for &fd in &parked[..count] {
            if libc::dup2(fd, target) == -1 {
                return false;
            }
            target += 1;
        }
        close_from(target);
        true
    }
}

/// Marks all descriptors from `first` on to be closed by exec. Ours are so anyway; this is
/// for those that the supervisor itself inherited.
unsafe fn close_from(first: RawFd) {
    // SAFETY: system calls on numbers.
    unsafe {
        let flag = libc::CLOSE_RANGE_CLOEXEC.cast_signed();
        if libc::close_range(first.cast_unsigned(), libc::c_uint::MAX, flag) == 0 {
            return;
        }
        // Before Linux 5.11, or where a seccomp filter does not know the call.
        for fd in first..1024 {
            let flags = libc::fcntl(fd, libc::F_GETFD);
            if flags != -1 {
                libc::fcntl(fd, libc::F_SETFD, flags | libc::FD_CLOEXEC);
            }
        }
    }
}

/// Writes a small file, if that is possible.
unsafe fn write_file(path: &CStr, bytes: &[u8]) {
    // SAFETY: path ends with a zero byte, bytes are as long as they say.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if fd != -1 {
            libc::write(fd, bytes.as_ptr().cast(), bytes.len());
            libc::close(fd);
        }
    }
}

fn c_string(text: &OsStr) -> Result<CString, SpawnError> {
    CString::new(text.as_bytes()).map_err(|_| SpawnError::ZeroByte {
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use nix::sys::wait::{WaitStatus, waitpid};

    use super::*;

    struct Outcome {
        pid: Pid,
        output: String,
        status: WaitStatus,
    }

    fn run(script: &str, descriptors: &[BorrowedFd<'_>]) -> Outcome {
        let null = File::open("/dev/null").expect("/dev/null opens");
        let (read, write) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        let arguments = ["sh", "-c", script].map(OsString::from);
        let spawn = Spawn {
            arguments: &arguments,
            environment: vec![("A".into(), "b c".into())],
            pid_variables: &["LISTEN_PID"],
            surroundings: Surroundings::Own(Own {
                descriptors: descriptors.to_vec(),
                stdin: null.as_fd(),
                output: write.as_fd(),
                oom_score_adj: 500,
            }),
        };
        let pid = spawn.start().expect("sh starts");
        drop(write);
        let mut output = String::new();
        File::from(read)
            .read_to_string(&mut output)
            .expect("the output is text");
        Outcome {
            pid,
            output,
            status: waitpid(pid, None).expect("it is our child"),
        }
    }

    #[test]
    fn the_child_gets_its_pid_its_environment_and_its_own_group() {
        let out = run(
            "echo $$ $LISTEN_PID \"$A\" $(cut -d' ' -f5 /proc/self/stat)",
            &[],
        );
        let pid = out.pid;
        assert_eq!(out.output, format!("{pid} {pid} b c {pid}\n"));
        assert_eq!(out.status, WaitStatus::Exited(pid, 0));
    }

    #[test]
    fn descriptors_are_laid_out_from_three_on_and_no_other_is_left() {
        let a = File::open("/dev/zero").expect("opens");
        let b = File::open("/dev/full").expect("opens");
        // Without a pipe in it, for the shell would have descriptors of its own then.
        let script = "for n in 0 3 4 5 6 7 8 9; do readlink /proc/$$/fd/$n; done; true";
        let out = run(script, &[a.as_fd(), b.as_fd()]);
        assert_eq!(out.output, "/dev/null\n/dev/zero\n/dev/full\n");
    }

    #[test]
    fn out_of_memory_takes_the_child_first() {
        assert_eq!(run("cat /proc/self/oom_score_adj", &[]).output, "500\n");
    }

    #[test]
    fn what_cannot_be_executed_is_said() {
        let null = File::open("/dev/null").expect("/dev/null opens");
        let check = |program: &str, expect: &str| {
            let spawn = Spawn {
                arguments: &[program.into()],
                environment: Vec::new(),
                pid_variables: &[],
                surroundings: Surroundings::Own(Own {
                    descriptors: Vec::new(),
                    stdin: null.as_fd(),
                    output: null.as_fd(),
                    oom_score_adj: 0,
                }),
            };
            assert_eq!(spawn.start().expect_err("cannot start").to_string(), expect);
        };
        check(
            "no-such-program",
            "\"no-such-program\" is not a program in PATH",
        );
        check("/dev/null", "exec failed for \"/dev/null\"");
        check("/no/such", "exec failed for \"/no/such\"");
        check("a\0b", "\"a\\0b\" is not a program in PATH");
    }
}
