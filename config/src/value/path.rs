//! Paths.

use std::fmt;
use std::path::PathBuf;

use super::{Kind, Rejected, TomlType};

/// The longest path that the kernel takes, without its final zero
/// (`PATH_MAX`, `limits.h(0p)`).
const PATH_BYTES_MAX: usize = 4095;

/// A file or a directory; a relative path begins in the working directory.
pub(crate) struct FilePath;

impl Kind for FilePath {
    type Value = PathBuf;

    fn parse(&self, text: &str) -> Result<PathBuf, Rejected> {
        if text.is_empty() || text.len() > PATH_BYTES_MAX || text.contains('\0') {
            return Err(Rejected::WHOLE);
        }
        Ok(PathBuf::from(text))
    }

    fn write(&self, value: &PathBuf) -> Option<String> {
        Some(value.display().to_string())
    }

    fn allowed(&self) -> String {
        format!("a path of at most {PATH_BYTES_MAX} bytes")
    }

    fn toml_types(&self) -> &'static [TomlType] {
        &[TomlType::String]
    }
}

/// Where the files of the nodes' output live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogDir {
    /// No files are written.
    Off,
    /// In this directory.
    Path(PathBuf),
}

impl fmt::Display for LogDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

/// The kind of [`LogDir`]. A directory that is called `off` is `./off`.
pub(crate) struct LogDirectory;

impl Kind for LogDirectory {
    type Value = LogDir;

    fn parse(&self, text: &str) -> Result<LogDir, Rejected> {
        if text.eq_ignore_ascii_case("off") {
            Ok(LogDir::Off)
        } else {
            FilePath.parse(text).map(LogDir::Path)
        }
    }

    fn write(&self, value: &LogDir) -> Option<String> {
        Some(value.to_string())
    }

    fn allowed(&self) -> String {
        "a directory, or off".to_owned()
    }

    fn toml_types(&self) -> &'static [TomlType] {
        &[TomlType::String]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_logs() {
        assert_eq!(LogDirectory.parse("off"), Ok(LogDir::Off));
        assert_eq!(LogDirectory.parse("OFF"), Ok(LogDir::Off));
        assert_eq!(
            LogDirectory.parse("./off"),
            Ok(LogDir::Path("./off".into()))
        );
        assert_eq!(LogDirectory.parse("/tmp"), Ok(LogDir::Path("/tmp".into())));
        assert!(LogDirectory.parse("").is_err());
        assert!(LogDirectory.parse("a\0b").is_err());
        assert!(LogDirectory.parse(&"x".repeat(4096)).is_err());
    }
}
