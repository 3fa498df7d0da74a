//! Writes the examples of what travels between nodes, as nodes write it now, into `corpus`:
//! `cargo run -p repram-fuzz --example corpus`, after the protocol has changed.

use std::fs;
use std::io;
use std::path::Path;

use bytes::Bytes;
use repram_fuzz::examples;

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, name, bytes) in examples() {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), Bytes::as_ref(&bytes))?;
    }
    Ok(())
}
