//! The addresses of a domain, looked up again and again.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::chain::chain;
use crate::domain::{self, ResolveError, distinct};

/// A look-up under way.
pub type ResolveFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, ResolveError>> + Send + 'a>>;

/// Something that says where the hosts of a domain are.
pub trait Resolve: fmt::Debug + Send + Sync {
    /// What the domain is called in messages.
    fn name(&self) -> &str;

    /// Looks once. The future ends by itself in bounded time and may be dropped.
    fn resolve(&self) -> ResolveFuture<'_>;
}

/// A name or an address, looked up as [`domain::resolve`] does it.
#[derive(Clone, Debug)]
pub struct DomainName(pub String);

impl Resolve for DomainName {
    fn name(&self) -> &str {
        &self.0
    }

    fn resolve(&self) -> ResolveFuture<'_> {
        Box::pin(domain::resolve(&self.0))
    }
}

/// The addresses of a domain as they were found last.
///
/// Addresses that cannot be looked up any more stay known: a name server that is away must
/// not part hosts that reach each other. Until the first look-up succeeds there are none.
#[derive(Debug)]
pub struct DomainAddresses {
    domain: Box<dyn Resolve>,
    known: Mutex<Known>,
    /// Held while somebody looks, so that all who want to know wait for the same answer.
    looking: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Known {
    addresses: Arc<[IpAddr]>,
    /// When the last look-up ended, however it did.
    looked: Option<Instant>,
    failed: bool,
}

impl DomainAddresses {
    /// Nothing is looked up yet.
    #[must_use]
    pub fn new(domain: Box<dyn Resolve>) -> Self {
        let known = Known {
            addresses: Arc::new([]),
            looked: None,
            failed: false,
        };
        Self {
            domain,
            known: Mutex::new(known),
            looking: tokio::sync::Mutex::default(),
        }
    }

    /// The addresses that were found last, each once, at most
    /// [`domain::ADDRESSES_MAX`].
    #[must_use]
    pub fn known(&self) -> Arc<[IpAddr]> {
        Arc::clone(&self.lock().addresses)
    }

    /// Looks the addresses up unless that was done within the last `max_age`, and returns
    /// what is known then.
    pub async fn refreshed(&self, max_age: Duration) -> Arc<[IpAddr]> {
        // Whoever looks meanwhile may have to wait for a name server.
        if !self.is_fresh(max_age) {
            let _looking = self.looking.lock().await;
            if !self.is_fresh(max_age) {
                let found = self.domain.resolve().await;
                self.note(found);
            }
        }
        self.known()
    }

    /// As [`Self::refreshed`], for somebody who has only `patience` and then goes on with
    /// what is known. The look-up goes on, too, for the next one.
    pub async fn refreshed_within(
        self: &Arc<Self>,
        patience: Duration,
        max_age: Duration,
    ) -> Arc<[IpAddr]> {
        if !self.is_fresh(max_age) {
            let domain = Arc::clone(self);
            let look_up = tokio::spawn(async move { domain.refreshed(max_age).await });
            // Either way what is known is what there is.
            let _ = timeout(patience, look_up).await;
        }
        self.known()
    }

    fn is_fresh(&self, max_age: Duration) -> bool {
        let looked = self.lock().looked;
        looked.is_some_and(|looked| looked.elapsed() < max_age)
    }

    fn note(&self, found: Result<Vec<IpAddr>, ResolveError>) {
        let mut known = self.lock();
        known.looked = Some(Instant::now());
        let failed_before = std::mem::replace(&mut known.failed, found.is_err());
        match found {
            Ok(addresses) => {
                let addresses = addresses.iter().map(IpAddr::to_canonical);
                known.addresses = distinct(addresses).into();
                if failed_before {
                    tracing::info!(domain = self.domain.name(), "domain resolves again");
                }
            }
            Err(error) if !failed_before => tracing::warn!(
                domain = self.domain.name(),
                error = chain(&error),
                known = known.addresses.len(),
                "domain does not resolve, trying again; hosts that are not known already \
                 are not asked meanwhile"
            ),
            Err(_) => {}
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Gives one answer after the other; none is a failure.
    #[derive(Debug)]
    struct Script(Mutex<VecDeque<Option<Vec<IpAddr>>>>);

    impl Resolve for Script {
        fn name(&self) -> &str {
            "a.test"
        }

        fn resolve(&self) -> ResolveFuture<'_> {
            let answer = self.0.lock().unwrap().pop_front().expect("asked too often");
            let no_address = ResolveError::NoAddress {
                host: "a.test".to_owned(),
            };
            Box::pin(async { answer.ok_or(no_address) })
        }
    }

    fn addresses(script: &[Option<&[&str]>]) -> DomainAddresses {
        let parsed = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        let script = script.iter().map(|answer| answer.map(parsed)).collect();
        DomainAddresses::new(Box::new(Script(Mutex::new(script))))
    }

    async fn check(domain: &DomainAddresses, max_age: Duration, expect: &[&str]) {
        let known = domain.refreshed(max_age).await;
        let known: Vec<_> = known.iter().map(ToString::to_string).collect();
        assert_eq!(known, expect);
    }

    #[tokio::test]
    async fn what_was_known_stays_known_when_nobody_answers() {
        let script: [Option<&[&str]>; 4] = [
            None,
            Some(&["10.0.0.1", "::ffff:10.0.0.1", "10.0.0.2"]),
            None,
            Some(&["10.0.0.3"]),
        ];
        let domain = addresses(&script);
        assert!(domain.known().is_empty());
        check(&domain, Duration::ZERO, &[]).await;
        check(&domain, Duration::ZERO, &["10.0.0.1", "10.0.0.2"]).await;
        check(&domain, Duration::ZERO, &["10.0.0.1", "10.0.0.2"]).await;
        check(&domain, Duration::ZERO, &["10.0.0.3"]).await;
    }

    #[tokio::test]
    async fn what_is_fresh_is_not_looked_up() {
        let domain = addresses(&[Some(&["10.0.0.1"])]);
        for _ in 0..3 {
            check(&domain, Duration::from_secs(3600), &["10.0.0.1"]).await;
        }
    }
}
