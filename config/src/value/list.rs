//! Lists, separated by commas.

use super::{Kind, Rejected, TomlType};

/// More static peers or advertised ports than this are a mistake.
const ITEMS_MAX: usize = 1000;

/// Any number of values of one kind, in the order in which they are written.
pub(crate) struct List<K>(pub(crate) K);

impl<K: Kind> Kind for List<K> {
    type Value = Vec<K::Value>;

    fn parse(&self, text: &str) -> Result<Self::Value, Rejected> {
        let items = text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        let values = items
            .map(|item| {
                let rejected = || Rejected {
                    part: Some(item.to_owned()),
                };
                self.0.parse(item).map_err(|_| rejected())
            })
            .collect::<Result<Vec<_>, _>>()?;
        if values.len() > ITEMS_MAX {
            Err(Rejected::WHOLE)
        } else {
            Ok(values)
        }
    }

    fn write(&self, value: &Self::Value) -> Option<String> {
        let items: Vec<String> = value.iter().filter_map(|item| self.0.write(item)).collect();
        (!items.is_empty()).then(|| items.join(","))
    }

    fn absent(&self) -> Option<Self::Value> {
        Some(Vec::new())
    }

    fn allowed(&self) -> String {
        format!(
            "{}; several (at most {ITEMS_MAX}) separated by commas",
            self.0.allowed()
        )
    }

    fn toml_types(&self) -> &'static [TomlType] {
        &[TomlType::StringArray, TomlType::String]
    }
}
