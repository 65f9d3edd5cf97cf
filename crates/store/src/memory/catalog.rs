//! Scripts, workflows and versions in memory.

use crate::{
    CronRow, DeployedWorkflow, DeploymentRow, NewScriptVersion, NewWorkflow, ScheduleRow, ScriptModules,
    ScriptRow, ScriptVersionRow, StoreError, SweptVersions, WorkflowPage, WorkflowRow, WorkflowVersionRow,
};
use cairn_core::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub(super) struct Catalog {
    /// In order of creation.
    pub(super) scripts: Vec<Script>,
    /// Those that were removed, while versions of them are still there.
    pub(super) deleted: Vec<Script>,
    /// The number last given to a script that has schedules.
    pub(super) last_cron_owner: i64,
    last_workflow: i64,
    workflows: BTreeMap<i64, Workflow>,
}

pub(super) struct Script {
    pub(super) row: ScriptRow,
    /// With their numbers, oldest first.
    pub(super) versions: Vec<(u32, NewScriptVersion)>,
    /// Oldest first.
    pub(super) deployments: Vec<DeploymentRow>,
    pub(super) crons: Vec<CronRow>,
    /// Its number in the rows of its schedules, once it has any.
    pub(super) cron_owner: Option<i64>,
}

struct Workflow {
    row: WorkflowRow,
    versions: Vec<WorkflowVersionRow>,
    /// Expressions, with the time until which their firings are dealt with.
    schedules: BTreeMap<String, Timestamp>,
}

impl Catalog {
    pub(super) fn add_script_version(&mut self, new: NewScriptVersion) -> Result<(), StoreError> {
        if self.version(&new.id).is_some() {
            return Err(StoreError::Refused(format!(
                "there is a script version {} already",
                new.id
            )));
        }
        if let Some(script) = self.find_mut(&new.account, &new.script) {
            script.row.modified_at = new.created_at;
            let last = script.versions.last().map_or(0, |(number, _)| *number);
            script.versions.push((last + 1, new));
            return Ok(());
        }
        self.scripts.push(Script {
            row: ScriptRow {
                account: new.account.clone(),
                name: new.script.clone(),
                created_at: new.created_at,
                modified_at: new.created_at,
                deployed: None,
                settings: "{}".to_owned(),
            },
            versions: vec![(1, new)],
            deployments: Vec::new(),
            crons: Vec::new(),
            cron_owner: None,
        });
        Ok(())
    }

    /// The accounts that have something.
    pub(super) fn accounts(&self) -> BTreeSet<String> {
        let scripts = self.scripts.iter().map(|script| &script.row.account);
        let workflows = self.workflows.values().map(|workflow| &workflow.row.account);
        scripts.chain(workflows).cloned().collect()
    }

    pub(super) fn script(&self, account: &str, script: &str) -> Option<ScriptRow> {
        self.find(account, script).map(|script| script.row.clone())
    }

    pub(super) fn scripts_named(&self, name: &str) -> Vec<ScriptRow> {
        self.scripts
            .iter()
            .filter(|script| script.row.name == name)
            .map(|script| script.row.clone())
            .collect()
    }

    pub(super) fn script_versions(&self, account: &str, script: &str) -> Vec<ScriptVersionRow> {
        let Some(script) = self.find(account, script) else {
            return Vec::new();
        };
        let mut versions: Vec<ScriptVersionRow> = script
            .versions
            .iter()
            .map(|(number, version)| version_row(*number, version))
            .collect();
        versions.reverse();
        versions
    }

    pub(super) fn script_modules(&self, version: &str) -> Option<ScriptModules> {
        let (_, kept) = self.version(version)?;
        Some(ScriptModules {
            account: kept.account.clone(),
            script: kept.script.clone(),
            metadata: kept.metadata.clone(),
            modules: kept.modules.clone(),
        })
    }

