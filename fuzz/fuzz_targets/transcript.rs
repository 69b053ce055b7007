#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| clearside_sse_fuzz::transcript(input));
