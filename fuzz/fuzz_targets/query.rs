#![no_main]

use clearside_sse_fuzz::Server;

thread_local! {
    // Never dropped: the process ends without warning.
    static SERVER: &'static Server = Box::leak(Box::new(Server::start()));
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| SERVER.with(|server| clearside_sse_fuzz::query(server, input)));
