//! Starting a process: the one module that needs `unsafe`.
//!
//! [`std::process::Command`] cannot put the child's own pid into the child's environment
//! (`LISTEN_PID`), so this is clone(2) and execve(2) by hand, in the way of the C library's
//! posix_spawn(3): until exec the child runs in our memory, on a stack of its own, and the
//! thread that started it waits (`CLONE_VM | CLONE_VFORK`). No memory is copied, and how it
//! went is known when the call returns. Meanwhile our other threads go on and may hold any
//! lock, so everything that allocates is done before, and the child makes async-signal-safe
//! calls only (signal-safety(7)); and no handler of ours may run in it, so signals are
//! blocked until none of them has a handler in it.
//!
//! The child dies with the supervisor: `PR_SET_PDEATHSIG` fires when the *thread* that
//! started it ends, so [`Spawn::start`] must be called by the main thread; and because a
//! parent that is gone before the prctl leaves no signal, the child checks its parent
//! after it.
//!
//! Three more things that only `unsafe` can do live here, because they belong to the same
//! duty: what signals did when this program was executed, which the runtime of Rust has
//! changed by the time of `main`, sending a signal that is only a number, and reaping a child
//! together with what it used. A fourth one, giving back memory, lives here so that `unsafe`
//! has one place only.

#![expect(unsafe_code, reason = "clone and exec, see the module's documentation")]

mod footprint;
mod search;
mod signals;
mod wait;

use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;

use nix::errno::Errno;
use nix::sched::{CloneFlags, clone};
use nix::sys::signal::SigSet;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use repram_discovery::descriptors::DescriptorLimit;

pub use footprint::give_back_memory;
use search::find_program;
use signals::ChildSignals;
pub use signals::signal_group;
pub use wait::{Change, Changes, next_change};

use crate::signals::HeldSignals;

/// Descriptors that a process can be given beyond the standard three.
const DESCRIPTORS_MAX: usize = 60;

/// A process to be started, as its own process group.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// Program and arguments; the program is looked up in PATH when it has no slash.
    pub arguments: &'a [OsString],
    /// Its whole environment, names and values.
    pub environment: Vec<(&'a OsStr, &'a OsStr)>,
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
    /// Its soft limit on descriptors, if that can be set; none when it is the same as here.
    pub descriptor_limit: Option<u64>,
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
                _ if *what != EXEC => None,
                io::ErrorKind::NotFound => Some(127),
                _ => Some(126),
            },
        }
    }
}

/// What the child could not do, and what the system said.
struct Failure {
    step: &'static str,
    errno: Errno,
}

/// The last step of the child.
const EXEC: &str = "exec";

/// The stack of the child until exec: it calls a few functions of the C library, of which none
/// needs more than a page.
const STACK_BYTES: usize = 32 << 10;

impl Spawn<'_> {
    /// Starts the process, and waits until its program is executed. Must be called by the
    /// main thread.
    ///
    /// # Errors
    /// [`SpawnError`]; no process is left behind then.
    pub fn start(&self) -> Result<Pid, SpawnError> {
        let program = find_program(&self.arguments[0])?;
        let mut image = Image::build(self, &program)?;
        let plan = Plan::new(&self.surroundings);
        let mut stack = vec![0; STACK_BYTES];
        let mut failure = None;
        let _held = HeldSignals::hold();
        let child = Box::new(|| {
            // SAFETY: this is the fresh child, in which all signals are blocked.
            failure = Some(unsafe { run_child(&mut image, &plan) });
            127
        });
        let flags = CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK;
        // SAFETY: the child runs `run_child` only, which is async-signal-safe; this thread
        // waits until it has ended or executed its program, so that nothing it uses is
        // changed or let go of before.
        let pid = unsafe { clone(child, &mut stack, flags, Some(libc::SIGCHLD)) };
        let pid = pid.map_err(|errno| SpawnError::Fork(errno.into()))?;
        // The child did it, too. Where an emulator makes a fork of this, it may not have come so
        // far.
        let _ = nix::unistd::setpgid(pid, pid);
        let Some(Failure { step, errno }) = failure else {
            return Ok(pid);
        };
        // Nothing interrupts this.
        let _ = waitpid(pid, None);
        Err(SpawnError::Child {
            what: step,
            program,
            source: errno.into(),
        })
    }
}

