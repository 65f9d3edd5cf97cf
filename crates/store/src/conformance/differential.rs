//! The same random requests to two stores: the answers must be the same.

use super::*;
use crate::{InstanceFilter, Repin, SortOrder, WorkflowPage};

/// Sends `steps` requests, made from `seed`, to both stores, compares each answer, and all that is kept at the end.
/// Returns how many leases were given and commits accepted, so that a test can tell whether it tested anything.
pub async fn compare(seed: u64, steps: usize, one: &Subject, other: &Subject) -> usize {
    let mut world = World {
        random: Random(seed),
        leases: Vec::new(),
        now: START,
        instances: 0,
    };
    let mut accepted = 0;
    for step in 0..steps {
        let request = world.request();
        let answer = request.answer(&*one.store).await;
        let second = request.answer(&*other.store).await;
        assert_eq!(answer, second, "seed {seed}, step {step}: {request:?}");
        accepted += answer.leases.len();
        world.learn(answer);
    }
    for request in world.everything() {
        assert_eq!(
            request.answer(&*one.store).await,
            request.answer(&*other.store).await,
            "seed {seed}, at the end: {request:?}"
        );
    }
    accepted
}

/// A linear congruential generator: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn maybe<T>(&mut self, value: T) -> Option<T> {
        (!self.one_in(2)).then_some(value)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

const NODES: u64 = 3;
const WORKFLOWS: u64 = 3;

/// What the requests are made from: mostly right, often enough wrong.
struct World {
    random: Random,
    leases: Vec<(InstanceNo, Lease, u64)>,
    now: Timestamp,
    instances: i64,
}

#[derive(Debug, Clone)]
enum Request {
    Create(Vec<NewInstance>, Option<NodeId>),
    Commit(Vec<Commit>),
    Claim(Claim),
    ClaimOne(NodeId, InstanceNo),
    ClaimParked(NodeId, i64, usize),
    Loads,
    SweepVersions(usize),
    NextDue,
    Renew(NodeId, Timestamp),
    Register(Timestamp),
    Send(NewMessage),
    Inbox(InstanceNo, InboxNo),
    Journal(InstanceNo),
    Payload(InstanceNo, Seq),
    Instance(i64, String),
    Instances(i64, InstanceFilter),
    Counts(i64),
    DeleteInstance(InstanceNo),
    Expire(Timestamp, usize),
    AddScriptVersion(NewScriptVersion),
    Deploy(String, String),
    Script(String),
    PutWorkflow(NewWorkflow),
    Workflow(String),
    Workflows(Option<String>, WorkflowPage),
    WorkflowVersions(i64, WorkflowPage),
    DeleteWorkflow(String),
    Schedules,
    ScheduleDone(i64, String, Timestamp),
    PutSetting(String, String),
    Setting(String),
}

/// What a store said.
#[derive(Debug, PartialEq)]
struct Answer {
    text: String,
    /// The last instance that was created.
    made: Option<InstanceNo>,
    /// Leases that are good, with the ends of the journals.
    leases: Vec<(InstanceNo, Lease, u64)>,
}

impl Answer {
    fn claimed(claimed: &[Claimed]) -> Self {
        Self {
            text: format!("{claimed:?}"),
            made: None,
            leases: claimed
                .iter()
                .map(|one| (one.row.no, one.lease, one.journal.len() as u64))
                .collect(),
        }
    }
}

