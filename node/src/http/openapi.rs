//! The description of this API.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::reply::{self, Reply};

/// Kept by hand; a test holds it against the route table.
const DOCUMENT: &str = include_str!("openapi.json");

/// `GET /openapi.json`.
pub(super) fn answer() -> Response<Reply> {
    reply::bytes(
        StatusCode::OK,
        "application/json",
        Bytes::from_static(DOCUMENT.as_bytes()),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use super::*;
    use crate::http::route::ENDPOINTS;

    #[test]
    fn the_document_has_the_paths_and_methods_of_the_route_table() {
        let document: Value = serde_json::from_str(DOCUMENT).expect("is JSON");
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        let methods = |path: &Value| -> BTreeSet<String> {
            let operations = path.as_object().expect("a path has operations").keys();
            operations
                .filter(|name| *name != "parameters")
                .cloned()
                .collect()
        };
        let described: BTreeMap<_, _> = document["paths"]
            .as_object()
            .expect("has paths")
            .iter()
            .map(|(path, operations)| (path.clone(), methods(operations)))
            .collect();
        let served: BTreeMap<_, BTreeSet<_>> = ENDPOINTS
            .iter()
            .map(|endpoint| {
                let methods = endpoint.methods.iter();
                let methods = methods
                    .map(|method| method.as_str().to_lowercase())
                    .collect();
                (endpoint.template.to_owned(), methods)
            })
            .collect();
        assert_eq!(described, served);
    }
}
