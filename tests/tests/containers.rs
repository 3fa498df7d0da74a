//! The image, in a real engine. `cargo xtask containers` builds it and runs these.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use repram_tests::{
    DockerContainer, DockerNetwork, PATIENCE, docker, docker_ok, image, repository, skip,
    wait_until,
};
use serde_json::Value;

const WHY: &str = "the image is there";

/// The checks of the deployment guide, by the script that users have.
#[track_caller]
fn check_guide(container: &str, nodes: usize) {
    let mut script = Command::new(repository().join("deploy/flux-sim-test.sh"));
    let script = script.arg(container).env("NODES", nodes.to_string());
    let output = script.stdin(Stdio::null()).output().expect("bash is there");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    let lines = |verdict: &str| said.lines().filter(|it| it.starts_with(verdict)).count();
    assert!(output.status.success(), "{said}");
    assert_eq!(lines("FAIL"), 0, "{said}");
    assert!(lines("pass") > 5, "{said}");
}

/// `docker stop` kills what has not ended after three seconds, and 137 would be its code.
#[track_caller]
fn stop_cleanly(container: &DockerContainer) {
    docker_ok(&["stop", "--time", "3", container.name()]);
    assert_eq!(container.wait_for_end(), 0);
}

fn pid_of(node: &Value) -> String {
    node["pid"].as_u64().expect("it runs").to_string()
}

#[test]
#[ignore = "needs the image: cargo xtask containers"]
fn the_guide_holds_and_the_stop_is_clean() {
    let container = DockerContainer::start(&[]);
    container.wait_for_nodes(3);
    check_guide(container.name(), 3);
    assert_eq!(container.inspect("{{.Config.User}}"), "10001:10001");
    stop_cleanly(&container);
    let size = docker_ok(&["image", "inspect", "--format", "{{.Size}}", &image()]);
    let size: u64 = size.trim().parse().expect("bytes");
    let ready = container.logs();
    let ready = ready
        .lines()
        .find(|line| line.contains("nodes ready after"));
    println!(
        "image {} MB; {}",
        size / 1_000_000,
        ready.expect("it was ready")
    );
}

#[test]
#[ignore = "needs the image: cargo xtask containers"]
fn a_container_that_may_do_next_to_nothing() {
    let container = DockerContainer::start(&[
        "--read-only",
        "--tmpfs=/tmp",
        "--user=1234:1234",
        "--memory=64m",
        "--cpus=0.5",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--network=none",
    ]);
    container.wait_for_nodes(3);
    check_guide(container.name(), 3);
    stop_cleanly(&container);
}

#[test]
#[ignore = "needs the image: cargo xtask containers"]
fn docker_calls_it_healthy() {
    let container = DockerContainer::start(&["--health-interval=1s"]);
    wait_until("a healthy container", PATIENCE, || {
        let health = container.inspect("{{.State.Health.Status}}");
        (health == "healthy").then_some(()).ok_or(health)
    });
    stop_cleanly(&container);
}

#[test]
#[ignore = "needs the image: cargo xtask containers"]
fn a_node_that_is_killed_comes_back_and_the_container_stays() {
    let container = DockerContainer::start(&[]);
    let nodes = container.wait_for_nodes(3);
    let url = "http://localhost:8083/data/kept?ttl=600";
    let put = ["--request", "PUT", "--data-binary", "kept", url];
    container.curl(&put).expect("it is taken");
    let kill = format!("kill -9 {}", pid_of(&nodes[0]));
    container.exec(&["sh", "-c", &kill]).expect(WHY);
    // Nobody is refused meanwhile.
    let health = container.curl(&["http://localhost:8081/live"]);
    health.expect("a successor answers");
    wait_until("the next generation", PATIENCE, || {
        let found = container.curl(&["http://localhost:8081/health"])?;
        let is_next = found.contains("\"generation\":2");
        is_next.then_some(()).ok_or(found)
    });
    container.wait_for_nodes(3);
    for port in [8081, 8082, 8083] {
        let kept = container.curl(&[&format!("http://localhost:{port}/data/kept")]);
        assert_eq!(kept.as_deref(), Ok("kept"), "at {port}");
    }
    assert_eq!(container.inspect("{{.RestartCount}}"), "0");
    stop_cleanly(&container);
}