/// What execve needs, allocated before the clone.
struct Image {
    program: CString,
    /// Not read: `argv` points into it.
    _arguments: Vec<CString>,
    /// `NAME=value` with a zero byte at the end, one after the other: `envp` points into it.
    environment: Vec<u8>,
    /// Where the child writes its pid into it.
    pid_slots: Vec<usize>,
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
        let mut starts = Vec::new();
        for (name, value) in &spawn.environment {
            let start = environment.len();
            for part in [name.as_bytes(), b"=", value.as_bytes()] {
                environment.extend_from_slice(part);
            }
            let entry = &environment[start..];
            if entry.contains(&0) {
                let text = OsStr::from_bytes(entry).to_owned();
                return Err(SpawnError::ZeroByte { text });
            }
            environment.push(0);
            starts.push(start);
        }
        let mut pid_slots = Vec::new();
        for name in spawn.pid_variables {
            starts.push(environment.len());
            environment.extend_from_slice(format!("{name}=").as_bytes());
            pid_slots.push(environment.len());
            environment.resize(environment.len() + PID_DIGITS + 1, 0);
        }
        let entries = starts.iter().map(|&start| environment[start..].as_ptr());
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
            envp: with_end(&mut entries.map(<*const u8>::cast)),
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
        for &at in &self.pid_slots {
            let text = &digits[start..];
            self.environment[at..at + text.len()].copy_from_slice(text);
        }
    }
}

/// What the child does between clone and exec.
struct Plan {
    parent: Pid,
    /// What becomes descriptor 0, 1, ..., and all others are closed by exec; when there is
    /// nothing, they stay as they are.
    descriptors: Vec<RawFd>,
    descriptor_limit: Option<libc::rlimit>,
    terminal: Option<RawFd>,
    signals: ChildSignals,
}

impl Plan {
    fn new(surroundings: &Surroundings<'_>) -> Self {
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
                    descriptor_limit: own.descriptor_limit.and_then(soft_limit),
                    terminal: None,
                    signals: ChildSignals::usual(),
                }
            }
            Surroundings::Inherited(inherited) => Self {
                parent,
                descriptors: Vec::new(),
                descriptor_limit: None,
                terminal: inherited.terminal.map(|fd| fd.as_raw_fd()),
                signals: ChildSignals::inherited(inherited.blocked),
            },
        }
    }

    /// Where descriptors are moved first, so that none is overwritten while they are laid
    /// out: behind all of them and all of their places, and no further, for the limit of
    /// descriptors may be low.
    fn parking(&self) -> RawFd {
        let places = self.descriptors.len() as RawFd;
        self.descriptors.iter().fold(
            places,
            |highest, &fd| if fd < highest { highest } else { fd + 1 },
        )
    }
}

/// The limits on descriptors with another soft one, and the hard one as it is at this moment.
fn soft_limit(soft: u64) -> Option<libc::rlimit> {
    let hard = DescriptorLimit::of_this_process().ok()?.hard;
    Some(libc::rlimit {
        rlim_cur: soft.min(hard),
        rlim_max: hard,
    })
}

/// The child's way from clone to exec; returns only when it came to no good.
///
/// # Safety
/// Only to be called in a fresh child with all signals blocked. Makes async-signal-safe calls
/// only.
unsafe fn run_child(image: &mut Image, plan: &Plan) -> Failure {
    let failed = |step| Failure {
        step,
        errno: Errno::last(),
    };
    // SAFETY: plain system calls on values that outlive them; the vectors behind `argv`
    // and `envp` are owned by `image`, end with a null pointer and hold C strings.
    unsafe {
        if libc::setpgid(0, 0) == -1 {
            return failed("setpgid");
        }
        if let Some(terminal) = plan.terminal {
            // Before exec, so that the program never finds itself in the background. The
            // terminal may have gone away meanwhile, which is for the program to see.
            libc::tcsetpgrp(terminal, libc::getpid());
        }
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == -1 {
            return failed("prctl");
        }
        if libc::getppid() != plan.parent.as_raw() {
            return failed("the check of the parent");
        }
        if !plan.descriptors.is_empty() && !lay_out(plan) {
            return failed("dup");
        }
        if !image.oom_score_adj.is_empty() {
            write_file(c"/proc/self/oom_score_adj", &image.oom_score_adj);
        }
        if let Some(limit) = &plan.descriptor_limit {
            // Last: until exec the child has as many as we have, which may be more than this, and
            // could open nothing any more. A program with a higher limit is better than none.
            libc::prlimit(0, libc::RLIMIT_NOFILE, limit, ptr::null_mut());
        }
        plan.signals.set();
        image.write_pid(libc::getpid().cast_unsigned());
        libc::execve(
            image.program.as_ptr(),
            image.argv.as_ptr(),
            image.envp.as_ptr(),
        );
    }
    failed(EXEC)
}

