//! HTTP by hand.

use std::net::{IpAddr, SocketAddr};

use repram_discovery::auth::{HttpSignature, SIGNATURE_HEADER, SignedRequest};
use reqwest::Client;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::host::{address, keys};

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

fn client(from: IpAddr) -> Client {
    Client::builder()
        .no_proxy()
        .local_address(from)
        .build()
        .unwrap()
}

async fn read(request: reqwest::RequestBuilder) -> Answer {
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let body = answer.bytes().await.unwrap();
    Answer {
        status,
        headers,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    }
}

pub(crate) async fn get(place: SocketAddr, path: &str) -> Answer {
    read(client(place.ip()).get(format!("http://{place}{path}"))).await
}

/// Posts from host number `from`.
pub(crate) async fn post(from: u8, place: SocketAddr, path: &str, body: &str) -> Answer {
    let url = format!("http://{place}{path}");
    read(client(address(from)).post(url).body(body.to_owned())).await
}

/// Posts with a signature.
pub(crate) async fn post_signed(
    from: u8,
    place: SocketAddr,
    path: &str,
    body: &str,
    secret: &str,
) -> Answer {
    let request = SignedRequest {
        method: "POST",
        path,
        body: body.as_bytes(),
    };
    let now = repram_discovery::peers::UnixMillis::now();
    let nonce = uuid::Uuid::new_v4().into_bytes();
    let signature = HttpSignature::sign(&keys(secret), request, now.0, nonce);
    let url = format!("http://{place}{path}");
    let request = client(address(from))
        .post(url)
        .header(SIGNATURE_HEADER, signature.to_string());
    read(request.body(body.to_owned())).await
}

/// Answers every connection to `place` with `status` and `body`, in the background.
pub(crate) async fn answer_always(place: SocketAddr, status: u16, body: String) {
    let listener = TcpListener::bind(place).await.unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            // Who comes may go at any time.
            let _ = stream.read(&mut request).await;
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
}
