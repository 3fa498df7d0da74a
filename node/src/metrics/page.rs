//! The page that Prometheus reads.

use std::fmt::{self, Debug};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use repram_discovery::peers::Report;

use super::requests::{BUCKETS_NS, RequestMetrics, Series};
use crate::cluster::{ClusterCounters, RefillView};
use crate::store::StoreStats;

/// The type of [`Page::render`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const NANOSECOND: f64 = 1e-9;

/// Everything that is on the page, as it is at the moment.
#[derive(Debug)]
pub struct Page<'a> {
    /// Requests and connections.
    pub requests: &'a RequestMetrics,
    /// The store.
    pub store: StoreStats,
    /// Replication and membership.
    pub cluster: ClusterCounters,
    /// Members that answer, this one left out.
    pub peers_active: usize,
    /// How far the refill is.
    pub refill: RefillView,
    /// How late a value may end that goes between this node and one on another clock.
    pub lateness: Duration,
    /// How each source of peers does.
    pub discovery: Vec<Report>,
    /// Whether the node serves.
    pub ready: bool,
    /// When the process started, in seconds since the Unix epoch.
    pub started_unix_s: u64,
    /// Bytes of the process in memory.
    pub resident_bytes: u64,
}

impl Page<'_> {
    /// The text, in the OpenMetrics format.
    ///
    /// # Panics
    /// When writing to a string fails, which it does not.
    #[must_use]
    pub fn render(&self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Snapshot {
            scalars: self.scalars(),
            series: self.requests.series(),
            lateness_s: self.lateness.as_secs_f64(),
            discovery: self.discovery.clone(),
        }));
        let mut text = String::new();
        encode(&mut text, &registry).expect("a string takes everything");
        text
    }

    fn scalars(&self) -> Vec<Scalar> {
        let mut scalars = self.node();
        scalars.extend(self.connections());
        scalars.extend(
            self.cluster
                .values
                .iter()
                .map(|&(name, help, value)| Scalar {
                    name: format!("repram_{name}"),
                    help,
                    value,
                }),
        );
        scalars
    }

    fn node(&self) -> Vec<Scalar> {
        let gauge = Scalar::gauge;
        let (peers, waiting) = (self.peers_active as u64, self.refill.waiting_for as u64);
        vec![
            gauge(
                "repram_ready",
                "Whether the node serves",
                u64::from(self.ready),
            ),
            gauge(
                "repram_peers_active",
                "Members that answer, this one left out",
                peers,
            ),
            gauge("repram_store_keys", "Values kept", self.store.keys),
            gauge(
                "repram_store_bytes",
                "Bytes accounted",
                self.store.used_bytes,
            ),
            gauge(
                "repram_store_limit_bytes",
                "Bytes that may be accounted",
                self.store.limit_bytes,
            ),
            gauge(
                "repram_refill_waiting_for",
                "Members that have not sent all they have for this node yet",
                waiting,
            ),
            gauge(
                "process_start_time_seconds",
                "When the process started, since the Unix epoch",
                self.started_unix_s,
            ),
            gauge(
                "process_resident_memory_bytes",
                "Bytes of the process in memory",
                self.resident_bytes,
            ),
        ]
    }

    fn connections(&self) -> [Scalar; 4] {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let requests = self.requests;
        [
            Scalar::gauge(
                "repram_http_connections_open",
                "Connections that are open",
                load(&requests.connections_open),
            ),
            Scalar::counter(
                "repram_http_connections_total",
                "Connections that were accepted",
                load(&requests.connections_accepted),
            ),
            Scalar::counter(
                "repram_http_connections_refused_total",
                "Connections that were refused because there were too many",
                load(&requests.connections_refused),
            ),
            Scalar::counter(
                "repram_http_rate_limited_total",
                "Requests that were refused because their address sent too many",
                load(&requests.rate_limited),
            ),
        ]
    }
}

/// One number. As Prometheus' conventions have it, it is a counter when its name ends in
/// `_total`, else a gauge.
struct Scalar {
    name: String,
    help: &'static str,
    value: u64,
}

impl Scalar {
    fn gauge(name: &str, help: &'static str, value: u64) -> Self {
        assert!(!name.ends_with("_total"), "{name} is no counter");
        Self {
            name: name.to_owned(),
            help,
            value,
        }
    }

    fn counter(name: &str, help: &'static str, value: u64) -> Self {
        assert!(name.ends_with("_total"), "{name} is no name of a counter");
        Self {
            name: name.to_owned(),
            help,
            value,
        }
    }

    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        if let Some(name) = self.name.strip_suffix("_total") {
            encoder
                .encode_descriptor(name, self.help, None, MetricType::Counter)?
                .encode_counter::<NoLabelSet, _, f64>(&self.value, None)
        } else {
            let value = i64::try_from(self.value).unwrap_or(i64::MAX);
            encoder
                .encode_descriptor(&self.name, self.help, None, MetricType::Gauge)?
                .encode_gauge(&value)
        }
    }
}

struct Snapshot {
    scalars: Vec<Scalar>,
    series: Vec<Series>,
    lateness_s: f64,
    discovery: Vec<Report>,
}

