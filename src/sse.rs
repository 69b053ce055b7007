//! The bytes of an event stream (WHATWG HTML, section 9.2), and the cursor that a client comes back with.

mod frame;
mod last_event_id;

pub(crate) use self::frame::Frames;
pub use self::last_event_id::Cursor;
