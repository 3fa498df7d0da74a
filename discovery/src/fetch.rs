//! Asking a service of the platform over HTTP or HTTPS.
//!
//! Nodes and supervisors ask each other with a client that knows no TLS. If that one had it,
//! every process would read certificates at its start, whether or not it ever leaves its
//! host; so the one service that wants TLS is asked from here, by hand. The roots are part
//! of the program, because a container's file system need not have any.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, crypto};

use crate::domain::{self, ResolveError};

/// How long a whole question may take, from the name to the last byte. The service of the
/// platform answers in less than a second when it is well.
pub const FETCH_TIME: Duration = Duration::from_secs(10);

/// How long connecting to one address may take: one lost SYN, and a round trip around the
/// world.
const CONNECT_TIME: Duration = Duration::from_secs(3);

/// Bytes of a body that are read. An app has at most 100 instances, of which each takes
/// some 300 bytes.
pub const BODY_MAX: usize = 256 * 1024;

/// Bytes of all headers together.
const HEADERS_MAX: usize = 32 * 1024;

/// Asks one URL again and again. Clones share what is set up once.
#[derive(Clone, Debug)]
pub struct Fetch {
    uri: Uri,
    host: String,
    port: u16,
    tls: Option<Arc<OnceLock<Arc<ClientConfig>>>>,
}

/// Why a URL cannot be asked at all.
#[derive(Debug, thiserror::Error)]
#[error("{url:?} is not a URL of HTTP")]
pub struct NotHttp {
    /// The text.
    pub url: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Its name has no address.
    #[error(transparent)]
    Unresolved(#[from] ResolveError),
    /// No connection came about, or it broke.
    #[error("{host} cannot be reached")]
    Unreachable {
        /// The host.
        host: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// What came back is not HTTP, or broke off.
    #[error("{host} gave no answer in HTTP")]
    Http {
        /// The host.
        host: String,
        /// What was wrong with it.
        #[source]
        source: hyper::Error,
    },
    /// The answer has another status than 200.
    #[error("{host} answered with status {status}")]
    Status {
        /// The host.
        host: String,
        /// The status code.
        status: u16,
    },
    /// The body is longer than [`BODY_MAX`], or broke off.
    #[error("the answer of {host} is longer than {BODY_MAX} bytes, or broke off")]
    Body {
        /// The host.
        host: String,
    },
    /// It took longer than [`FETCH_TIME`].
    #[error("{host} did not answer within {} s", FETCH_TIME.as_secs())]
    TimedOut {
        /// The host.
        host: String,
    },
}

/// A stream of bytes, encrypted or not.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Fetch {
    /// Asks `url`, which begins with `http://` or `https://`.
    ///
    /// # Errors
    /// [`NotHttp`] when it is no such URL.
    pub fn new(url: &str) -> Result<Self, NotHttp> {
        Self::parse(url).ok_or_else(|| NotHttp {
            url: url.to_owned(),
        })
    }

    fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let (tls, port) = match uri.scheme_str()? {
            "http" => (None, 80),
            "https" => (Some(Arc::default()), 443),
            _ => return None,
        };
        let host = uri.host()?.trim_matches(['[', ']']).to_owned();
        Some(Self {
            port: uri.port_u16().unwrap_or(port),
            host,
            tls,
            uri,
        })
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.uri.to_string()
    }

    /// Asks once, over a connection of its own: a service behind a balancer may answer from
    /// another machine each time. Redirections are not followed and proxies not used.
    ///
    /// # Errors
    /// [`FetchError`]; it takes at most [`FETCH_TIME`].
    pub async fn get(&self) -> Result<Bytes, FetchError> {
        let host = || self.host.clone();
        timeout(FETCH_TIME, self.exchange())
            .await
            .map_err(|_| FetchError::TimedOut { host: host() })?
    }

