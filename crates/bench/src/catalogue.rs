//! What there is to measure: one line a bench.

use crate::dpdk::{figures, stages};
use crate::error::BenchError;
use crate::figure::Figure;
use crate::memory_ports::{hit, instructions, rule_change, scaling};
use crate::system::{footprint, kill, lab, tcp};

/// A measurement that gives one or more figures.
#[derive(Debug)]
pub struct Bench {
    /// Its name on the command line.
    pub name: &'static str,
    /// The figures it gives.
    pub figures: &'static [&'static str],
    /// Measures.
    pub run: fn() -> Result<Vec<Figure>, BenchError>,
}

/// All benches, in the order in which they run.
pub const BENCHES: &[Bench] = &[
    Bench {
        name: "scaling",
        figures: &["two_workers_vs_one"],
        run: scaling::run,
    },
    Bench {
        name: "rule_change",
        figures: &["rule_change_dip_percent", "rule_withdrawn_from_10k_flows_ms"],
        run: rule_change::run,
    },
    Bench {
        name: "hit",
        figures: &["cycles_per_packet_hit", "allocations_per_packet"],
        run: hit::known,
    },
    Bench {
        name: "new_flows",
        figures: &["cycles_per_new_connection"],
        run: hit::new,
    },
    Bench {
        name: "instructions",
        figures: &["instructions_per_packet_hit", "instructions_per_packet_miss"],
        run: instructions::run,
    },
    Bench {
        name: "kill",
        figures: &["vswitch_kill_gap_ms", "vswitch_kill_lost_connections"],
        run: kill::run,
    },
    Bench {
        name: "tcp_local",
        figures: &["tcp_local_vs_linux_bridge"],
        run: tcp::local,
    },
    Bench {
        name: "tcp_across",
        figures: &["tcp_vs_linux_vxlan_sockets", "tcp_vs_linux_vxlan_tunnel_gso"],
        run: tcp::across,
    },
    Bench {
        name: "footprint",
        figures: &["vswitch_idle_cpu_percent", "vswitch_rss_mb"],
        run: footprint::run,
    },
    Bench {
        name: "rules",
        figures: &["rule_to_enforced_p50_ms", "rule_to_enforced_p99_ms"],
        run: lab::rules::run,
    },
    Bench {
        name: "first_ping",
        figures: &["port_to_ping_p50_ms", "port_to_ping_p99_ms"],
        run: lab::first_ping::run,
    },
    Bench {
        name: "agent_restart",
        figures: &["agent_restart_lost_packets"],
        run: lab::restart::run,
    },
    Bench {
        name: "host",
        figures: &["host_idle_cpu_percent", "host_rss_mb"],
        run: lab::host::run,
    },
    Bench {
        name: "agent_cold_start",
        figures: &["agent_cold_start_ms"],
        run: lab::cold_start::run,
    },
    Bench {
        name: "controller_memory",
        figures: &["controller_rss_mb_10k_ports"],
        run: lab::memory::run,
    },
    Bench {
        name: "demo",
        figures: &["demo_seconds"],
        run: lab::demo::run,
    },
    Bench {
        name: "stateful_vxlan",
        figures: &[
            "stateful_vxlan_vs_ovs_1k",
            "stateful_vxlan_vs_ovs_100k",
            "stateful_vxlan_vs_ovs_1m",
        ],
        run: figures::stateful,
    },
    Bench {
        name: "dpdk_forward",
        figures: &["dpdk_forward_vs_ovs", "dpdk_forward_share_of_testpmd"],
        run: figures::forward,
    },
    Bench {
        name: "dpdk_two_workers",
        figures: &["two_workers_vs_one_dpdk"],
        run: figures::two_workers,
    },
    Bench {
        name: "dpdk_stages",
        figures: &["dpdk_cycles_by_stage"],
        run: stages::run,
    },
];
