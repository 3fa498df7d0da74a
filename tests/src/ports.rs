//! Ports that belong to one test.

use std::fs::{self, File, TryLockError};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;

/// A run of ports below those that the kernel gives to clients, which no other test
/// on this machine has at the same time, because a lock file stands for each run.
#[derive(Debug)]
pub struct PortBlock {
    base: u16,
    _lock: File,
}

/// Where blocks begin: above the ports that services are known by.
const FIRST: u16 = 10_240;

/// Where they end: Linux gives clients ports from 32768 on.
const END: u16 = 32_704;

/// Ports of a block: HTTP in the lower half, gossip in the upper.
const SIZE: u16 = 2 * PortBlock::SLOTS;

impl PortBlock {
    /// Slots that fit into one block: a fleet of fifty, and some room.
    pub const SLOTS: u16 = 64;

    /// Takes a block whose ports are all free.
    ///
    /// # Panics
    /// When no block is left, or lock files cannot be written.
    pub fn take() -> Self {
        let blocks = (END - FIRST) / SIZE;
        // portpicker says where to look first, so that tests spread over the
        // range. It finds nothing where IPv6 is off, and decides nothing here.
        let picked = portpicker::pick_unused_port()
            .unwrap_or(FIRST)
            .clamp(FIRST, END - 1);
        let start = (picked - FIRST) / SIZE;
        (0..blocks)
            .map(|step| FIRST + (start + step) % blocks * SIZE)
            .find_map(Self::try_take)
            .expect("one of hundreds of blocks of ports is free")
    }

    /// The first HTTP port.
    pub fn base(&self) -> u16 {
        self.base
    }

    /// From an HTTP port to the gossip port of the same slot.
    pub fn gossip_offset(&self) -> u16 {
        Self::SLOTS
    }

    /// Everything in the block that can be bound is bound once and let go.
    /// The error names the first port that is not free.
    pub fn all_free(&self) -> Result<(), String> {
        (self.base..self.base + SIZE).try_for_each(|port| {
            bind_all(port).map_err(|error| format!("port {port} is not free: {error}"))
        })
    }

    fn try_take(base: u16) -> Option<Self> {
        let path = lock_directory().join(format!("{base}.lock"));
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let lock = lock.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return None,
            Err(TryLockError::Error(error)) => panic!("{}: {error}", path.display()),
        }
        let block = Self { base, _lock: lock };
        block.all_free().is_ok().then_some(block)
    }
}

fn lock_directory() -> PathBuf {
    let name = format!("repram-test-ports-{}", nix::unistd::getuid());
    let directory = std::env::temp_dir().join(name);
    fs::create_dir_all(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    directory
}

/// Binds a port in every way that the fleet would, and lets it go.
fn bind_all(port: u16) -> io::Result<()> {
    for address in loopback_addresses() {
        let address = SocketAddr::new(address.ip(), port);
        TcpListener::bind(address)?;
        UdpSocket::bind(address)?;
    }
    Ok(())
}

/// 127.0.0.1, and ::1 where this machine has it.
fn loopback_addresses() -> impl Iterator<Item = SocketAddr> {
    let both = [
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        (Ipv6Addr::LOCALHOST, 0).into(),
    ];
    both.into_iter()
        .filter(|address| address.is_ipv4() || UdpSocket::bind(address).is_ok())
}
