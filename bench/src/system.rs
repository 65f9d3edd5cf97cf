//! The systems that are compared, and how much each is given to do.

use clap::ValueEnum;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum System {
    /// The one this is about.
    Cairn,
    Restate,
    Dbos,
    OpenWorkflow,
    WranglerDev,
    Workerd,
}

/// What `--peers` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// All of them.
    All,
    /// Restate, from npm.
    Restate,
    /// DBOS for TypeScript on PostgreSQL.
    Dbos,
    /// OpenWorkflow on SQLite.
    Openworkflow,
    /// Cloudflare's emulator.
    WranglerDev,
    /// The engine inside workerd.
    Workerd,
}

impl Peer {
    /// The systems that are meant, Cairn first.
    pub(crate) fn systems(peers: &[Self]) -> Vec<System> {
        let meant = |peer: Self| peers.contains(&Self::All) || peers.contains(&peer);
        let pairs = [
            (Self::Restate, System::Restate),
            (Self::Dbos, System::Dbos),
            (Self::Openworkflow, System::OpenWorkflow),
            (Self::WranglerDev, System::WranglerDev),
            (Self::Workerd, System::Workerd),
        ];
        let chosen = pairs.into_iter().filter(|(peer, _)| meant(*peer));
        std::iter::once(System::Cairn)
            .chain(chosen.map(|(_, system)| system))
            .collect()
    }
}

/// How much of each workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// (a) Steps of the one instance.
    pub(crate) steps: u64,
    /// (b) Instances of 10 steps.
    pub(crate) instances: u64,
    /// (b) How many of them at a time.
    pub(crate) in_flight: u64,
    /// (c) Instances of one step.
    pub(crate) samples: u64,
    /// (d) Creations.
    pub(crate) creations: u64,
}

impl Counts {
    /// What each system gets in the quick check that everything works.
    pub(crate) const SHORT: Self = Self {
        steps: 20,
        instances: 20,
        in_flight: 10,
        samples: 3,
        creations: 64,
    };
}

impl System {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cairn => "Cairn",
            Self::Restate => "Restate",
            Self::Dbos => "DBOS",
            Self::OpenWorkflow => "OpenWorkflow",
            Self::WranglerDev => "wrangler dev",
            Self::Workerd => "workerd serve",
        }
    }

    /// A folder's name.
    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::Cairn => "cairn",
            Self::Restate => "restate",
            Self::Dbos => "dbos",
            Self::OpenWorkflow => "openworkflow",
            Self::WranglerDev => "wrangler-dev",
            Self::Workerd => "workerd",
        }
    }

    /// The same for all that finish in a few seconds; less for those that would take minutes.
    pub(crate) fn counts(self) -> Counts {
        let full = Counts {
            steps: 1_000,
            instances: 5_000,
            in_flight: 1_000,
            samples: 200,
            creations: 5_000,
        };
        match self {
            Self::Cairn | Self::Restate => full,
            Self::OpenWorkflow => Counts {
                instances: 2_000,
                samples: 40,
                ..full
            },
            Self::Dbos => Counts {
                instances: 2_000,
                creations: 2_000,
                ..full
            },
            Self::WranglerDev | Self::Workerd => Counts {
                instances: 200,
                in_flight: 200,
                samples: 100,
                creations: 300,
                ..full
            },
        }
    }

    /// What makes a write durable, as it is configured here.
    pub(crate) fn durability(self) -> &'static str {
        match self {
            Self::Cairn => "SQLite, WAL, synchronous=FULL: one sync for each batch of commits",
            Self::Restate => "its replicated log on one node, RocksDB's WAL with fsync (the default)",
            Self::Dbos => {
                "PostgreSQL: fsync=on, synchronous_commit=on (the defaults), shared_buffers=512MB, 20 connections"
            }
            Self::OpenWorkflow => "SQLite, WAL, synchronous=FULL (the default of node:sqlite)",
            Self::WranglerDev => "one SQLite database for each instance, as wrangler configures it",
            Self::Workerd => "one SQLite database for each instance, as workerd configures it",
        }
    }

    /// How the load generator starts an instance and learns that it has ended.
    pub(crate) fn door(self) -> &'static str {
        match self {
            Self::Cairn => {
                "REST; (a), (c) the status is asked for until it is complete, (a) every 5 ms, (b) the workflow's counts every 10 ms"
            }
            Self::Restate => "its HTTP ingress; calls that answer at the end, (d) `send`",
            Self::Dbos => "node:http in its process; getResult() of the handle, which waits in the process",
            Self::OpenWorkflow => {
                "node:http in its process, which is also the worker (100 at a time); the workflow function tells its end"
            }
            Self::WranglerDev | Self::Workerd => {
                "fetch() of the Worker; (a), (c) it asks for the status until it is complete, (a) every 5 ms, (b) a counter in the Worker every 10 ms"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_peers_are_measured_beside_cairn() {
        assert_eq!(Peer::systems(&[Peer::All]).len(), 6);
        let chosen = Peer::systems(&[Peer::Workerd, Peer::Restate]);
        assert_eq!(chosen, [System::Cairn, System::Restate, System::Workerd]);
    }
}