/// What takes the container's memory is spared, the nodes are not; and the supervisor
/// outlives it all.
#[test]
#[ignore = "needs the image: cargo xtask containers"]
fn a_node_that_the_kernel_kills_for_want_of_memory_comes_back() {
    let container = DockerContainer::start(&["--memory=64m", "--memory-swap=64m"]);
    container.wait_for_nodes(3);
    let restarts = |nodes: &[Value]| -> u64 {
        let count = |node: &Value| node["restarts"].as_u64().expect("a number");
        nodes.iter().map(count).sum()
    };
    // Three that take 24 MiB each and keep them until all have come so far: together too much,
    // and each less than what makes the kernel think a node the worse one, which is half of
    // the limit.
    let take = "all() { [ -e /tmp/took-1 ] && [ -e /tmp/took-2 ] && [ -e /tmp/took-3 ]; }
        for number in 1 2 3; do
            (head -c 24m /dev/zero; : > /tmp/took-$number; for turn in $(seq 300); do all && break; sleep 0.1; done) |
                tail -c 24m | wc -c &
        done
        wait";
    let taken = container.exec(&["sh", "-c", take]);
    println!("took {taken:?}");
    wait_until("a node that was killed", PATIENCE, || {
        let status = container.status()?;
        let nodes = status["nodes"].as_array().ok_or("no nodes")?;
        let killed = restarts(nodes) > 0;
        killed.then_some(()).ok_or_else(|| status.to_string())
    });
    let nodes = container.wait_for_nodes(3);
    let killed = nodes.iter().filter(|node| restarts(&[(*node).clone()]) > 0);
    for node in killed {
        let name = node["node"].as_str().expect("it has a name");
        let why = container.exec(&["supervisor", "why", name]).expect(WHY);
        println!("{why}");
        assert!(why.contains("SIGKILL"), "{why}");
    }
    assert_eq!(container.inspect("{{.State.Status}}"), "running");
    assert_eq!(container.inspect("{{.RestartCount}}"), "0");
    stop_cleanly(&container);
}

/// Writes to a port until the node has no room, and gives back how often that was.
#[track_caller]
fn fill(port: u16) -> usize {
    /// Far more than three nodes keep in the smallest container.
    const ENOUGH: usize = 4096;
    let value = vec![b'v'; 64 * 1024];
    for number in 0..ENOUGH {
        let path = format!("/data/fill-{port}-{number}?ttl=600");
        let answer = repram_tests::put(port, &path, &value).expect("it answers");
        match answer.status {
            // Late is as good as in time here: it is stored.
            201 | 202 => {}
            507 => return number,
            status => panic!("{status}: {}", answer.text()),
        }
    }
    panic!("{ENOUGH} values of {} bytes were taken", value.len())
}

