use std::net::SocketAddr;

use reqwest::{Client, Response};

use super::HealthAnswer;

/// Bytes read of one answer. Ours have 300; anything may listen on the port.
pub const ANSWER_MAX: usize = 64 * 1024;

/// What whoever listens at `address` says of itself upon `GET /health`, if anything.
pub async fn health_at(client: &Client, address: SocketAddr) -> Option<HealthAnswer> {
    let response = client
        .get(format!("http://{address}/health"))
        .send()
        .await
        .ok()?;
    HealthAnswer::parse(&whole_body(response).await?)
}

/// The body of an answer; nothing when it breaks off or is longer than [`ANSWER_MAX`].
pub(crate) async fn whole_body(mut response: Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body)
}
