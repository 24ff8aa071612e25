//! Packs a Whisper checkpoint with 8-bit weights: `quantise FOLDER NAME OUT`.

use std::error::Error;
use std::io::Write;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, name, out] = arguments.as_slice() else {
        return Err("usage: quantise FOLDER NAME OUT".into());
    };
    let packed = stenod_recogniser::pack(Path::new(folder), name)?;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(out)?;
    file.write_all(&packed)?;
    file.sync_all()?;
    Ok(())
}