/// The nodes share the container's memory among them, so all of them are full before the
/// kernel has to end anybody; and their threads follow its share of the processors.
#[test]
#[ignore = "needs the image: cargo xtask containers"]
fn full_stores_fit_into_the_container() {
    let container = DockerContainer::start(&[
        "--memory=64m",
        "--memory-swap=64m",
        "--cpus=0.5",
        "--publish=127.0.0.1::8081",
        "--publish=127.0.0.1::8082",
        "--publish=127.0.0.1::8083",
    ]);
    let nodes = container.wait_for_nodes(3);
    let published = |port: u16| {
        let place = container.published(&format!("{port}/tcp"));
        let port = place.rsplit(':').next().and_then(|port| port.parse().ok());
        port.expect("address:port")
    };
    let taken: usize = [8081, 8082, 8083]
        .map(|port| fill(published(port)))
        .iter()
        .sum();
    println!("{taken} values of 64 KiB were taken");
    // Three copies of each: some megabytes on every node.
    assert!(taken > 30, "{taken}");
    let got = repram_tests::get(
        published(8083),
        &format!("/data/fill-{}-0", published(8081)),
    );
    assert_eq!(
        got.map(|answer| answer.status),
        Ok(200),
        "a full node serves"
    );
    let after = container.wait_for_nodes(3);
    for (before, after) in nodes.iter().zip(&after) {
        assert_eq!(before["pid"], after["pid"], "nobody was killed: {after}");
        let path = format!("/proc/{}/task", after["pid"]);
        let threads = container.exec(&["ls", &path]).expect(WHY);
        // One that serves, by half a processor; whatever else there is waits.
        assert!(threads.lines().count() <= 2, "{threads}");
    }
    assert_eq!(container.inspect("{{.State.OOMKilled}}"), "false");
    stop_cleanly(&container);
}

/// The layers of the image up to those that have the dependencies, built from `context`.
#[track_caller]
fn layers_of_dependencies(context: &Path) -> String {
    let whole = fs::read_to_string(repository().join("Dockerfile.flux-sim")).expect("it is there");
    let (dependencies, _) = whole
        .split_once("COPY config/src")
        .expect("the first line that takes sources");
    let file = context.join("Dockerfile");
    fs::write(&file, dependencies).expect("the folder is ours");
    let tag = format!("{}-dependencies", image());
    let paths = [&file, context].map(|path| path.to_str().expect("a path of ours"));
    docker_ok(&[
        "build", "--quiet", "--file", paths[0], "--tag", &tag, paths[1],
    ]);
    let layers = docker_ok(&[
        "image",
        "inspect",
        "--format",
        "{{json .RootFS.Layers}}",
        &tag,
    ]);
    docker_ok(&["image", "rm", &tag]);
    layers
}

#[test]
#[ignore = "needs the image: cargo xtask containers"]
fn a_change_of_a_source_leaves_the_dependencies_as_they_are() {
    let folder = tempfile::tempdir().expect("the temporary directory can be written");
    let context = folder.path();
    let copy = |file: &str| {
        let to = context.join(file);
        fs::create_dir_all(to.parent().expect("it is below")).expect("the folder is ours");
        fs::copy(repository().join(file), to).expect("the file is there");
    };
    copy("Cargo.toml");
    copy("Cargo.lock");
    let entries = fs::read_dir(repository())
        .expect("it is readable")
        .flatten();
    let manifests = entries.map(|entry| entry.path().join("Cargo.toml"));
    for manifest in manifests.filter(|manifest| manifest.exists()) {
        let file = manifest.strip_prefix(repository()).expect("it is below");
        copy(&file.to_string_lossy());
    }
    copy("node/src/main.rs");
    let before = layers_of_dependencies(context);
    let changed = context.join("node/src/main.rs");
    let source = fs::read_to_string(&changed).expect("it was copied");
    fs::write(&changed, source + "// Changed.\n").expect("the folder is ours");
    fs::write(context.join("node/src/added.rs"), "").expect("the folder is ours");
    assert_eq!(layers_of_dependencies(context), before);
}

#[test]
#[ignore = "needs the image: cargo xtask containers"]
fn a_stop_during_the_start() {
    let container = DockerContainer::start(&["--env=START_STAGGER=1m"]);
    wait_until("a first node", PATIENCE, || {
        let logs = container.logs();
        let started = logs.contains("flux-node-1  started");
        started.then_some(()).ok_or(logs)
    });
    docker_ok(&["kill", "--signal=TERM", container.name()]);
    assert_eq!(container.wait_for_end(), 0);
    // And at the very first moment.
    let container = DockerContainer::start(&[]);
    docker_ok(&["kill", "--signal=TERM", container.name()]);
    assert_eq!(container.wait_for_end(), 0);
}

