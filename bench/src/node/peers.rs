//! How the stores of others are started: as fast as they are without a disk, on 127.0.0.1.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use repram_tests::Sandbox;

use super::rival::value;

/// Where a program is, by PATH and where Debian keeps servers.
pub(super) fn path_of(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let mut found = folders.map(|folder| folder.join(program));
    found.find(|path| path.is_file())
}

/// The gossip port of the first slot: a second port for whoever needs one.
pub(crate) fn second_port(sandbox: &Sandbox) -> u16 {
    sandbox.http_port(0) + sandbox.ports().gossip_offset()
}

/// Redis in the slot of this number, as a replica of that in another one.
pub(super) fn redis(sandbox: &Sandbox, slot: u16, leader: Option<u16>) -> Command {
    let mut command = program(sandbox, "redis-server");
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.args(["--port", &sandbox.http_port(slot).to_string()]);
    if let Some(leader) = leader {
        let port = sandbox.http_port(leader).to_string();
        command.args(["--replicaof", "127.0.0.1", &port]);
    }
    command
}

/// memcached with more memory than any benchmark needs.
pub(super) fn memcached(sandbox: &Sandbox) -> Command {
    let mut command = program(sandbox, "memcached");
    command.args(["-l", "127.0.0.1", "-U", "0", "-m", "4096", "-u", "root"]);
    command.args(["-p", &sandbox.http_port(0).to_string()]);
    command
}

/// etcd, a cluster of one.
pub(super) fn etcd(sandbox: &Sandbox) -> Command {
    let client = format!("http://127.0.0.1:{}", sandbox.http_port(0));
    let peer = format!("http://127.0.0.1:{}", second_port(sandbox));
    let mut command = program(sandbox, "etcd");
    command.arg("--data-dir").arg(sandbox.path("etcd"));
    for role in ["--listen-client-urls", "--advertise-client-urls"] {
        command.args([role, &client]);
    }
    for role in ["--listen-peer-urls", "--initial-advertise-peer-urls"] {
        command.args([role, &peer]);
    }
    command.args(["--initial-cluster", &format!("default={peer}")]);
    command
}

/// nginx that serves one file of this size, whatever is asked for.
pub(super) fn nginx(sandbox: &Sandbox, size: usize) -> Command {
    fs::write(sandbox.path("value"), value(size)).expect("the sandbox is ours");
    let (folder, port) = (sandbox.path(""), sandbox.http_port(0));
    let folder = folder.display();
    let config = format!(
        "daemon off; user root; worker_processes auto;\n\
         pid {folder}/nginx.pid; error_log stderr;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n\
           access_log off; sendfile on; tcp_nopush on;\n\
           keepalive_requests 1000000000; open_file_cache max=10;\n\
           server {{\n\
             listen 127.0.0.1:{port}; root {folder};\n\
             location / {{ try_files /value =404; }}\n\
           }}\n\
         }}\n"
    );
    let mut command = program(sandbox, "nginx");
    command.arg("-c").arg(sandbox.write("nginx.conf", &config));
    command
}

fn program(sandbox: &Sandbox, name: &str) -> Command {
    sandbox.program(&path_of(name).expect("it was found before"))
}