    async fn exchange(&self) -> Result<Bytes, FetchError> {
        let host = || self.host.clone();
        let http = |source| FetchError::Http {
            host: host(),
            source,
        };
        let stream = self.open().await?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEADERS_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(http)?;
        // It ends with us, whatever it is doing then.
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        let answer = sender.send_request(self.request()).await.map_err(http)?;
        if answer.status() != hyper::StatusCode::OK {
            let status = answer.status().as_u16();
            return Err(FetchError::Status {
                host: host(),
                status,
            });
        }
        let body = Limited::new(answer.into_body(), BODY_MAX).collect().await;
        let body = body.map_err(|_| FetchError::Body { host: host() })?;
        Ok(body.to_bytes())
    }

    fn request(&self) -> Request<Empty<Bytes>> {
        let path = self.uri.path_and_query();
        let path = path.map_or("/", |path| path.as_str());
        let authority = self.uri.authority();
        let request = Request::get(path)
            .header(HOST, authority.map_or("", |authority| authority.as_str()))
            .header(USER_AGENT, concat!("repram/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json")
            .header(CONNECTION, "close");
        request
            .body(Empty::new())
            .expect("its parts come from a URL")
    }

    async fn open(&self) -> Result<Box<dyn Stream>, FetchError> {
        let unreachable = |source| FetchError::Unreachable {
            host: self.host.clone(),
            source,
        };
        let addresses = domain::resolve(&self.host).await?;
        let socket = self.connect(&addresses).await.map_err(unreachable)?;
        let Some(tls) = &self.tls else {
            return Ok(Box::new(socket));
        };
        let config = Arc::clone(tls.get_or_init(|| trusting(public_roots())));
        let stream = encrypted(config, &self.host, socket).await;
        Ok(Box::new(stream.map_err(unreachable)?))
    }

    /// To the first address that takes the connection.
    async fn connect(&self, addresses: &[IpAddr]) -> io::Result<TcpStream> {
        let mut first = None;
        for address in addresses {
            let place = SocketAddr::new(*address, self.port);
            let connected = match timeout(CONNECT_TIME, TcpStream::connect(place)).await {
                Ok(connected) => connected,
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            };
            match connected {
                Ok(socket) => return Ok(socket),
                Err(error) => drop(first.get_or_insert(error)),
            }
        }
        Err(first.expect("a name that resolves has an address"))
    }
}

async fn encrypted(
    config: Arc<ClientConfig>,
    host: &str,
    socket: TcpStream,
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    TlsConnector::from(config).connect(name, socket).await
}

/// The roots that browsers trust.
fn public_roots() -> RootCertStore {
    RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned())
}