impl Debug for Snapshot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        encoder
            .encode_descriptor(
                "repram_build",
                "Which build this is",
                None,
                MetricType::Info,
            )?
            .encode_info(&version)?;
        for scalar in &self.scalars {
            scalar.encode(&mut encoder)?;
        }
        encoder
            .encode_descriptor(
                "repram_deadline_lateness_seconds",
                "How late a value may end that goes between this node and one on another clock",
                None,
                MetricType::Gauge,
            )?
            .encode_gauge(&self.lateness_s)?;
        encode_discovery(&self.discovery, &mut encoder)?;
        let mut requests = encoder.encode_descriptor(
            "repram_http_requests",
            "Requests by route, method and status code",
            None,
            MetricType::Counter,
        )?;
        for series in &self.series {
            for (status, count) in &series.statuses {
                let status = status.to_string();
                let labels = [
                    ("route", series.route),
                    ("method", series.method),
                    ("status", status.as_str()),
                ];
                requests
                    .encode_family(&labels)?
                    .encode_counter::<NoLabelSet, _, f64>(count, None)?;
            }
        }
        let mut durations = encoder.encode_descriptor(
            "repram_http_request_duration_seconds",
            "Time from a request's head to its answer, by route and method",
            None,
            MetricType::Histogram,
        )?;
        for series in &self.series {
            let labels = [("route", series.route), ("method", series.method)];
            durations
                .encode_family(&labels)?
                .encode_histogram::<NoLabelSet>(
                    series.sum_ns as f64 * NANOSECOND,
                    series.durations.iter().sum(),
                    &buckets(series),
                    None,
                )?;
        }
        Ok(())
    }
}

/// What is known of each source of peers, by its name.
fn encode_discovery(reports: &[Report], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut tried = encoder.encode_descriptor(
        "repram_discovery_rounds",
        "Times that a source of peers was asked, by source",
        None,
        MetricType::Counter,
    )?;
    for report in reports {
        tried
            .encode_family(&[("method", report.method)])?
            .encode_counter::<NoLabelSet, _, f64>(&report.tried, None)?;
    }
    let gauge = |name, help, value: fn(&Report) -> i64, encoder: &mut DescriptorEncoder<'_>| {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for report in reports {
            family
                .encode_family(&[("method", report.method)])?
                .encode_gauge(&value(report))?;
        }
        Ok(())
    };
    gauge(
        "repram_discovery_candidates",
        "Places where a source says that peers may be, by source",
        |report| i64::try_from(report.peers).unwrap_or(i64::MAX),
        encoder,
    )?;
    gauge(
        "repram_discovery_failing",
        "Whether something went wrong when a source was asked last, by source",
        |report| i64::from(report.error.is_some()),
        encoder,
    )
}

/// Bounds in seconds with the counts between them; the last bound is infinity.
fn buckets(series: &Series) -> Vec<(f64, u64)> {
    let bounds = BUCKETS_NS
        .iter()
        .map(|bound| *bound as f64 * NANOSECOND)
        .chain([f64::INFINITY]);
    bounds.zip(series.durations).collect()
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};
    use repram_discovery::peers::Outcome;

    use super::*;
    use crate::http::route::Route;
    use crate::metrics::{MethodLabel, Observation};

    #[test]
    fn the_page_has_what_clients_of_the_original_read() {
        let requests = RequestMetrics::new(1);
        requests.observe(
            0,
            &Observation {
                route: Some(Route::Data),
                method: MethodLabel::of(&Method::GET),
                status: StatusCode::NOT_FOUND,
                duration_ns: 60_000,
            },
        );
        let page = Page {
            requests: &requests,
            store: StoreStats {
                keys: 3,
                used_bytes: 400,
                limit_bytes: 1000,
            },
            cluster: ClusterCounters {
                values: vec![("peer_joins_total", "Members that joined", 2)],
            },
            peers_active: 2,
            refill: RefillView::default(),
            lateness: Duration::from_micros(1_500),
            discovery: vec![Report {
                method: "flux",
                tried: 7,
                result: Some(Outcome::Partial),
                error: Some("no".to_owned()),
                duration_ms: Some(3),
                peers: 4,
                age_ms: Some(5),
            }],
            ready: true,
            started_unix_s: 1_790_000_000,
            resident_bytes: 4096,
        };
        let text = page.render();
        let lines: Vec<_> = text.lines().collect();
        for expect in [
            "repram_peers_active 2",
            "repram_peer_joins_total 2",
            "repram_store_bytes 400",
            "repram_discovery_rounds_total{method=\"flux\"} 7",
            "repram_discovery_candidates{method=\"flux\"} 4",
            "repram_discovery_failing{method=\"flux\"} 1",
            "# TYPE repram_http_requests counter",
            "repram_http_requests_total{route=\"data\",method=\"GET\",status=\"404\"} 1",
            "repram_http_request_duration_seconds_count{route=\"data\",method=\"GET\"} 1",
            "repram_http_request_duration_seconds_bucket{le=\"0.00005\",route=\"data\",method=\"GET\"} 0",
            "repram_http_request_duration_seconds_bucket{le=\"+Inf\",route=\"data\",method=\"GET\"} 1",
        ] {
            assert!(lines.contains(&expect), "{expect}\n{text}");
        }
        assert_eq!(lines.last(), Some(&"# EOF"));
    }
}
