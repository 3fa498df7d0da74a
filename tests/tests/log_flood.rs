//! Nodes that write more than anybody wants to read: every line is in the files, whole, once
//! and in order, or a line says how many are not.

use std::fs;

use nix::sys::signal::Signal;
use repram_tests::{Fleet, Ledger, Order, Sandbox, Scribe, log_files, open_log};

/// What the supervisor may need for a flood beyond what it needs at rest, in KiB: its queues
/// hold 4 MiB per destination, and the compression, the allocator and a debug build add to it.
const FLOOD_MEMORY_KIB: u64 = 48 << 10;

/// The loud node's volume. 1 GiB unless LOG_FLOOD_MIB says otherwise.
fn flood_bytes() -> u64 {
    let mib = std::env::var("LOG_FLOOD_MIB").ok();
    mib.map_or(1 << 10, |mib| {
        mib.parse().expect("LOG_FLOOD_MIB is a number")
    }) << 20
}

/// Room for every line of a test, and no line on stdout, which goes to a file here.
fn roomy() -> Sandbox {
    Scribe::sandbox()
        .set("LOG_STDOUT", "events")
        .set("LOG_TOTAL", "8GiB")
        .set("LOG_KEEP", 1000)
}

/// Starts so many scribes and waits until they can take orders.
#[track_caller]
fn start(sandbox: Sandbox, nodes: u16) -> Fleet {
    let fleet = sandbox.set("NODE_COUNT", nodes).start();
    fleet.wait_for_status("ready nodes", |status| status["ready"] == nodes);
    fleet
}

/// Stops the fleet and leaves its files.
#[track_caller]
fn end(fleet: &mut Fleet) {
    fleet.end_cleanly(|fleet| fleet.supervisor_process().signal(Signal::SIGTERM));
}

#[test]
fn a_gibibyte_is_all_there_and_the_other_nodes_do_not_notice() {
    const SIZE: usize = 256;
    let mut fleet = start(roomy(), 3);
    let [loud, quiet, other] = ["flux-node-1", "flux-node-2", "flux-node-3"].map(Scribe::new);
    for scribe in [&quiet, &other] {
        scribe.order(&fleet, Order::Tick { size: 64 });
    }
    let supervisor = fleet.supervisor_process();
    let before = supervisor.resident_peak_kib().expect("it runs");
    let count = flood_bytes() / SIZE as u64;
    loud.write(&fleet, Order::Lines { count, size: SIZE });
    let status = fleet.wait_for_status("a status", |_| true);
    for node in status["nodes"].as_array().expect("a list") {
        assert_eq!(
            (&node["state"], &node["restarts"]),
            (&"ready".into(), &0.into())
        );
    }
    let (kept, dropped) = loud.books(&fleet, count);
    let after = supervisor.resident_peak_kib().expect("it runs");
    let ticks = [&quiet, &other].map(|scribe| {
        let ticks = scribe.write(&fleet, Order::Lines { count: 1, size: 64 });
        assert_eq!(scribe.books(&fleet, ticks), (ticks, 0));
        (scribe, ticks)
    });
    let events = fleet.finish(&["events", "--json"]).stdout;
    let bad = ["node_unready", "node_exited", "probe", "watchdog"];
    assert!(bad.iter().all(|word| !events.contains(word)), "{events}");
    let logs = fleet.path("logs");
    end(&mut fleet);

    let ledger = Ledger::of_files(&logs, loud.node(), count);
    ledger.assert_balanced();
    assert_eq!(
        (ledger.kept, ledger.dropped, ledger.first),
        (kept, dropped, 0)
    );
    for (scribe, ticks) in ticks {
        let ledger = Ledger::of_files(&logs, scribe.node(), ticks);
        ledger.assert_balanced();
        assert_eq!(
            ledger.kept, ticks,
            "a node that does not flood loses nothing"
        );
    }
    let grown = after.saturating_sub(before);
    eprintln!("memory: {before} KiB at most before the flood, {after} KiB after it");
    assert!(grown <= FLOOD_MEMORY_KIB, "from {before} to {after} KiB");
}

