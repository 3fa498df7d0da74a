//! The reference page is what the declarations say.

use std::path::Path;

#[test]
fn the_reference_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/settings.md");
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == repram_config::reference(),
        "docs/reference/settings.md differs from the declarations; `cargo xtask fix` writes it anew"
    );
}
