//! HTTP/1.1, both ends, over hyper.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::Future;
use tokio::net::TcpStream;

/// The largest body.
const MOST: usize = 16 << 20;

/// A request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Method.
    pub method: String,
    /// Path with query.
    pub path: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Asked {
    /// A header, by its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// An answer with one header, the content type.
    pub fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Answer {
        Answer { status, headers: vec![("Content-Type".to_owned(), kind.to_owned())], body: body.into() }
    }

    /// What Go's `http.Error` sends.
    pub fn error(status: u16, text: &str) -> Answer {
        let mut answer = Answer::new(status, "text/plain; charset=utf-8", format!("{}\n", text.trim_end_matches('\n')));
        answer.headers.push(("X-Content-Type-Options".to_owned(), "nosniff".to_owned()));
        answer
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

/// Serves HTTP on a connection until it ends.
pub async fn serve<F, R>(stream: TcpStream, answer: F)
where
    F: Fn(Asked) -> R + Send + Sync + 'static,
    R: Future<Output = Answer> + Send,
{
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let answer = &answer;
        async move {
            let (head, body) = request.into_parts();
            let path = head.uri.path_and_query().map_or("/", |p| p.as_str()).to_owned();
            let asked = match Limited::new(body, MOST).collect().await {
                Ok(body) => {
                    let headers = head.headers.iter().map(|(n, v)| (n.to_string(), v.to_str().unwrap_or_default().to_owned()));
                    Asked { method: head.method.to_string(), path, headers: headers.collect(), body: body.to_bytes().to_vec() }
                }
                Err(_) => return Ok::<_, Infallible>(response(Answer::error(413, "Request Entity Too Large"))),
            };
            Ok(response(answer(asked).await))
        }
    });
    // A client that goes away is none of the server's business.
    let _ = hyper::server::conn::http1::Builder::new().title_case_headers(true).serve_connection(TokioIo::new(stream), service).await;
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &answer.headers {
        let name = hyper::header::HeaderName::try_from(name.as_str());
        if let (Ok(name), Ok(value)) = (name, hyper::header::HeaderValue::try_from(value.as_str())) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// Makes a request on a fresh connection.
///
/// # Errors
/// When no answer comes.
pub async fn send(stream: TcpStream, method: &str, (host, port): (&str, u16), path: &str, body: Vec<u8>) -> Result<Answer, hyper::Error> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        // Its error is the request's.
        let _ = connection.await;
    });
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = Method::try_from(method).unwrap_or(Method::GET);
    *request.uri_mut() = hyper::Uri::try_from(path).unwrap_or_default();
    if let Ok(host) = hyper::header::HeaderValue::try_from(format!("{host}:{port}")) {
        request.headers_mut().insert(hyper::header::HOST, host);
    }
    let json = hyper::header::HeaderValue::from_static("application/json");
    request.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
    let (head, body) = sender.send_request(request).await?.into_parts();
    let headers = head.headers.iter().map(|(n, v)| (n.to_string(), v.to_str().unwrap_or_default().to_owned())).collect();
    Ok(Answer { status: head.status.as_u16(), headers, body: body.collect().await?.to_bytes().to_vec() })
}
