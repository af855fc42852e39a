//! What a gRPC port says to a request that is no call of what it serves.
//!
//! gRPC says what is wrong beside an HTTP status of 200, and whoever asks by plain HTTP whether a request may pass
//! (Envoy's `http_service`, forward authentication of other proxies) takes 200 for a permit. So a port that is asked like
//! that by mistake answers no 200, to no method, no path and no header that a client of the proxy can choose.

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

const GRPC: &[u8] = b"application/grpc";
const ADVICE: &str = "this port speaks gRPC: ask it by Envoy's `grpc_service`, or ask the port of `--listen-http`\n";

/// The answer, if it is none of these calls, which are named by their paths.
///
/// 415 as the gRPC specification wants it for other contents, 405 for other methods; 404 for unknown calls, which gRPC
/// clients read as UNIMPLEMENTED.
#[must_use]
pub fn refused<B>(call: &Request<B>, served: &[&str]) -> Option<Response<String>> {
    if !is_grpc(call.headers()) {
        return Some(plain(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    if call.method() != Method::POST {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return Some(response);
    }
    (!served.contains(&call.uri().path())).then(unknown)
}

/// `application/grpc`, perhaps with an encoding or parameters; not `application/grpc-web`.
fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.as_bytes().strip_prefix(GRPC));
    kind.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

fn plain(status: StatusCode) -> Response<String> {
    let mut response = Response::new(ADVICE.to_owned());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn unknown() -> Response<String> {
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::NOT_FOUND;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from_static("12"));
    headers.insert("grpc-message", HeaderValue::from_static("no such method"));
    response
}

#[cfg(test)]
mod tests {
    use super::refused;
    use http::{Method, Request};

    #[test]
    fn only_calls_of_what_is_served_are_answered() {
        let status = |method: Method, path: &str, kind: Option<&str>| {
            let mut request = Request::builder().method(method).uri(path);
            if let Some(kind) = kind {
                request = request.header("content-type", kind);
            }
            refused(&request.body(()).ok()?, &["/a.B/C"]).map(|response| response.status().as_u16())
        };
        for kind in ["application/grpc", "application/grpc+proto", "application/grpc;a=b"] {
            assert_eq!(status(Method::POST, "/a.B/C", Some(kind)), None, "{kind}");
            assert_eq!(status(Method::POST, "/a.B/D", Some(kind)), Some(404), "{kind}");
            assert_eq!(status(Method::GET, "/a.B/C", Some(kind)), Some(405), "{kind}");
        }
        for kind in [None, Some("application/grpc-web"), Some("application/grpcx"), Some("application/json"), Some("")]
        {
            assert_eq!(status(Method::POST, "/a.B/C", kind), Some(415), "{kind:?}");
        }
    }
}
