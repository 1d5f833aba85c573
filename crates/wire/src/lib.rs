//! AWS's protocols: from an HTTP request's bytes to a valid, authenticated [`Call`], and from its outcome back to bytes.
//!
//! Flow: [`parse_request`] finds the service, operation and protocol (`claim`), checks the signature (`sigv4`), reads the
//! input as the operation's shape directs (`decode_*`, `cbor`, `rest`) into the canonical document, and checks its
//! constraints (`validate`, worded by `style`). A handler turns the call's document into an outcome. [`render_output`] and
//! [`render_error`] write it in the request's protocol. Whatever is wrong with a request becomes a whole answer in the form
//! that its client expects.
//!
//! The document ([`gantry_types::Value`]) has members by their **model** names, whatever the protocol calls them; only set
//! members are in it. Names on the wire, wrappers, flattening and time formats live here alone.
//!
//! Invariants: nothing here does IO or reads a clock; no input makes it panic, recurse past a limit or allocate more than a
//! small multiple of what came in (`limits`); what a shape does not know is not kept; an output that is not of its shape is
//! an internal failure that names the place, never a half-written answer.
//!
//! ```text
//! static SERVICES: Services = Services::new(gantry_api::SERVICES);
//! let request = Request { method, uri, headers, body, now, request_id };
//! let auth = Auth { lookup: &|key, _token| keys.get(key), mode: AuthMode::Verify, anonymous: Principal::root() };
//! let response = match parse_request(&SERVICES, &request, &auth) {
//!     Err(response) => response,
//!     Ok(call) => match handle(&call).await {
//!         Ok(output) => render_output(&call, &output),
//!         Err(error) => render_error(&call, &error),
//!     },
//! };
//! ```

mod call;
mod cbor;
mod claim;
mod client;
mod decode;
mod decode_json;
mod decode_query;
mod decode_xml;
mod encode;
mod encode_json;
mod encode_xml;
mod error;
mod form;
mod limits;
mod protocol;
mod render;
mod request;
mod rest;
pub mod shape;
mod sigv4;
mod style;
mod time_format;
mod validate;

pub use call::{Call, Principal, Response};
pub use client::{ClientError, client_answer, client_request};
pub use error::{ApiError, Fault};
pub use limits::{BODY_BYTES_MAX, FORM_PARAMETERS_MAX};
pub use protocol::Protocol;
pub use render::{ReplyForm, render_error, render_error_as, render_output};
pub use request::{DEFAULT_REGION, Request, Services, check_input, parse_request};
pub use shape::{OperationModel, ServiceModel, Shape};
pub use sigv4::{Auth, AuthMode, Credential, Signer};
