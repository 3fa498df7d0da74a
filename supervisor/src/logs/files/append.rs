//! Appends whole lines, also when the disk takes only a part of them.

use std::io;

use super::sink::Sink;

/// How much of the bytes given to [`append`] is in the file.
#[derive(Debug)]
pub(crate) struct Appended {
    /// Bytes of whole lines that are in the file.
    pub(crate) whole: usize,
    /// Why that is not all.
    pub(crate) error: Option<io::Error>,
}

/// Appends `lines`, of which every one ends with a newline. When the disk takes only a part,
/// the piece of a line at its end is taken back; where it cannot be, the file ends within a
/// line, which is found out when it is opened again.
pub(crate) fn append<S: Sink>(sink: &mut S, lines: &[u8]) -> Appended {
    let mut written = 0;
    let error = loop {
        match sink.write(&lines[written..]) {
            Ok(0) => break io::ErrorKind::WriteZero.into(),
            Ok(count) => {
                written += count;
                if written == lines.len() {
                    return Appended {
                        whole: written,
                        error: None,
                    };
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break error,
        }
    };
    let whole = memchr::memrchr(b'\n', &lines[..written]).map_or(0, |at| at + 1);
    if whole < written {
        let _ = take_back(sink, (written - whole) as u64);
    }
    Appended {
        whole,
        error: Some(error),
    }
}

/// Removes the last `piece` bytes. The length is asked for, because others may have cut the
/// file meanwhile.
fn take_back<S: Sink>(sink: &mut S, piece: u64) -> io::Result<()> {
    let len = sink.len()?;
    sink.truncate(len.saturating_sub(piece))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use super::super::sink::Place;
    use super::*;
    use crate::logs::stamp::Stamp;

    /// A disk with `room` bytes that takes at most `step` at once and may refuse to cut.
    #[derive(Debug, Default)]
    pub(crate) struct SmallDisk {
        pub(crate) content: Vec<u8>,
        pub(crate) room: usize,
        pub(crate) step: usize,
        pub(crate) cuts: bool,
    }

    impl Sink for SmallDisk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes
                .len()
                .min(self.room - self.content.len())
                .min(self.step);
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.content.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn len(&self) -> io::Result<u64> {
            Ok(self.content.len() as u64)
        }

        fn ends_within_line(&self) -> io::Result<bool> {
            Ok(self.content.last().is_some_and(|last| *last != b'\n'))
        }

        fn first_stamp(&self) -> io::Result<Option<Stamp>> {
            Ok(Stamp::parse(&self.content))
        }

        fn truncate(&mut self, len: u64) -> io::Result<()> {
            if !self.cuts {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            self.content.truncate(len as usize);
            Ok(())
        }

        fn place(&self, _path: &Path) -> Place {
            Place::Here
        }
    }

    #[test]
    fn whole_lines_or_nothing() {
        let check = |room, step, cuts, whole, content: &str| {
            let mut disk = SmallDisk {
                content: Vec::new(),
                room,
                step,
                cuts,
            };
            let appended = append(&mut disk, b"one\ntwo\nthree\n");
            assert_eq!(appended.whole, whole, "room {room}");
            assert_eq!(appended.error.is_some(), whole < 14);
            assert_eq!(String::from_utf8_lossy(&disk.content), content);
        };
        check(100, 100, true, 14, "one\ntwo\nthree\n");
        check(100, 1, true, 14, "one\ntwo\nthree\n");
        check(0, 100, true, 0, "");
        check(3, 100, true, 0, "");
        check(4, 100, true, 4, "one\n");
        check(9, 2, true, 8, "one\ntwo\n");
        check(9, 2, false, 8, "one\ntwo\nt");
    }
}
