//! Which path is what.

use http::Method;
use repram_discovery::claim::conversation::Kind;

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Route {
    /// One value.
    Data,
    /// The list of keys.
    Keys,
    /// Whether the node serves.
    Health,
    /// Whether its event loop runs.
    Live,
    /// The others, and the ports held in this scope.
    Peers,
    /// The others with enclave and health.
    Topology,
    /// Uptime, memory, counts, refill.
    Status,
    /// Counters for Prometheus.
    Metrics,
    /// This API's description.
    OpenApi,
    /// How each way of finding peers does.
    DiscoveryHealth,
    /// Somebody holds a port.
    PeerAnnounce,
    /// Somebody holds a port no more.
    PeerLeaving,
    /// Somebody holds our port as well.
    ConflictResolution,
}

/// One path template and what may be asked of it.
#[derive(Debug)]
pub struct Endpoint {
    /// Where it leads.
    pub route: Route,
    /// The path, with `{key}` for the key.
    pub template: &'static str,
    /// What may be asked, `OPTIONS` left out.
    pub methods: &'static [Method],
    /// `methods` and `OPTIONS` as the Allow header lists them.
    pub allow: &'static str,
    /// Whether it is another spelling of an endpoint before it.
    pub alias: bool,
}

const READ: &[Method] = &[Method::GET, Method::HEAD];
const ALLOW_READ: &str = "GET, HEAD, OPTIONS";

const fn read_only(route: Route, template: &'static str, alias: bool) -> Endpoint {
    Endpoint {
        route,
        template,
        methods: READ,
        allow: ALLOW_READ,
        alias,
    }
}

/// What claimants of the domain say. Pages of the web have no business there.
const fn claimants(route: Route, kind: Kind) -> Endpoint {
    Endpoint {
        route,
        template: kind.path(),
        methods: &[Method::POST],
        allow: "POST, OPTIONS",
        alias: false,
    }
}

/// Every path of the API; each is also served under [`VERSION_PREFIX`].
pub const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        route: Route::Data,
        template: "/data/{key}",
        methods: &[Method::GET, Method::HEAD, Method::PUT],
        allow: "GET, HEAD, PUT, OPTIONS",
        alias: false,
    },
    Endpoint {
        route: Route::Data,
        template: "/cluster/put/{key}",
        methods: &[Method::PUT],
        allow: "PUT, OPTIONS",
        alias: true,
    },
    read_only(Route::Data, "/cluster/get/{key}", true),
    read_only(Route::Keys, "/keys", false),
    read_only(Route::Keys, "/scan", true),
    read_only(Route::Keys, "/cluster/scan", true),
    read_only(Route::Health, "/health", false),
    read_only(Route::Live, "/live", false),
    read_only(Route::Peers, "/peers", false),
    read_only(Route::Topology, "/topology", false),
    read_only(Route::Status, "/status", false),
    read_only(Route::Metrics, "/metrics", false),
    read_only(Route::OpenApi, "/openapi.json", false),
    read_only(Route::DiscoveryHealth, "/cluster/discovery/health", false),
    claimants(Route::PeerAnnounce, Kind::Announce),
    claimants(Route::PeerLeaving, Kind::Leave),
    claimants(Route::ConflictResolution, Kind::Conflict),
];

/// The prefix that clients of the second version of the API use.
pub const VERSION_PREFIX: &str = "/v1";

impl Route {
    /// All routes, in the order of the API.
    pub const ALL: [Self; 13] = [
        Self::Data,
        Self::Keys,
        Self::Health,
        Self::Live,
        Self::Peers,
        Self::Topology,
        Self::Status,
        Self::Metrics,
        Self::OpenApi,
        Self::DiscoveryHealth,
        Self::PeerAnnounce,
        Self::PeerLeaving,
        Self::ConflictResolution,
    ];