impl Request {
    async fn answer(&self, store: &dyn Store) -> Answer {
        match self.clone() {
            Self::Create(instances, claim) => {
                let created = store.create(instances, claim).await.unwrap();
                let made = created.iter().flatten().map(|(no, _)| *no).max();
                let leases = created
                    .iter()
                    .flatten()
                    .filter_map(|(no, lease)| Some((*no, (*lease)?, 1)))
                    .collect();
                Answer {
                    text: format!("{created:?}"),
                    made,
                    leases,
                }
            }
            Self::Commit(commits) => {
                let outcomes = store.commit(commits.clone()).await.unwrap();
                let leases = commits
                    .iter()
                    .zip(&outcomes)
                    .filter(|(_, outcome)| outcome.is_ok())
                    .map(|(commit, _)| {
                        (
                            commit.instance,
                            commit.lease,
                            commit.next_seq.0 + commit.entries.len() as u64,
                        )
                    })
                    .collect();
                Answer {
                    text: format!("{outcomes:?}"),
                    made: None,
                    leases,
                }
            }
            Self::Claim(claim) => Answer::claimed(&store.claim(claim).await.unwrap()),
            Self::ClaimParked(node, workflow, limit) => {
                Answer::claimed(&store.claim_parked(node, workflow, limit).await.unwrap())
            }
            Self::ClaimOne(node, instance) => {
                let claimed: Vec<Claimed> = store
                    .claim_one(node, instance)
                    .await
                    .unwrap()
                    .into_iter()
                    .collect();
                Answer::claimed(&claimed)
            }
            _ => Answer {
                text: self.text(store).await,
                made: None,
                leases: Vec::new(),
            },
        }
    }

    async fn text(&self, store: &dyn Store) -> String {
        match self.clone() {
            Self::Create(..)
            | Self::Commit(_)
            | Self::Claim(_)
            | Self::ClaimOne(..)
            | Self::ClaimParked(..) => String::new(),
            Self::SweepVersions(keep) => {
                let mut swept = store.sweep_versions(keep, usize::MAX).await.unwrap();
                swept.scripts.sort();
                swept.workflows.sort();
                format!("{swept:?}")
            }
            Self::Loads => format!("{:?}", store.loads().await.unwrap()),
            Self::NextDue => format!("{:?}", store.next_due().await),
            Self::Renew(node, until) => format!("{:?}", store.renew(node, until).await),
            Self::Register(until) => format!("{:?}", store.register(until).await),
            Self::Send(message) => format!("{:?}", store.send(message).await),
            Self::Inbox(instance, after) => format!("{:?}", store.inbox(instance, after).await),
            Self::Journal(instance) => format!(
                "{:?} {:?}",
                store.journal(instance).await,
                store.journal_from(instance, Seq(2), usize::MAX).await
            ),
            Self::Payload(instance, seq) => format!("{:?}", store.payload(instance, seq).await),
            Self::Instance(workflow, id) => format!("{:?}", store.instance(workflow, &id).await),
            Self::Instances(workflow, filter) => format!("{:?}", store.instances(workflow, &filter).await),
            Self::Counts(workflow) => format!("{:?}", store.counts(workflow).await),
            Self::DeleteInstance(instance) => format!("{:?}", store.delete_instance(instance).await),
            Self::Expire(now, limit) => format!("{:?}", store.expire(now, limit).await),
            Self::AddScriptVersion(version) => format!("{:?}", store.add_script_version(version).await),
            Self::Deploy(script, version) => deploy(store, ["a", &script, &version], START).await.to_string(),
            Self::Script(name) => {
                let deployments = store.deployments("a", &name).await.unwrap();
                let deployed: Vec<String> = deployments.into_iter().map(|row| row.version).collect();
                format!(
                    "{:?} {:?} {:?} {:?} {deployed:?}",
                    store.script("a", &name).await,
                    store.scripts_named(&name).await,
                    store.scripts("a").await,
                    store.script_versions("a", &name).await
                )
            }
            Self::PutWorkflow(workflow) => format!("{:?}", store.put_workflow(workflow).await),
            Self::Workflow(name) => {
                let mut deployed = store.deployed_workflow("a", &name).await;
                if let Ok(Some(deployed)) = &mut deployed {
                    deployed.workflow.triggered_at = None;
                }
                format!("{:?} {deployed:?}", store.workflow("a", &name).await)
            }
            Self::Workflows(search, page) => {
                format!("{:?}", store.workflows("a", search.as_deref(), page).await)
            }
            Self::WorkflowVersions(workflow, page) => {
                format!("{:?}", store.workflow_versions(workflow, page).await)
            }
            Self::DeleteWorkflow(name) => format!("{:?}", store.delete_workflow("a", &name).await),
            Self::Schedules => format!("{:?}", store.schedules().await),
            Self::ScheduleDone(workflow, cron, until) => {
                format!("{:?}", store.schedule_done(workflow, &cron, until).await)
            }
            Self::PutSetting(key, value) => format!("{:?}", store.put_setting(&key, &value).await),
            Self::Setting(key) => format!("{:?}", store.setting(&key).await),
        }
    }
}

