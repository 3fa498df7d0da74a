//! Finding a program.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nix::unistd::{AccessFlags, access};

use super::SpawnError;

/// The file that a program's name stands for, as execvp(3) would find it.
pub(super) fn find_program(name: &OsStr) -> Result<PathBuf, SpawnError> {
    if name.as_bytes().contains(&b'/') {
        return Ok(PathBuf::from(name));
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
    let is_executable = |file: &PathBuf| access(file, AccessFlags::X_OK).is_ok();
    let mut files = std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .filter(|file| file.is_file())
        .peekable();
    // When there are only files that cannot be executed, exec says why.
    let first = files.peek().cloned();
    files
        .find(is_executable)
        .or(first)
        .ok_or_else(|| SpawnError::NotFound {
            program: name.to_owned(),
        })
}