/// Moves every descriptor to its place, and marks all others to be closed by exec.
unsafe fn lay_out(plan: &Plan) -> bool {
    // SAFETY: system calls on numbers.
    unsafe {
        let (count, parking) = (plan.descriptors.len(), plan.parking());
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
    use std::fs::{File, read_to_string};
    use std::io::Read;
    use std::os::fd::AsFd;

    use nix::fcntl::OFlag;
    use nix::sys::wait::WaitStatus;
    use nix::unistd::pipe2;

    use super::*;

    struct Outcome {
        pid: Pid,
        output: String,
        status: WaitStatus,
    }

    fn run(script: &str, descriptors: &[BorrowedFd<'_>]) -> Outcome {
        run_limited(script, descriptors, None)
    }

    fn run_limited(
        script: &str,
        descriptors: &[BorrowedFd<'_>],
        descriptor_limit: Option<u64>,
    ) -> Outcome {
        let null = File::open("/dev/null").expect("/dev/null opens");
        let (read, write) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        let arguments = ["sh", "-c", script].map(OsString::from);
        let spawn = Spawn {
            arguments: &arguments,
            environment: vec![("A".as_ref(), "b c".as_ref())],
            pid_variables: &["LISTEN_PID"],
            surroundings: Surroundings::Own(Own {
                descriptors: descriptors.to_vec(),
                stdin: null.as_fd(),
                output: write.as_fd(),
                oom_score_adj: 500,
                descriptor_limit,
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
        let ours = || read_to_string("/proc/self/oom_score_adj").expect("it is there");
        let before = ours();
        assert_eq!(run("cat /proc/self/oom_score_adj", &[]).output, "500\n");
        // Though the child was in our memory when it wrote that.
        assert_eq!(ours(), before);
    }

    #[test]
    fn the_child_has_its_own_soft_limit_and_all_else_is_done_before() {
        let ours = || DescriptorLimit::of_this_process().expect("every process has it");
        let before = ours();
        // Below the lowest number that is free here, so that nothing can be opened under it.
        let low: Vec<File> = (0..32)
            .map(|_| File::open("/dev/null").expect("/dev/null opens"))
            .collect();
        let script = "ulimit -Sn; ulimit -Hn; read score < /proc/$$/oom_score_adj; echo $score";
        let out = run_limited(script, &[], Some(low.len() as u64));
        assert_eq!(out.output, format!("32\n{}\n500\n", before.hard));
        assert_eq!(ours(), before);
        let hard = before.hard;
        let out = run_limited("ulimit -Sn", &[], Some(u64::MAX));
        assert_eq!(
            out.output,
            format!("{hard}\n"),
            "no higher than the hard one"
        );
    }

    #[test]
    fn no_signal_is_blocked_in_the_child_nor_longer_than_before_here() {
        let blocked = |status: &str| {
            let mut lines = status.lines();
            let line = lines.find(|line| line.starts_with("SigBlk:"));
            line.expect("Linux tells it").to_owned()
        };
        let ours = || read_to_string("/proc/thread-self/status").expect("it is there");
        let before = blocked(&ours());
        let theirs = run("exec cat /proc/self/status", &[]).output;
        assert_eq!(blocked(&ours()), before);
        assert_eq!(blocked(&theirs), "SigBlk:\t0000000000000000");
    }

    #[test]
    fn what_cannot_be_executed_is_said() {
        let null = File::open("/dev/null").expect("/dev/null opens");
        let check_with = |program: &str, value: &str, expect: &str| {
            let spawn = Spawn {
                arguments: &[program.into()],
                environment: vec![("A".as_ref(), value.as_ref())],
                pid_variables: &[],
                surroundings: Surroundings::Own(Own {
                    descriptors: Vec::new(),
                    stdin: null.as_fd(),
                    output: null.as_fd(),
                    oom_score_adj: 0,
                    descriptor_limit: None,
                }),
            };
            assert_eq!(spawn.start().expect_err("cannot start").to_string(), expect);
        };
        let check = |program: &str, expect: &str| check_with(program, "", expect);
        check(
            "no-such-program",
            "\"no-such-program\" is not a program in PATH",
        );
        check("/dev/null", "exec failed for \"/dev/null\"");
        check("/no/such", "exec failed for \"/no/such\"");
        check("a\0b", "\"a\\0b\" is not a program in PATH");
        check_with("sh", "b\0", "\"A=b\\0\" holds a zero byte");
    }
}
