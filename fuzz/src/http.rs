//! Paths and queries of requests.

use repram_node::http::{Listing, decode_key, route};

/// A request target: its path, the key in it, and its query.
pub(crate) fn request_target(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (path, query) = match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    };
    if let Some((_, rest)) = route::find(path)
        && let Ok(key) = decode_key(rest)
    {
        // What is a key stays one when all of it is encoded.
        let encoded: String = key.iter().map(|byte| format!("%{byte:02X}")).collect();
        assert_eq!(decode_key(&encoded), Ok(key));
    }
    if let Ok(listing) = Listing::parse(query) {
        assert!(listing.limit > 0, "a page has room");
    }
}
