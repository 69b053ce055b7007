//! The routes, without a network.

use actix_web::{
    App,
    body::MessageBody,
    dev::Service,
    http::{StatusCode, Uri},
    rt::{System, SystemRunner},
    test::{TestRequest, init_service},
};
use clearside_sse::{Api, DatabaseUrl, Hub, HubConfig, NewEvent, Store};

type Call = Box<dyn Fn(TestRequest) -> (StatusCode, Vec<u8>)>;

/// A hub with one stream, and its routes.
pub struct Server {
    call: Call,
    _folder: tempfile::TempDir,
}

impl Server {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&DatabaseUrl::file(folder.path().join("fuzz.db"))).unwrap();
        let system: SystemRunner = System::new();
        let service = system.block_on(async {
            let hub = Hub::start(&actix::Arbiter::current(), store, HubConfig::default());
            let note = NewEvent::new("note", &1).unwrap();
            hub.publish(&"debate/d1".parse().unwrap(), note).await.unwrap();
            let api = Api::new(hub);
            init_service(App::new().configure(|app| api.configure(app))).await
        });
        let call = move |request: TestRequest| {
            system.block_on(async {
                let answer = service.call(request.to_request()).await.unwrap();
                let status = answer.status();
                // A stream has no end, and is not waited for.
                let body = answer.into_body().try_into_bytes();
                (status, body.map_or_else(|_| Vec::new(), |bytes| bytes.to_vec()))
            })
        };
        Self { call: Box::new(call), _folder: folder }
    }

    /// None: it is no address at all.
    pub(crate) fn get(&self, address: &str) -> Option<(StatusCode, Vec<u8>)> {
        let uri: Uri = address.parse().ok()?;
        Some((self.call)(TestRequest::get().uri(&uri.to_string())))
    }

    /// Publishes to a client that does not exist.
    pub(crate) fn post_to_nobody(&self, body: &[u8]) -> (StatusCode, Vec<u8>) {
        let path = "/api/debates/d1/clients/00000000-0000-0000-0000-000000000000/events";
        let json = ("Content-Type", "application/json");
        let request = TestRequest::post().uri(path).insert_header(json);
        (self.call)(request.set_payload(body.to_vec()))
    }
}