    pub(super) fn put_workflow(&mut self, new: NewWorkflow) -> WorkflowRow {
        let script = self.find(&new.account, &new.script);
        let deployed = script.and_then(|script| script.row.deployed.as_ref());
        let script_version = deployed.map(|(version, _)| version.clone());
        let known = self
            .workflows
            .values()
            .find(|known| is_named(&known.row, &new.account, &new.name));
        let no = known.map_or(self.last_workflow + 1, |known| known.row.no);
        self.last_workflow = self.last_workflow.max(no);
        let workflow = self.workflows.entry(no).or_insert_with(|| Workflow {
            row: WorkflowRow {
                no,
                id: new.id,
                account: new.account,
                name: new.name,
                script: String::new(),
                class_name: String::new(),
                created_at: new.at,
                modified_at: new.at,
                triggered_at: None,
                version: String::new(),
                settings: String::new(),
            },
            versions: Vec::new(),
            schedules: BTreeMap::new(),
        });
        workflow.schedules.retain(|cron, _| new.schedules.contains(cron));
        for cron in new.schedules {
            workflow.schedules.entry(cron).or_insert(new.at);
        }
        workflow.versions.push(WorkflowVersionRow {
            id: new.version.clone(),
            workflow_id: workflow.row.id.clone(),
            class_name: new.class_name.clone(),
            created_at: new.at,
            settings: new.settings.clone(),
            script_version,
            has_graph: None,
        });
        workflow.row.script = new.script;
        workflow.row.class_name = new.class_name;
        workflow.row.modified_at = new.at;
        workflow.row.version = new.version;
        workflow.row.settings = new.settings;
        workflow.row.clone()
    }

    pub(super) fn workflow(&self, account: &str, name: &str) -> Option<WorkflowRow> {
        self.workflows
            .values()
            .find(|workflow| is_named(&workflow.row, account, name))
            .map(|workflow| workflow.row.clone())
    }

    pub(super) fn all_workflows(&self) -> impl Iterator<Item = &WorkflowRow> {
        self.workflows.values().map(|workflow| &workflow.row)
    }

    pub(super) fn workflow_by_no(&self, no: i64) -> Option<&WorkflowRow> {
        self.workflows.get(&no).map(|workflow| &workflow.row)
    }

    pub(super) fn workflow_mut(&mut self, no: i64) -> Option<&mut WorkflowRow> {
        self.workflows.get_mut(&no).map(|workflow| &mut workflow.row)
    }

    pub(super) fn deployed_workflow(&self, account: &str, name: &str) -> Option<DeployedWorkflow> {
        let workflow = self.workflow(account, name)?;
        let (script_version, _) = self.find(account, &workflow.script)?.row.deployed.clone()?;
        Some(DeployedWorkflow {
            workflow,
            script_version,
        })
    }

    pub(super) fn workflows(
        &self,
        account: &str,
        search: Option<&str>,
        page: WorkflowPage,
    ) -> (Vec<WorkflowRow>, u64) {
        let part = search.map(str::to_ascii_lowercase);
        let matching: Vec<&WorkflowRow> = self
            .workflows
            .values()
            .rev()
            .map(|workflow| &workflow.row)
            .filter(|row| row.account == account)
            .filter(|row| {
                part.as_ref()
                    .is_none_or(|part| row.name.to_ascii_lowercase().contains(part))
            })
            .collect();
        (cut(matching.iter().copied(), page), matching.len() as u64)
    }

    pub(super) fn workflow_versions(
        &self,
        workflow: i64,
        page: WorkflowPage,
    ) -> (Vec<WorkflowVersionRow>, u64) {
        let Some(workflow) = self.workflows.get(&workflow) else {
            return (Vec::new(), 0);
        };
        (
            cut(workflow.versions.iter().rev(), page),
            workflow.versions.len() as u64,
        )
    }

    pub(super) fn note_graph(&mut self, version: &str, script_version: &str, has_graph: bool) {
        let mut versions = self.workflows.values_mut().flat_map(|one| &mut one.versions);
        if let Some(row) = versions.find(|row| row.id == version) {
            row.script_version = Some(script_version.into());
            row.has_graph = Some(has_graph);
        }
    }

