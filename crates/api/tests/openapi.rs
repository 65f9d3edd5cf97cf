//! The OpenAPI description, kept as `docs/openapi.json`. `UPDATE_OPENAPI=1 cargo test -p cairn-api` writes it anew; read the diff.

use std::path::Path;

#[test]
fn the_description_is_the_one_that_is_kept() {
    let text = cairn_api::openapi().to_pretty_json().unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let different = text.lines().zip(kept.lines()).find(|(now, kept)| now != kept);
    assert!(
        kept == text,
        "docs/openapi.json is not what the code says now, at first in {different:?}; UPDATE_OPENAPI=1 writes it anew"
    );
}