#[test]
#[ignore = "needs the image: cargo xtask containers"]
fn logs_are_read_by_tail_and_by_docker() {
    let container = DockerContainer::start(&["--env=NODE_COUNT=1"]);
    container.wait_for_nodes(1);
    let mut command = Command::new("docker");
    command.args(["exec", container.name()]);
    command.args(["tail", "-n", "+1", "-f", "/tmp/flux-node-1.log"]);
    let mut tail = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("docker can be started");
    let mut line = String::new();
    let mut lines = BufReader::new(tail.stdout.take().expect("it is a pipe"));
    lines.read_line(&mut line).expect("it can be read");
    tail.kill().expect("it runs");
    tail.wait().expect("it is ours");
    assert!(line.contains("flux-node-1 starts"), "{line}");
    let logs = container.logs();
    assert!(logs.contains(line.trim_end()), "{logs}");
    stop_cleanly(&container);
}

#[test]
#[ignore = "needs the image: cargo xtask containers"]
fn one_published_port_reaches_whichever_node_is_free() {
    let container =
        DockerContainer::start(&["--env=INGRESS_PORT=8080", "--publish=127.0.0.1::8080"]);
    let nodes = container.wait_for_nodes(3);
    let front = container.published("8080/tcp");
    let port = front.rsplit(':').next().and_then(|port| port.parse().ok());
    let port: u16 = port.expect("address:port");
    let put = repram_tests::put(port, "/data/front?ttl=600", b"one port").expect("it answers");
    assert_eq!(put.status, 201);
    let others: Vec<String> = nodes[..2].iter().map(pid_of).collect();
    let freeze = format!("kill -STOP {}", others.join(" "));
    container.exec(&["sh", "-c", &freeze]).expect(WHY);
    let found = repram_tests::get(port, "/health").expect("one is free");
    assert_eq!(found.json()["node_id"], "flux-node-3");
    let thaw = format!("kill -CONT {}", others.join(" "));
    container.exec(&["sh", "-c", &thaw]).expect(WHY);
    let got = repram_tests::get(port, "/data/front").expect("it answers");
    assert_eq!(got.text(), "one port");
    stop_cleanly(&container);
}

const SECRET: &str = "REPRAM_CLUSTER_SECRET=correct-horse-battery-staple-2210";

/// The ports of each node, by its UUID.
fn claims(containers: &[DockerContainer]) -> BTreeMap<String, u64> {
    let mut claims = BTreeMap::new();
    for container in containers {
        for node in container.wait_for_nodes(2) {
            let uuid = node["uuid"].as_str().expect("it has one").to_owned();
            claims.insert(uuid, node["http_port"].as_u64().expect("it has one"));
        }
    }
    claims
}

/// Every node of every container knows all others.
#[track_caller]
fn wait_for_one_network(containers: &[DockerContainer], nodes: u64) {
    for container in containers {
        for node in container.wait_for_nodes(2) {
            let url = format!("http://localhost:{}/health", node["http_port"]);
            wait_until("a node that knows all others", PATIENCE, || {
                let health = container.curl(&[&url])?;
                let health: Value =
                    serde_json::from_str(&health).map_err(|error| error.to_string())?;
                let knows = health["active_peers"] == nodes - 1;
                knows.then_some(()).ok_or_else(|| health.to_string())
            });
        }
    }
}

fn port_of(container: &DockerContainer) -> u64 {
    let nodes = container.wait_for_nodes(2);
    nodes[0]["http_port"].as_u64().expect("it has one")
}