    /// The name that metrics use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Keys => "keys",
            Self::Health => "health",
            Self::Live => "live",
            Self::Peers => "peers",
            Self::Topology => "topology",
            Self::Status => "status",
            Self::Metrics => "metrics",
            Self::OpenApi => "openapi",
            Self::DiscoveryHealth => "discovery_health",
            Self::PeerAnnounce => "peer_announce",
            Self::PeerLeaving => "peer_leaving",
            Self::ConflictResolution => "conflict_resolution",
        }
    }

    /// Whether a request counts for REPRAM_RATE_LIMIT.
    #[must_use]
    pub const fn is_limited(self) -> bool {
        match self {
            Self::Data | Self::Keys => true,
            Self::Health
            | Self::Live
            | Self::Peers
            | Self::Topology
            | Self::Status
            | Self::Metrics
            | Self::OpenApi
            | Self::DiscoveryHealth
            | Self::PeerAnnounce
            | Self::PeerLeaving
            | Self::ConflictResolution => false,
        }
    }

    /// Whether any page of the web may ask (Fetch standard, CORS protocol).
    #[must_use]
    pub const fn is_open_to_pages(self) -> bool {
        match self {
            Self::PeerAnnounce | Self::PeerLeaving | Self::ConflictResolution => false,
            Self::Data
            | Self::Keys
            | Self::Health
            | Self::Live
            | Self::Peers
            | Self::Topology
            | Self::Status
            | Self::Metrics
            | Self::OpenApi
            | Self::DiscoveryHealth => true,
        }
    }
}

/// The endpoint of a path, and the key's segment where its template has one (else empty).
#[must_use]
pub fn find(path: &str) -> Option<(&'static Endpoint, &str)> {
    let path = path
        .strip_prefix(VERSION_PREFIX)
        .filter(|rest| rest.starts_with('/'))
        .unwrap_or(path);
    ENDPOINTS.iter().find_map(|endpoint| {
        let key = match endpoint.template.strip_suffix("{key}") {
            Some(prefix) => path.strip_prefix(prefix)?,
            None => (path == endpoint.template).then_some("")?,
        };
        Some((endpoint, key))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expect: Option<(Route, &str, &str)>) {
        let found = find(path).map(|(endpoint, key)| (endpoint.route, endpoint.template, key));
        assert_eq!(found, expect, "{path}");
    }

    #[test]
    fn paths_lead_to_routes() {
        check("/data/k", Some((Route::Data, "/data/{key}", "k")));
        check("/v1/data/k", Some((Route::Data, "/data/{key}", "k")));
        check("/data/", Some((Route::Data, "/data/{key}", "")));
        check("/data/a/b", Some((Route::Data, "/data/{key}", "a/b")));
        check("/data/%2Fv1", Some((Route::Data, "/data/{key}", "%2Fv1")));
        check(
            "/cluster/put/k",
            Some((Route::Data, "/cluster/put/{key}", "k")),
        );
        check(
            "/v1/cluster/get/k",
            Some((Route::Data, "/cluster/get/{key}", "k")),
        );
        check("/scan", Some((Route::Keys, "/scan", "")));
        check(
            "/v1/peer_announce",
            Some((Route::PeerAnnounce, "/peer_announce", "")),
        );
        check("/v1/health", Some((Route::Health, "/health", "")));
        for none in [
            "",
            "/",
            "*",
            "/data",
            "/v1",
            "/v1/",
            "/v1data/k",
            "/v1/v1/health",
            "/health/",
            "/Health",
            "//health",
            "/v2/health",
            "/peer_announce/",
        ] {
            check(none, None);
        }
    }

    #[test]
    fn the_table_agrees_with_itself() {
        for endpoint in ENDPOINTS {
            let mut allow: Vec<_> = endpoint.methods.iter().map(Method::as_str).collect();
            allow.push("OPTIONS");
            assert_eq!(endpoint.allow, allow.join(", "), "{}", endpoint.template);
            let path = endpoint.template.replace("{key}", "k");
            let (found, _) = find(&path).expect("every template is found");
            assert_eq!(found.template, endpoint.template);
        }
        for route in Route::ALL {
            let named = |endpoint: &&Endpoint| endpoint.route == route && !endpoint.alias;
            assert_eq!(ENDPOINTS.iter().filter(named).count(), 1, "{route:?}");
        }
    }
}