impl World {
    fn request(&mut self) -> Request {
        self.now = self.now.plus(self.random.below(20));
        match self.random.below(100) {
            0..15 => self.create(),
            15..45 => self.commit(),
            45..53 => Request::Claim(Claim {
                node: self.node(),
                now: self.now,
                limit: self.random.below(5) as usize,
            }),
            53 if self.random.one_in(3) => Request::Loads,
            53 if self.random.one_in(3) => Request::SweepVersions(1 + self.random.below(3) as usize),
            53 => Request::ClaimParked(self.node(), self.workflow(), self.random.below(4) as usize),
            54..57 => Request::ClaimOne(self.node(), self.instance()),
            57..67 => self.send(),
            67..69 => Request::Register(self.now.plus(self.random.below(300))),
            69..72 => Request::Renew(self.node(), self.now.plus(self.random.below(300))),
            72..74 => Request::DeleteInstance(self.instance()),
            74..76 => Request::Expire(self.now, self.random.below(4) as usize),
            76..88 => self.read(),
            _ => self.catalog(),
        }
    }

    fn node(&mut self) -> NodeId {
        NodeId(1 + self.random.below(NODES).cast_signed())
    }

    fn instance(&mut self) -> InstanceNo {
        InstanceNo(
            1 + self
                .random
                .below(self.instances.cast_unsigned() + 2)
                .cast_signed(),
        )
    }

    fn workflow(&mut self) -> i64 {
        1 + self.random.below(WORKFLOWS + 3).cast_signed()
    }

    fn name(&mut self) -> String {
        format!("w{}", self.random.below(WORKFLOWS))
    }

    fn bytes(&mut self) -> Bytes {
        let length = if self.random.one_in(10) {
            8_180 + self.random.below(20)
        } else {
            self.random.below(60)
        };
        Bytes::from(vec![self.random.below(256) as u8; length as usize])
    }

    fn create(&mut self) -> Request {
        let instances = (0..1 + self.random.below(4))
            .map(|_| NewInstance {
                version: format!("v{}", self.random.below(3)),
                trigger: self
                    .random
                    .pick(&[Trigger::Api, Trigger::Binding, Trigger::Event, Trigger::Cron]),
                created_at: Timestamp(self.now.0 - self.random.below(30).cast_signed()),
                success_retention_millis: self.random.below(200),
                error_retention_millis: self.random.below(200),
                params: self.bytes(),
                start: if self.random.one_in(4) {
                    Start::Parked
                } else {
                    Start::Now
                },
                ..new_instance(self.workflow(), &format!("i{}", self.random.below(40)))
            })
            .collect();
        let node = self.node();
        Request::Create(instances, self.random.maybe(node))
    }

    fn commit(&mut self) -> Request {
        let count = 1 + self.random.below(4);
        Request::Commit((0..count).map(|_| self.one_commit()).collect())
    }

    fn one_commit(&mut self) -> Commit {
        let guess = (
            self.instance(),
            Lease {
                node: self.node(),
                epoch: 1,
            },
            1,
        );
        let (instance, lease, next) = if self.leases.is_empty() || self.random.one_in(10) {
            guess
        } else {
            self.random.pick(&self.leases)
        };
        let status = self.random.pick(&Status::ALL);
        let entries = (0..self.random.below(4))
            .map(|_| (self.bytes().to_vec(), Some(self.bytes())))
            .collect();
        let wake_at = self.now.plus(self.random.below(100));
        Commit {
            instance,
            lease,
            next_seq: Seq(if self.random.one_in(10) {
                self.random.below(5)
            } else {
                next
            }),
            entries,
            status,
            started_at: self.random.maybe(self.now),
            ended_at: status.is_final().then_some(self.now),
            at: self.now,
            consumed: self
                .random
                .one_in(3)
                .then(|| InboxNo(self.random.below(100).cast_signed())),
            release: self.random.one_in(4).then(|| Release {
                wake_at: self.random.maybe(wake_at),
            }),
            repin: self.random.one_in(8).then(|| Repin {
                version: format!("v{}", self.random.below(5)),
                script_version: "s2".to_owned(),
                class_name: "Other".to_owned(),
            }),
        }
    }