#[test]
fn rotation_at_full_speed_splits_no_line_and_loses_none() {
    const MAX_SIZE: u64 = 128 << 10;
    let mut fleet = start(roomy().set("LOG_MAX_SIZE", MAX_SIZE), 1);
    let scribe = Scribe::new("flux-node-1");
    let (count, size) = (200_000, 100);
    let written = scribe.write(&fleet, Order::Lines { count, size });
    let (kept, dropped) = scribe.books(&fleet, written);
    let rotations = scribe.stats(&fleet)["rotations"].clone();
    let logs = fleet.path("logs");
    end(&mut fleet);
    let ledger = Ledger::of_files(&logs, scribe.node(), written);
    ledger.assert_balanced();
    assert_eq!(
        (ledger.kept, ledger.dropped, ledger.first),
        (kept, dropped, 0)
    );
    assert_eq!(rotations, ledger.files - 1);
    assert!(ledger.files > 20, "{ledger}");
    for path in log_files(&logs, scribe.node()) {
        let mut text = String::new();
        let read = open_log(&path).and_then(|mut file| file.read_to_string(&mut text));
        let length = read.expect("the file can be read") as u64;
        assert!(length <= MAX_SIZE, "{} has {length} bytes", path.display());
        assert!(text.ends_with('\n'), "{}", path.display());
    }
}

#[test]
fn old_files_go_whole_and_are_counted() {
    let small = roomy().set("LOG_MAX_SIZE", "256KiB").set("LOG_KEEP", 3);
    let mut fleet = start(small, 1);
    let scribe = Scribe::new("flux-node-1");
    let (count, size) = (40_000, 100);
    let written = scribe.write(&fleet, Order::Lines { count, size });
    let (kept, dropped) = scribe.books(&fleet, written);
    let stats = scribe.stats(&fleet);
    let logs = fleet.path("logs");
    end(&mut fleet);
    let ledger = Ledger::of_files(&logs, scribe.node(), written);
    ledger.assert_balanced();
    assert_eq!(ledger.files, 4);
    let rotations = stats["rotations"].as_u64().expect("a number");
    assert_eq!(stats["deleted"]["files"], rotations - 3);
    assert!(ledger.first > 0 && kept + dropped == written, "{ledger}");
    assert!(
        ledger.kept > 3 * (256 << 10) / (size as u64 + 25),
        "{ledger}"
    );
}

#[test]
fn a_line_of_200_mib_is_cut_and_takes_no_memory() {
    const KEPT: u64 = 64 << 10;
    const LENGTH: u64 = 200 << 20;
    let mut fleet = start(roomy(), 1);
    let scribe = Scribe::new("flux-node-1");
    let supervisor = fleet.supervisor_process();
    let before = supervisor.resident_peak_kib().expect("it runs");
    scribe.write(&fleet, Order::Long { bytes: LENGTH });
    let written = scribe.write(&fleet, Order::Lines { count: 5, size: 40 });
    scribe.books(&fleet, written + 1);
    let cut = scribe.stats(&fleet)["cut"].clone();
    assert_eq!(
        cut,
        serde_json::json!({ "lines": 1, "bytes": LENGTH - KEPT })
    );
    let grown = supervisor.resident_peak_kib().expect("it runs") - before;
    assert!(grown <= FLOOD_MEMORY_KIB, "{grown} KiB more");
    let logs = fleet.path("logs");
    end(&mut fleet);
    let ledger = Ledger::of_files(&logs, scribe.node(), written);
    ledger.assert_balanced();
    let mark = format!(" [supervisor: {} bytes cut]", LENGTH - KEPT);
    let [line] = &ledger.others[..] else {
        panic!("{} other lines", ledger.others.len())
    };
    let text = line
        .strip_suffix(&mark)
        .expect("the line ends with the mark");
    assert!(text.len() as u64 == KEPT && text.bytes().all(|byte| byte == b'x'));
}

#[test]
fn any_bytes_come_back_as_they_were() {
    let mut fleet = start(roomy(), 1);
    // Every byte, also where it is no character, with lines of every length up to 255.
    let mut bytes = Vec::new();
    for length in 0..=255_u8 {
        bytes.extend(
            (0..length)
                .map(|at| at.wrapping_mul(length))
                .filter(|byte| *byte != b'\n'),
        );
        bytes.push(b'\n');
    }
    bytes.extend(b"\0\r\x1b[31m\xff\xc3( the end");
    fs::write(fleet.path("bytes"), &bytes).expect("the directory is ours");
    let scribe = Scribe::new("flux-node-1");
    scribe.write(&fleet, Order::Copy { name: "bytes" });
    // Ends the line that the bytes left open.
    scribe.write(&fleet, Order::Long { bytes: 0 });
    scribe.books(&fleet, 257);
    let mut raw = fleet.supervisor(&["logs", "--raw"]);
    let raw = raw.output().expect("the supervisor can be started");
    bytes.push(b'\n');
    assert!(
        raw.stdout == bytes,
        "{}",
        String::from_utf8_lossy(&raw.stdout)
    );
    let file = fs::read(fleet.log_file(scribe.node())).expect("there is one");
    let lines = file.split_inclusive(|byte| *byte == b'\n');
    let texts: Vec<u8> = lines.flat_map(|line| line[25..].iter().copied()).collect();
    assert!(texts == bytes);
    end(&mut fleet);
}
