//! What requests count.

use std::sync::atomic::{AtomicU64, Ordering};

use http::{Method, StatusCode};

use crate::http::route::Route;

/// The method of a request, as far as metrics tell methods apart: clients may make up
/// others, and labels must be bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodLabel {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// PUT.
    Put,
    /// POST.
    Post,
    /// OPTIONS.
    Options,
    /// Any other.
    Other,
}

impl MethodLabel {
    const ALL: [Self; 6] = [
        Self::Get,
        Self::Head,
        Self::Put,
        Self::Post,
        Self::Options,
        Self::Other,
    ];

    /// The label of a method.
    #[must_use]
    pub fn of(method: &Method) -> Self {
        match *method {
            Method::GET => Self::Get,
            Method::HEAD => Self::Head,
            Method::PUT => Self::Put,
            Method::POST => Self::Post,
            Method::OPTIONS => Self::Options,
            _ => Self::Other,
        }
    }

    /// Its spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Options => "OPTIONS",
            Self::Other => "other",
        }
    }
}

/// The status codes that are answered; [`Observation::status`] of any other counts as 500,
/// which none is.
const STATUSES: [u16; 16] = [
    200, 201, 202, 204, 304, 400, 404, 405, 408, 413, 414, 429, 431, 500, 503, 507,
];
const STATUS_OTHER: usize = 13;

/// Upper bounds of the latency buckets in nanoseconds: 1, 2.5, 5 per decade from 50 us, what
/// a read takes under load, to 10 s, beyond every time-out of a write.
pub(super) const BUCKETS_NS: [u64; 17] = [
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Routes, and one more for paths that lead nowhere.
const ROUTES: usize = Route::ALL.len() + 1;
const SERIES: usize = ROUTES * MethodLabel::ALL.len();

/// One answered request.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// Where its path led.
    pub route: Option<Route>,
    /// Its method.
    pub method: MethodLabel,
    /// The status code of the answer.
    pub status: StatusCode,
    /// From the parsed head to the answer, in nanoseconds.
    pub duration_ns: u64,
}

/// One route and method on one worker.
#[derive(Debug)]
struct Cell {
    statuses: [AtomicU64; STATUSES.len()],
    /// By bucket; the last is for what is above all bounds.
    durations: [AtomicU64; BUCKETS_NS.len() + 1],
    sum_ns: AtomicU64,
}

impl Cell {
    fn new() -> Self {
        Self {
            statuses: std::array::from_fn(|_| AtomicU64::new(0)),
            durations: std::array::from_fn(|_| AtomicU64::new(0)),
            sum_ns: AtomicU64::new(0),
        }
    }
}

/// Sums over all workers of one route and method that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Series {
    pub(super) route: &'static str,
    pub(super) method: &'static str,
    /// Status codes that were answered, with their counts.
    pub(super) statuses: Vec<(u16, u64)>,
    pub(super) durations: [u64; BUCKETS_NS.len() + 1],
    pub(super) sum_ns: u64,
}

/// Counts of requests and connections, shared by all workers.
#[derive(Debug)]
pub struct RequestMetrics {
    workers: Box<[Box<[Cell]>]>,
    /// Connections accepted.
    pub connections_accepted: AtomicU64,
    /// Connections open now.
    pub connections_open: AtomicU64,
    /// Connections refused because there were too many.
    pub connections_refused: AtomicU64,
    /// Requests refused because their address sent too many.
    pub rate_limited: AtomicU64,
}

impl RequestMetrics {
    /// Metrics for so many worker threads.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        let cells = || (0..SERIES).map(|_| Cell::new()).collect();
        Self {
            workers: (0..workers).map(|_| cells()).collect(),
            connections_accepted: AtomicU64::new(0),
            connections_open: AtomicU64::new(0),
            connections_refused: AtomicU64::new(0),
            rate_limited: AtomicU64::new(0),
        }
    }

    /// Counts a request that `worker` answered.
    pub fn observe(&self, worker: usize, observation: &Observation) {
        let cell = &self.workers[worker][series(observation.route, observation.method)];
        let status = observation.status.as_u16();
        let status = STATUSES
            .iter()
            .position(|known| *known == status)
            .unwrap_or(STATUS_OTHER);
        let duration = observation.duration_ns;
        let bucket = BUCKETS_NS.partition_point(|bound| *bound < duration);
        cell.statuses[status].fetch_add(1, Ordering::Relaxed);
        cell.durations[bucket].fetch_add(1, Ordering::Relaxed);
        cell.sum_ns.fetch_add(duration, Ordering::Relaxed);
    }

    /// The series that have counted something.
    pub(super) fn series(&self) -> Vec<Series> {
        let routes = Route::ALL.iter().copied().map(Some).chain([None]);
        routes
            .flat_map(|route| MethodLabel::ALL.map(|method| self.sum(route, method)))
            .filter(|series| !series.statuses.is_empty())
            .collect()
    }

    fn sum(&self, route: Option<Route>, method: MethodLabel) -> Series {
        let number = series(route, method);
        let cells = || self.workers.iter().map(|cells| &cells[number]);
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let statuses = STATUSES
            .iter()
            .enumerate()
            .map(|(at, status)| (*status, cells().map(|cell| load(&cell.statuses[at])).sum()));
        Series {
            route: route.map_or("none", Route::name),
            method: method.as_str(),
            statuses: statuses.filter(|(_, count)| *count > 0).collect(),
            durations: std::array::from_fn(|at| {
                cells().map(|cell| load(&cell.durations[at])).sum()
            }),
            sum_ns: cells().map(|cell| load(&cell.sum_ns)).sum(),
        }
    }
}

fn series(route: Option<Route>, method: MethodLabel) -> usize {
    let route = route.map_or(ROUTES - 1, |route| route as usize);
    route * MethodLabel::ALL.len() + method as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_add_up() {
        let metrics = RequestMetrics::new(2);
        let mut observation = Observation {
            route: Some(Route::Data),
            method: MethodLabel::Put,
            status: StatusCode::CREATED,
            duration_ns: 50_000,
        };
        metrics.observe(0, &observation);
        metrics.observe(1, &observation);
        observation.status = StatusCode::IM_A_TEAPOT;
        observation.duration_ns = 11_000_000_000;
        metrics.observe(1, &observation);
        let series = metrics.series();
        assert_eq!(series.len(), 1);
        assert_eq!((series[0].route, series[0].method), ("data", "PUT"));
        assert_eq!(series[0].statuses, [(201, 2), (500, 1)]);
        assert_eq!(series[0].durations[0], 2);
        assert_eq!(series[0].durations[BUCKETS_NS.len()], 1);
        assert_eq!(series[0].sum_ns, 11_000_100_000);
    }

    #[test]
    fn tables_are_in_order() {
        assert!(BUCKETS_NS.is_sorted());
        assert!(STATUSES.is_sorted());
        assert_eq!(STATUSES[STATUS_OTHER], 500);
        for (at, route) in Route::ALL.into_iter().enumerate() {
            assert_eq!(route as usize, at);
        }
    }
}
