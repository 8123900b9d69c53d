//! Any bytes as a safetensors file: an error or a list of tensors, each of which lies inside the
//! file and is as long as its shape and type say.

#![no_main]

use libfuzzer_sys::fuzz_target;
use model_files::safetensors_header;

fuzz_target!(|file: &[u8]| {
    let Ok(tensors) = safetensors_header(file) else {
        return;
    };
    for (info, range) in tensors {
        let data = file.get(range).expect("it lies inside");
        if let Some(bytes) = info.byte_len() {
            assert_eq!(data.len(), bytes, "{}", info.name);
        }
    }
});