#[test]
#[ignore = "needs the image: cargo xtask containers"]
fn three_containers_behind_one_name() {
    let network = DockerNetwork::new();
    let start = || {
        DockerContainer::start(&[
            "--network",
            &network.name,
            "--network-alias=repram",
            "--env=DISCOVERY_DOMAIN=repram",
            "--env=CLAIM_SCOPE=domain",
            "--env=NODE_COUNT=2",
            "--env",
            SECRET,
        ])
    };
    let containers = [start(), start(), start()];
    let before = claims(&containers);
    let ports: BTreeSet<u64> = before.values().copied().collect();
    assert_eq!(
        ports.len(),
        6,
        "each of six nodes has a port of its own: {before:?}"
    );
    wait_for_one_network(&containers, 6);

    let url = format!(
        "http://localhost:{}/data/shared?ttl=600",
        port_of(&containers[0])
    );
    let put = ["--request", "PUT", "--data-binary", "seen by all", &url];
    containers[0].curl(&put).expect("it is taken");
    let read = |container: &DockerContainer| {
        let url = format!("http://localhost:{}/data/shared", port_of(container));
        wait_until("the value", PATIENCE, || container.curl(&[&url]))
    };
    for container in &containers {
        assert_eq!(read(container), "seen by all");
    }

    // The one that it was written to is lost without a word, and returns.
    docker_ok(&["kill", containers[0].name()]);
    assert_eq!(read(&containers[1]), "seen by all");
    assert_eq!(read(&containers[2]), "seen by all");
    docker_ok(&["start", containers[0].name()]);
    assert_eq!(
        claims(&containers),
        before,
        "everybody is where they were before"
    );
    wait_for_one_network(&containers, 6);
    assert_eq!(read(&containers[0]), "seen by all");
    for container in &containers {
        stop_cleanly(container);
    }
    drop(containers);
}

/// `docker compose`, or the older program of that name.
fn compose(arguments: &[&str]) -> Result<String, String> {
    let file = repository().join("deploy/compose.flux-sim.yaml");
    let file = file.to_str().expect("a path of ours");
    let project = format!("repram-test-{}", std::process::id());
    let mut command = match has_compose_plugin() {
        true => {
            let mut command = Command::new("docker");
            command.arg("compose");
            command
        }
        false => Command::new("docker-compose"),
    };
    command.args(["--file", file, "--project-name", &project]);
    command.args(arguments).env("REPRAM_IMAGE", image());
    command.env(
        "REPRAM_CLUSTER_SECRET",
        &SECRET["REPRAM_CLUSTER_SECRET=".len()..],
    );
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(said),
        false => Err(said + &String::from_utf8_lossy(&output.stderr)),
    }
}

fn has_compose_plugin() -> bool {
    docker(&["compose", "version"]).is_ok()
}

#[test]
#[ignore = "needs the image: cargo xtask containers"]
fn the_compose_file_starts_both_pictures() {
    struct Down;
    impl Drop for Down {
        fn drop(&mut self) {
            let down = [
                "--profile",
                "instances",
                "down",
                "--volumes",
                "--timeout",
                "9",
            ];
            if let Err(problem) = compose(&down) {
                eprintln!("{problem}");
            }
        }
    }
    let older = Command::new("docker-compose").arg("version").output();
    if !has_compose_plugin() && older.is_err() {
        let test = "the_compose_file_starts_both_pictures";
        return skip(test, "no docker compose here (Debian: docker-compose)");
    }
    let _down = Down;
    let up = ["--profile", "instances", "up", "--detach", "--no-build"];
    compose(&up).unwrap_or_else(|problem| panic!("{problem}"));
    let ids = |service: &str| {
        let ids = compose(&["--profile", "instances", "ps", "--quiet", service]);
        ids.unwrap_or_else(|problem| panic!("{problem}"))
            .trim()
            .to_owned()
    };
    check_guide(&ids("fleet"), 3);
    for service in ["one", "two", "three"] {
        check_guide(&ids(service), 6);
    }
    // From outside, as the one who typed `up` looks at it.
    let health = repram_tests::get(8082, "/health").expect("it is published");
    assert_eq!(health.json()["node_id"], "flux-node-2");
}
