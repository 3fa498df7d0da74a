//! What a panic does to the process.

use std::panic;
use std::process;

/// Lets every panic end the process, once its message is out.
///
/// A panic ends only the task or the thread that it happens in, and others would go on, say
/// that all is well, and wait for what that task will never do. A process that ends is
/// noticed and started again.
pub(super) fn ends_the_process() {
    let message = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        message(info);
        process::abort();
    }));
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    /// Tells the test that it is the process that is to end.
    const VICTIM: &str = "REPRAM_TEST_PANICS";

    #[test]
    fn a_task_that_panics_takes_the_process_with_it() {
        if std::env::var_os(VICTIM).is_some() {
            ends_the_process();
            let runtime = crate::run::workers::runtime().expect("a runtime");
            let _ = runtime.block_on(async { tokio::spawn(async { panic!("on purpose") }).await });
            return;
        }
        let name = "run::panic::tests::a_task_that_panics_takes_the_process_with_it";
        // Without a core file.
        let ended = Command::new("sh")
            .args(["-c", "ulimit -c 0; exec \"$0\" --exact --nocapture \"$1\""])
            .arg(std::env::current_exe().expect("a path"))
            .arg(name)
            .env(VICTIM, "1")
            .output()
            .expect("a process");
        assert_eq!(ended.status.signal(), Some(6), "SIGABRT");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(said.contains("on purpose"), "{said}");
    }
}
