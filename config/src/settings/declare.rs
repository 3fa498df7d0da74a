//! The macro behind the table of settings.

use super::table::Draft;
use crate::declaration::Declaration;
use crate::value::Kind;

/// A setting that two sets of settings have different values of; `None` is not set.
pub(crate) struct Difference {
    pub(crate) declaration: &'static Declaration,
    pub(crate) old: Option<String>,
    pub(crate) new: Option<String>,
}

/// Where the values of a [`Draft`] come from.
pub(crate) trait Read {
    /// The value of one setting; `None` when there is none that can be
    /// trusted, of which the reader keeps account. `draft` holds the settings
    /// that were declared before.
    fn read<K: Kind>(
        &mut self,
        declaration: &'static Declaration,
        kind: &K,
        draft: &Draft,
    ) -> Option<K::Value>;
}

/// Declares settings. One entry is
///
/// ```text
/// /// Meaning.
/// key: Type = default, kind, ["VARIABLE", "ALIAS"], effect, reload;
/// ```
///
/// and yields a field of `Settings`, one of `Draft` (where a value may be
/// missing, because it has a problem) and an entry of `DECLARATIONS`. `reload`
/// says what it takes to change the setting while a fleet runs
/// ([`Reload`](crate::Reload)).
macro_rules! settings {
    ($(
        section $section:ident {
            $(
                $(#[doc = $doc:literal])+
                $key:ident: $type:ty = $default:expr, $kind:expr, $variables:expr, $effect:expr,
                    $reload:expr;
            )+
        }
    )+) => {
        /// The effective settings. A field is named like the setting's key.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Settings {
            $($(
                $(#[doc = $doc])+
                pub $key: $type,
            )+)+
        }

        /// Settings of which some may have a problem.
        #[derive(Debug, Default)]
        pub(crate) struct Draft {
            $($( pub(crate) $key: Option<$type>, )+)+
        }

        impl Draft {
            /// Reads every setting in the order of the table.
            pub(crate) fn read(source: &mut impl Read) -> Self {
                let mut draft = Self::default();
                let mut declarations = DECLARATIONS.iter();
                $($(
                    if let Some(declaration) = declarations.next() {
                        draft.$key = source.read(declaration, &$kind, &draft);
                    }
                )+)+
                draft
            }

            /// The value of one setting as text, when it has one.
            pub(crate) fn text(&self, key: &str) -> Option<String> {
                $($(
                    if key == stringify!($key) {
                        return self.$key.as_ref().and_then(|value| Kind::write(&$kind, value));
                    }
                )+)+
                None
            }

            /// The settings, when none is missing.
            pub(crate) fn finish(self) -> Option<Settings> {
                Some(Settings { $($( $key: self.$key?, )+)+ })
            }
        }

        impl Settings {
            /// Every setting with its value as text; `None` for one that is
            /// not set. A secret is masked.
            pub(crate) fn texts(&self) -> Vec<(&'static Declaration, Option<String>)> {
                let texts = [ $($( Kind::write(&$kind, &self.$key), )+)+ ];
                DECLARATIONS.iter().zip(texts).collect()
            }

            /// The settings that differ, with both values as text. Secrets differ by what
            /// they are and not by how they are shown.
            pub(crate) fn differences(&self, other: &Self) -> Vec<Difference> {
                let differ = [ $($( self.$key != other.$key, )+)+ ];
                let pairs = self.texts().into_iter().zip(other.texts());
                let all = pairs.map(|((declaration, old), (_, new))| Difference {
                    declaration,
                    old,
                    new,
                });
                let changed = all.zip(differ).filter(|(_, differs)| *differs);
                changed.map(|(difference, _)| difference).collect()
            }
        }

        /// The table, in its order.
        pub(crate) static DECLARATIONS: &[Declaration] = &[
            $($(
                Declaration {
                    key: stringify!($key),
                    section: Section::$section,
                    variables: &$variables,
                    doc: concat!($($doc),+),
                    default: $default,
                    kind: &$kind,
                    effect: $effect,
                    reload: $reload,
                },
            )+)+
        ];
    };
}

pub(super) use settings;
