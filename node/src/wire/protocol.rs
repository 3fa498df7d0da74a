//! Which protocol nodes speak with each other.

/// The version of everything that travels between nodes. It stands behind the magic bytes of
/// every datagram and of every greeting, at the same place in all versions; the greeting's holds
/// for all records and frames of its stream.
///
/// It is raised by every change after which an older node would misunderstand a newer one, or
/// refuse it: another layout, another kind of frame, another meaning. Nodes of different
/// versions do not speak with each other.
///
/// | version | since |
/// |---|---|
/// | 1 | the first |
/// | 2 | datagrams travel over streams as well, votes, who leaves hands over, views in answers, silences in push-pulls, long values behind the frames |
pub const PROTOCOL_VERSION: u8 = 2;