    pub(super) fn schedules(&self) -> Vec<ScheduleRow> {
        let rows = self
            .workflows
            .values()
            .flat_map(|Workflow { row, schedules, .. }| {
                schedules.iter().map(|(cron, done_until)| ScheduleRow {
                    workflow: row.no,
                    account: row.account.clone(),
                    workflow_name: row.name.clone(),
                    cron: cron.clone(),
                    done_until: *done_until,
                })
            });
        rows.collect()
    }

    pub(super) fn schedule_done(&mut self, workflow: i64, cron: &str, until: Timestamp) {
        let workflow = self.workflows.get_mut(&workflow);
        if let Some(done_until) = workflow.and_then(|workflow| workflow.schedules.get_mut(cron)) {
            *done_until = until.max(*done_until);
        }
    }

    pub(super) fn sweep(&mut self, pinned: &BTreeSet<String>, keep: usize, limit: usize) -> SweptVersions {
        let mut swept = SweptVersions::default();
        for script in &mut self.scripts {
            let deployed = script.row.deployed.as_ref().map(|(id, _)| id);
            let old = script.versions.len().saturating_sub(keep);
            let mut place = 0;
            script.versions.retain(|(_, version)| {
                place += 1;
                let needed = place > old || pinned.contains(&version.id) || deployed == Some(&version.id);
                let goes = !needed && swept.scripts.len() < limit;
                if goes {
                    swept.scripts.push(version.id.clone());
                    script.deployments.retain(|row| row.version != version.id);
                }
                !goes
            });
        }
        self.sweep_deleted(pinned, (limit, &mut swept));
        for workflow in self.workflows.values_mut() {
            let old = workflow.versions.len().saturating_sub(keep);
            let newest = &workflow.row.version;
            let mut place = 0;
            workflow.versions.retain(|version| {
                place += 1;
                let needed = place > old || pinned.contains(&version.id) || *newest == version.id;
                let goes = !needed && swept.workflows.len() < limit;
                if goes {
                    swept.workflows.push(version.id.clone());
                }
                !goes
            });
        }
        swept
    }

    /// Removes a workflow; its number.
    pub(super) fn delete_workflow(&mut self, account: &str, name: &str) -> Option<i64> {
        let no = self.workflow(account, name)?.no;
        self.workflows.remove(&no);
        Some(no)
    }

    /// Removes versions of removed scripts.
    fn sweep_deleted(&mut self, pinned: &BTreeSet<String>, (limit, swept): (usize, &mut SweptVersions)) {
        for script in &mut self.deleted {
            script.versions.retain(|(_, version)| {
                let goes = !pinned.contains(&version.id) && swept.scripts.len() < limit;
                if goes {
                    swept.scripts.push(version.id.clone());
                }
                !goes
            });
        }
        self.deleted.retain(|script| !script.versions.is_empty());
    }

    /// A version of any script, with its number.
    pub(super) fn version(&self, id: &str) -> Option<&(u32, NewScriptVersion)> {
        self.scripts
            .iter()
            .chain(&self.deleted)
            .flat_map(|script| &script.versions)
            .find(|(_, version)| version.id == id)
    }

    pub(super) fn find(&self, account: &str, script: &str) -> Option<&Script> {
        self.scripts
            .iter()
            .find(|known| known.row.account == account && known.row.name == script)
    }

    pub(super) fn find_mut(&mut self, account: &str, script: &str) -> Option<&mut Script> {
        self.scripts
            .iter_mut()
            .find(|known| known.row.account == account && known.row.name == script)
    }
}

pub(super) fn version_row(number: u32, version: &NewScriptVersion) -> ScriptVersionRow {
    ScriptVersionRow {
        id: version.id.clone(),
        number,
        created_at: version.created_at,
        metadata: version.metadata.clone(),
    }
}

fn is_named(row: &WorkflowRow, account: &str, name: &str) -> bool {
    row.account == account && row.name == name
}

fn cut<'a, T: Clone + 'a>(all: impl Iterator<Item = &'a T>, page: WorkflowPage) -> Vec<T> {
    all.skip(usize::try_from(page.offset).unwrap_or(usize::MAX))
        .take(page.limit)
        .cloned()
        .collect()
}
