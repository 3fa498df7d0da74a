//! Settings on their way to another process.

use super::Settings;
use crate::value::PeerAddress;

impl Settings {
    /// Every setting that has a value and is no secret, under its first
    /// variable. Loading the result gives equal settings, but for the secrets.
    pub fn to_environment(&self) -> Vec<(String, String)> {
        self.texts()
            .into_iter()
            .filter(|(declaration, _)| !declaration.is_secret())
            .filter_map(|(declaration, text)| Some((declaration.variable().to_owned(), text?)))
            .collect()
    }

    /// The static seeds of both settings, in order, each once.
    pub fn static_peers(&self) -> Vec<PeerAddress> {
        let mut peers: Vec<PeerAddress> = Vec::new();
        for peer in self.bootstrap_peers.iter().chain(&self.peers) {
            if !peers.contains(peer) {
                peers.push(peer.clone());
            }
        }
        peers
    }
}
