//! Any bytes as a GGUF file: an error or a header, and every tensor inside the file.

#![no_main]

use libfuzzer_sys::fuzz_target;
use model_files::gguf::Header;

fuzz_target!(|file: &[u8]| {
    let Ok(header) = Header::parse(file) else {
        return;
    };
    for tensor in header.tensors() {
        if let Some(range) = tensor.range.clone() {
            assert!(file.get(range).is_some(), "{} lies outside", tensor.name);
        }
    }
});
