//! The Date field (RFC 9110, section 6.6.1), rendered once a second and thread.

use std::cell::RefCell;
use std::io::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use httpdate::HttpDate;

use crate::clock::{self, BootMillis};

/// `Sun, 06 Nov 1994 08:49:37 GMT`
const LENGTH: usize = 29;

/// The text of one second of the wall clock.
struct Rendered {
    text: [u8; LENGTH],
    /// The moment of the boot clock at which that second is over. A wall clock that is set
    /// meanwhile is followed a second later.
    until: BootMillis,
}

thread_local! {
    static RENDERED: RefCell<Rendered> = const {
        RefCell::new(Rendered { text: [b' '; LENGTH], until: BootMillis(0) })
    };
}

/// Appends the date at `now`.
pub(super) fn write(now: BootMillis, to: &mut Vec<u8>) {
    RENDERED.with_borrow_mut(|rendered| {
        if rendered.until <= now {
            render(rendered, now, clock::unix_now_ms());
        }
        to.extend_from_slice(&rendered.text);
    });
}

fn render(rendered: &mut Rendered, now: BootMillis, unix_ms: u64) {
    let date = HttpDate::from(UNIX_EPOCH + Duration::from_millis(unix_ms));
    write!(&mut rendered.text[..], "{date}").expect("every date has this length");
    rendered.until = now + Duration::from_millis(1000 - unix_ms % 1000);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_lasts_to_the_end_of_its_second() {
        let mut rendered = Rendered {
            text: [0; LENGTH],
            until: BootMillis(0),
        };
        render(&mut rendered, BootMillis(50_000), 784_111_777_250);
        assert_eq!(&rendered.text, b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(rendered.until, BootMillis(50_750));
    }

    #[test]
    fn the_present_is_written() {
        let (mut first, mut second) = (Vec::new(), b"x".to_vec());
        write(clock::boot_now(), &mut first);
        write(BootMillis(0), &mut second);
        assert_eq!(second[1..], first, "what is there is used");
        assert!(httpdate::parse_http_date(std::str::from_utf8(&first).expect("is text")).is_ok());
    }
}