    fn send(&mut self) -> Request {
        let (command, payload) = (self.bytes().to_vec(), self.bytes());
        Request::Send(NewMessage {
            instance: self.instance(),
            command,
            payload: self.random.maybe(payload),
            limit: self.random.below(6) as usize,
        })
    }

    fn read(&mut self) -> Request {
        match self.random.below(8) {
            0 => Request::NextDue,
            1 => Request::Inbox(self.instance(), InboxNo(self.random.below(50).cast_signed())),
            2 => Request::Journal(self.instance()),
            3 => Request::Payload(self.instance(), Seq(self.random.below(8))),
            4 => Request::Instance(self.workflow(), format!("i{}", self.random.below(40))),
            5 => Request::Counts(self.workflow()),
            _ => Request::Instances(self.workflow(), self.filter()),
        }
    }

    fn filter(&mut self) -> InstanceFilter {
        let (status, instance) = (self.random.pick(&Status::ALL), self.instance());
        let (from, until) = (
            START.plus(self.random.below(3_000)),
            START.plus(self.random.below(6_000)),
        );
        InstanceFilter {
            status: self.random.maybe(status),
            created_from: self.random.maybe(from),
            created_until: self.random.maybe(until),
            order: self
                .random
                .pick(&[SortOrder::NewestFirst, SortOrder::OldestFirst]),
            after: self.random.maybe(instance),
            offset: self.random.below(3),
            limit: self.random.below(10) as usize,
        }
    }

    fn catalog(&mut self) -> Request {
        let page = WorkflowPage {
            offset: self.random.below(3),
            limit: self.random.below(5) as usize,
        };
        let (script, version) = (self.random.pick(&["s", "t"]), self.random.below(12).to_string());
        match self.random.below(13) {
            0..3 => Request::PutWorkflow(NewWorkflow {
                at: self.now,
                schedules: self.random.maybe("a".to_owned()).into_iter().collect(),
                ..new_workflow(&self.name(), &version)
            }),
            3 => Request::DeleteWorkflow(self.name()),
            4 => Request::Workflow(self.name()),
            5 => Request::Workflows(
                self.random.pick(&[None, Some("W"), Some("2")]).map(str::to_owned),
                page,
            ),
            6 => Request::WorkflowVersions(self.workflow(), page),
            7 => Request::AddScriptVersion(NewScriptVersion {
                script: script.to_owned(),
                created_at: self.now,
                ..new_script_version(&version)
            }),
            8 => Request::Deploy(script.to_owned(), version),
            9 => Request::PutSetting(script.to_owned(), version),
            10 => Request::Schedules,
            11 => Request::ScheduleDone(self.workflow(), "a".to_owned(), self.now),
            _ => self
                .random
                .pick(&[Request::Script as fn(String) -> Request, Request::Setting])(
                script.to_owned()
            ),
        }
    }

    /// Remembers leases, so that later commits can be right.
    fn learn(&mut self, answer: Answer) {
        self.instances = self.instances.max(answer.made.map_or(0, |no| no.0));
        for (no, lease, next) in answer.leases {
            self.leases.retain(|known| (known.0, known.1) != (no, lease));
            self.leases.push((no, lease, next));
        }
        // The last ones are the ones most likely to hold still.
        let old = self.leases.len().saturating_sub(12);
        self.leases.drain(..old);
    }

    fn everything(&self) -> Vec<Request> {
        let all = InstanceFilter {
            limit: 10_000,
            ..InstanceFilter::default()
        };
        let page = WorkflowPage {
            offset: 0,
            limit: 1_000,
        };
        let mut requests = vec![
            Request::NextDue,
            Request::Workflows(None, page),
            Request::Schedules,
        ];
        for workflow in 1..100 {
            requests.push(Request::Instances(workflow, all.clone()));
            requests.push(Request::Counts(workflow));
        }
        for instance in (1..=self.instances).map(InstanceNo) {
            requests.push(Request::Journal(instance));
            requests.push(Request::Inbox(instance, InboxNo::default()));
        }
        requests
    }
}
