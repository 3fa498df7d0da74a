//! The highest layer: the command line.

use super::{Given, Layer};
use crate::declaration::{Declaration, declaration};
use crate::flag::Flag;
use crate::origin::Origin;

/// What the command line says; the last of two equal flags counts.
///
/// # Panics
///
/// Panics for a key that has no flag: flags are made from the declarations.
pub(crate) fn flags(flags: &[Flag]) -> Layer {
    let mut layer = Layer::new("flags");
    for Flag { key, value } in flags {
        let Some(name) = declaration(key).and_then(Declaration::flag) else {
            panic!("no flag sets {key}");
        };
        let origin = Origin::Flag(format!("--{name}"));
        layer.insert(
            key,
            Given {
                text: Some(value.clone()),
                origin,
                toml_type: None,
            },
        );
    }
    layer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_two_flags_counts() {
        let flag = |value: &str| Flag {
            key: "node_count",
            value: value.to_owned(),
        };
        assert_eq!(flags(&[flag("1"), flag("2")]).text("node_count"), Some("2"));
    }

    #[test]
    #[should_panic(expected = "no flag sets cluster_secret")]
    fn a_secret_has_no_flag() {
        flags(&[Flag {
            key: "cluster_secret",
            value: "x".to_owned(),
        }]);
    }
}
