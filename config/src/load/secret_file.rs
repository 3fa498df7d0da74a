//! The secret that stands in a file of its own.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::declaration::declaration;
use crate::environment::Environment;
use crate::origin::{Origin, Origins};
use crate::problem::{Place, Problem, quoted};
use crate::settings::Draft;
use crate::value::{SECRET_BYTES_MAX, Secret};

const KEY: &str = "cluster_secret_file";

/// Line ends behind a secret that editors and `echo` leave there.
const LINE_ENDS_MAX: usize = 16;

/// Fills in the secret where only its file is set.
///
/// A node whose supervisor tells it the secret does not look: the file may be
/// gone by the time of a restart, and its content may have changed.
pub(super) fn read(
    environment: &Environment,
    draft: &mut Draft,
    origins: &mut Origins,
) -> Option<Problem> {
    let (Some(Some(path)), Some(None)) = (&draft.cluster_secret_file, &draft.cluster_secret) else {
        return None;
    };
    if environment.is_supervised_node() {
        return None;
    }
    let path = path.clone();
    let place = Place::new(declaration(KEY)?, origins.get(KEY).clone());
    let allowed = format!("a readable file with a secret of 1 to {SECRET_BYTES_MAX} bytes");
    match read_bytes(&path) {
        Ok(bytes) => {
            let length = bytes.len();
            if let Some(secret) = Secret::new(bytes) {
                draft.cluster_secret = Some(Some(secret));
                origins.insert("cluster_secret", Origin::Contents(path));
                return None;
            }
            let path = quoted(&path.display().to_string());
            let size = if length == 0 {
                "nothing"
            } else {
                "more than that"
            };
            Some(Problem::Value {
                place,
                found: format!("{path}, which holds {size}"),
                allowed,
            })
        }
        Err(source) => Some(Problem::Unreadable {
            place,
            path,
            allowed,
            source,
        }),
    }
}

/// The file without the line ends at its end.
fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let bound = SECRET_BYTES_MAX + LINE_ENDS_MAX;
    File::open(path)?
        .take(bound as u64)
        .read_to_end(&mut bytes)?;
    while bytes
        .last()
        .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
    {
        bytes.pop();
    }
    Ok(bytes)
}
