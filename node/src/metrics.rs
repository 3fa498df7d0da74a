//! Counters and histograms, and their text for Prometheus.
