//! A bare hyper server, which shows what can be reached with hyper on a machine.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::thread;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

use super::rival::value;

/// Connections that wait for being accepted.
const BACKLOG: i32 = 1024;

/// How the server uses the processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtimes {
    /// One runtime whose threads share all connections: what a server has that nobody tuned.
    Shared,
    /// One runtime with one thread for each processor, and each its own connections.
    PerCore,
}

/// Answers GET with a constant of this size; reads and drops what it is sent by PUT.
pub(crate) fn answer(runtimes: Runtimes, port: u16, size: usize) -> io::Result<()> {
    let constant = Bytes::from(value(size));
    match runtimes {
        Runtimes::Shared => {
            let runtime = Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(accept(port, constant))
        }
        Runtimes::PerCore => {
            let processors = thread::available_parallelism()?.get();
            let threads: Vec<_> = (0..processors)
                .map(|_| {
                    let constant = constant.clone();
                    thread::spawn(move || {
                        let runtime = Builder::new_current_thread().enable_all().build()?;
                        runtime.block_on(accept(port, constant))
                    })
                })
                .collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().expect("it reports what goes wrong"))
        }
    }
}

async fn accept(port: u16, constant: Bytes) -> io::Result<()> {
    let listener = TcpListener::from_std(listener(port)?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let constant = constant.clone();
        let service = service_fn(move |request| respond(request, constant.clone()));
        // A client that went away is none of our business.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// One of the sockets that share the port; the kernel divides the connections.
fn listener(port: u16) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_port(true)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

async fn respond(
    request: Request<Incoming>,
    constant: Bytes,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = match *request.method() {
        Method::GET => Response::new(Full::new(constant)),
        _ => Response::new(Full::new(Bytes::from_static(b"OK\n"))),
    };
    if request.method() == Method::PUT {
        let mut body = request.into_body();
        while let Some(Ok(_)) = body.frame().await {}
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(response)
}
