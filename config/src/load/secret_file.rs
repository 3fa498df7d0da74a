//! Secrets that stand in files of their own.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::declaration::declaration;
use crate::environment::{Environment, Role};
use crate::origin::{Origin, Origins};
use crate::problem::{Place, Problem, quoted};
use crate::settings::Draft;
use crate::value::{SECRET_BYTES_MAX, Secret, Token};

/// Line ends behind a secret that editors and `echo` leave there.
const LINE_ENDS_MAX: usize = 16;

/// Fills in the secrets of which only the file is set.
///
/// A node whose supervisor tells it the secret does not look: the file may be
/// gone by the time of a restart, and its content may have changed.
pub(super) fn read(
    environment: &Environment,
    draft: &mut Draft,
    origins: &mut Origins,
) -> Vec<Problem> {
    if environment.is_supervised_node() {
        return Vec::new();
    }
    let mut problems = Vec::new();
    let mut fill = |secret: &mut Option<Option<Secret>>, file: SecretFile<'_>| {
        let (Some(Some(path)), Some(None)) = (file.path, &secret) else {
            return;
        };
        match file.read(path, origins) {
            Ok(found) => {
                *secret = Some(Some(found));
                origins.insert(file.key, Origin::Contents(path.clone()));
            }
            Err(problem) => problems.push(problem),
        }
    };
    let cluster = SecretFile {
        key: "cluster_secret",
        file_key: "cluster_secret_file",
        path: draft.cluster_secret_file.as_ref(),
        accept: Secret::new,
        allowed: format!("a readable file with a secret of 1 to {SECRET_BYTES_MAX} bytes"),
    };
    fill(&mut draft.cluster_secret, cluster);
    // A node has no control API.
    if environment.role == Role::Supervisor {
        let admin = SecretFile {
            key: "admin_token",
            file_key: "admin_token_file",
            path: draft.admin_token_file.as_ref(),
            accept: Token::of_bytes,
            allowed: format!(
                "a readable file with 1 to {SECRET_BYTES_MAX} letters, digits and punctuation \
                 marks of ASCII, no blanks"
            ),
        };
        fill(&mut draft.admin_token, admin);
    }
    problems
}

/// Where a secret stands, and what it may be.
struct SecretFile<'a> {
    key: &'static str,
    file_key: &'static str,
    path: Option<&'a Option<PathBuf>>,
    accept: fn(Vec<u8>) -> Option<Secret>,
    allowed: String,
}

impl SecretFile<'_> {
    fn read(&self, path: &Path, origins: &Origins) -> Result<Secret, Problem> {
        let declaration = declaration(self.file_key).expect("it is in the table");
        let place = Place::new(declaration, origins.get(self.file_key).clone());
        let allowed = self.allowed.clone();
        let bytes = read_bytes(path).map_err(|source| Problem::Unreadable {
            place: place.clone(),
            path: path.to_owned(),
            allowed: allowed.clone(),
            source,
        })?;
        let length = bytes.len();
        (self.accept)(bytes).ok_or_else(|| {
            let holds = match length {
                0 => "nothing",
                length if length > SECRET_BYTES_MAX => "more than that",
                _ => "something else",
            };
            let path = quoted(&path.display().to_string());
            Problem::Value {
                place,
                found: format!("{path}, which holds {holds}"),
                allowed,
            }
        })
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