fn trusting(roots: RootCertStore) -> Arc<ClientConfig> {
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)
        .expect("the provider knows the usual versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

    use super::*;
    use crate::chain::chain;

    /// Answers one request with these bytes; returns its own port, and what it was asked.
    async fn server(answer: Vec<u8>) -> (u16, JoinSet<String>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            let mut buffer = [0; 1024];
            while !asked.ends_with(b"\r\n\r\n") {
                match socket.read(&mut buffer).await {
                    Ok(0) | Err(_) => break,
                    Ok(length) => asked.extend_from_slice(&buffer[..length]),
                }
                // Whoever does not speak HTTP is answered in HTTP all the same.
                if !asked.starts_with(b"GET ") {
                    break;
                }
            }
            // Whoever has read enough closes.
            let _ = socket.write_all(&answer).await;
            String::from_utf8_lossy(&asked).into_owned()
        });
        (port, tasks)
    }

    async fn check(answer: &[u8], expect: Result<&[u8], &str>) {
        let (port, _server) = server(answer.to_vec()).await;
        let fetch = Fetch::new(&format!("http://127.0.0.1:{port}/a")).unwrap();
        let got = fetch.get().await.map_err(|error| error.to_string());
        let got = got.as_deref().map_err(String::as_str);
        assert_eq!(got, expect, "{}", String::from_utf8_lossy(answer));
    }

    #[test]
    fn urls() {
        let parts = |url: &str| Fetch::new(url).map(|it| (it.host, it.port, it.tls.is_some()));
        let check = |url: &str, host: &str, port: u16, tls: bool| {
            assert_eq!(parts(url).unwrap(), (host.to_owned(), port, tls), "{url}");
        };
        check("http://a.test", "a.test", 80, false);
        check("https://a.test/b?c", "a.test", 443, true);
        check("https://[::1]:8443/", "::1", 8443, true);
        for url in ["", "a.test", "ftp://a.test", "/a", "http://"] {
            assert!(parts(url).is_err(), "{url}");
        }
    }

    #[tokio::test]
    async fn what_is_asked() {
        let (port, mut server) =
            server(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".into()).await;
        let fetch = Fetch::new(&format!("http://127.0.0.1:{port}/apps/x?y=1")).unwrap();
        assert_eq!(fetch.get().await.unwrap(), "{}");
        let asked = server.join_next().await.unwrap().unwrap();
        let host = format!("host: 127.0.0.1:{port}\r\n");
        assert!(asked.starts_with("GET /apps/x?y=1 HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains(&host), "{asked}");
    }

    #[tokio::test]
    async fn answers_good_and_bad() {
        let host = |text: &str| text.replace("HOST", "127.0.0.1");
        check(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na", Ok(b"a")).await;
        check(b"HTTP/1.0 200 OK\r\n\r\nto the end", Ok(b"to the end")).await;
        let status = host("HOST answered with status 302");
        check(
            b"HTTP/1.1 302 Found\r\nlocation: http://elsewhere.test/\r\ncontent-length: 0\r\n\r\n",
            Err(&status),
        )
        .await;
        let broken = host("HOST gave no answer in HTTP");
        check(b"", Err(&broken)).await;
        check(b"no\r\n\r\n", Err(&broken)).await;
        let long = host(&format!(
            "the answer of HOST is longer than {BODY_MAX} bytes, or broke off"
        ));
        check(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\na", Err(&long)).await;
        let mut huge = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        huge.resize(huge.len() + BODY_MAX + 1, b' ');
        check(&huge, Err(&long)).await;
    }

    #[tokio::test]
    async fn who_does_not_speak_tls_is_not_believed() {
        let (port, _server) = server(b"HTTP/1.1 200 OK\r\n\r\n{}".to_vec()).await;
        let fetch = Fetch::new(&format!("https://localhost:{port}/")).unwrap();
        let error = fetch.get().await.unwrap_err();
        let said = chain(&error);
        assert!(said.starts_with("localhost cannot be reached: "), "{said}");
    }

    /// A server of HTTPS whose certificate `root.der` has signed; see `fetch_test/README.md`.
    async fn secure_server(answer: &'static [u8]) -> (u16, JoinSet<()>) {
        let certificate = CertificateDer::from(&include_bytes!("fetch_test/localhost.der")[..]);
        let key = PrivatePkcs8KeyDer::from(&include_bytes!("fetch_test/localhost-key.der")[..]);
        let provider = Arc::new(crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key.into())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                // Whoever does not trust us goes.
                let Ok(mut stream) = acceptor.accept(socket).await else {
                    continue;
                };
                let mut buffer = [0; 1024];
                let _ = stream.read(&mut buffer).await;
                let _ = stream.write_all(answer).await;
                let _ = stream.shutdown().await;
            }
        });
        (port, tasks)
    }

    #[tokio::test]
    async fn who_is_trusted_is_heard_over_tls() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        let (port, _server) = secure_server(answer).await;
        let fetch = || Fetch::new(&format!("https://localhost:{port}/")).unwrap();
        let error = fetch().get().await.unwrap_err();
        let said = chain(&error);
        assert!(said.contains("UnknownIssuer"), "{said}");

        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from(&include_bytes!("fetch_test/root.der")[..]);
        roots.add(root).unwrap();
        let trusting_it = fetch();
        let config = trusting_it.tls.as_ref().unwrap();
        config.set(trusting(roots)).unwrap();
        assert_eq!(trusting_it.get().await.unwrap(), "{}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let fetch = Fetch::new(&format!("http://127.0.0.1:{port}/")).unwrap();
        let error = fetch.get().await.unwrap_err();
        assert!(matches!(error, FetchError::TimedOut { .. }), "{error:?}");
    }
}
