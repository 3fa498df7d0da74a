//! Telling whoever started this process how it does, as sd_notify(3) describes it.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The variable that names the socket.
pub const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// Sends `message`, lines of `NAME=value`, to the socket that NOTIFY_SOCKET names: a path,
/// or behind an `@` a name in the abstract namespace. Without the variable nobody listens
/// and nothing is sent.
///
/// # Errors
/// When the socket cannot be reached. Nothing but somebody's view of this process depends
/// on it.
pub fn notify(message: &str) -> io::Result<()> {
    match std::env::var_os(NOTIFY_SOCKET).filter(|name| !name.is_empty()) {
        Some(name) => send(&name, message),
        None => Ok(()),
    }
}

fn send(name: &OsStr, message: &str) -> io::Result<()> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.send(message.as_bytes()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(listener: &UnixDatagram, name: &str) {
        send(OsStr::new(name), "READY=1\nSTATUS=up").expect("somebody listens");
        let mut buffer = [0; 64];
        let length = listener.recv(&mut buffer).expect("a message");
        assert_eq!(&buffer[..length], b"READY=1\nSTATUS=up");
    }

    #[test]
    fn a_path_and_an_abstract_name_are_both_reached() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify.sock");
        let listener = UnixDatagram::bind(&path).expect("binds");
        check(&listener, path.to_str().expect("it is text"));

        let name = format!("repram-test/{}", uuid::Uuid::new_v4());
        let address = SocketAddr::from_abstract_name(&name).expect("a good name");
        let listener = UnixDatagram::bind_addr(&address).expect("binds");
        check(&listener, &format!("@{name}"));
    }

    #[test]
    fn nobody_there_is_an_error_for_the_caller_to_pass_over() {
        send(OsStr::new("/no/such/socket"), "READY=1").expect_err("nobody is there");
        send(OsStr::new("@repram-test/nobody"), "READY=1").expect_err("nobody is there");
    }
}
