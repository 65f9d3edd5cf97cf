//! `cairn dev`: a project served on this machine and deployed again whenever it changes.

use crate::args::DevArguments;
use crate::bundle::{self, Bundle};
use crate::client::{ACCOUNT, Api};
use crate::failure::Failure;
use crate::local::Local;
use crate::project::Project;
use crate::signals::stop_wanted;
use crate::terminal::{Terminal, Tone};
use crate::tools::{self, Tool};
use crate::{Exit, deploy};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long files must be quiet before they are read: editors and tools write several at once.
const QUIET: Duration = Duration::from_millis(80);

/// Whoever edits code wants to see what becomes of the instances that wait.
const FOLLOW: &str = "versions.follow_latest=1";

/// Folders whose changes are not the user's.
const NOT_SOURCE: [&str; 4] = ["node_modules", ".cairn", ".wrangler", ".git"];

/// Files that a build reads without telling.
const SILENT_INPUTS: [&str; 6] = [
    "package.json",
    "tsconfig.json",
    "wrangler.json",
    "wrangler.jsonc",
    "wrangler.toml",
    ".dev.vars",
];

/// Runs the command.
///
/// # Errors
/// When the server cannot start, the project is none, or its files cannot be watched. A project that does not build is no reason to end.
pub(crate) async fn dev(arguments: &DevArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let project = Project::read(&arguments.project)?;
    let tools = &arguments.tools;
    let workerd = tools.workerd.workerd.as_deref();
    let workerd = tools::find(Tool::Workerd, workerd, &project.folder, terminal).await?;
    let esbuild = tools::find(Tool::Esbuild, tools.esbuild.as_deref(), &project.folder, terminal).await?;
    let data_dir = arguments
        .data_dir
        .clone()
        .unwrap_or_else(|| project.folder.join(".cairn"));
    let settings = arguments.settings.after(FOLLOW);
    let local = Local::start(&data_dir, arguments.port, (workerd.path, &settings)).await?;
    let session = Session {
        path: &arguments.project,
        esbuild: &esbuild.path,
        api: &local.api,
        address: local.address,
        terminal,
    };
    let outcome = tokio::select! {
        outcome = session.keep_deployed(project) => outcome,
        () = stop_wanted() => Ok(()),
    };
    let stopped = local.stop().await;
    outcome?;
    stopped?;
    Ok(Exit::Complete)
}

/// What stays the same while a project changes.
struct Session<'a> {
    path: &'a Path,
    esbuild: &'a Path,
    api: &'a Api,
    address: SocketAddr,
    terminal: &'a Terminal,
}

impl Session<'_> {
    /// Deploys, waits for a change, and so on.
    async fn keep_deployed(&self, first: Project) -> Result<(), Failure> {
        let mut changes = Changes::new()?;
        let mut last = first.clone();
        let mut read: Result<Project, Failure> = Ok(first);
        let mut is_first = true;
        loop {
            let deployed = match &read {
                Ok(project) => self.deploy(project).await,
                Err(failure) => Err(failure.clone()),
            };
            if let Ok(project) = read {
                last = project;
            }
            match &deployed {
                Ok(_) if is_first => {
                    self.terminal.line(&greeting(&last, self.address));
                    is_first = false;
                }
                Ok(_) => self
                    .terminal
                    .line(&format!("Deployed {} again.", last.config.name)),
                Err(failure) => {
                    let what = self
                        .terminal
                        .paint(Tone::Bad, &format!("error: {}", failure.what()));
                    let rest = if is_first {
                        "Waiting for a change."
                    } else {
                        "The last version stays; waiting for a change."
                    };
                    self.terminal.line(&format!("{what}\n{rest}"));
                }
            }
            let bundle = deployed.as_ref().ok();
            changes.watch(
                &folders(&last, bundle),
                bundle.map(|bundle| inputs(&last, bundle)),
            )?;
            changes.next().await;
            read = Project::read(self.path);
        }
    }

    async fn deploy(&self, project: &Project) -> Result<Bundle, Failure> {
        let bundle = bundle::bundle(self.esbuild, project).await?;
        deploy::deploy(self.api, project, &bundle).await?;
        Ok(bundle)
    }
}

/// The folders of everything that a build reads.
fn folders(project: &Project, bundle: Option<&Bundle>) -> BTreeSet<PathBuf> {
    let sources = bundle.map(|bundle| &bundle.sources).into_iter().flatten();
    sources
        .chain([&project.file, &project.config.main])
        .filter_map(|file| file.parent().map(Path::to_owned))
        .collect()
}

/// The names of the files that a build has read. Whatever else changes beside them, such as a log, is none of our business.
fn inputs(project: &Project, bundle: &Bundle) -> BTreeSet<OsString> {
    let read = bundle.sources.iter().chain([&project.file, &project.config.main]);
    let names = read.filter_map(|file| file.file_name().map(OsString::from));
    names.chain(SILENT_INPUTS.map(OsString::from)).collect()
}

fn greeting(project: &Project, address: SocketAddr) -> String {
    let port = address.port();
    let name = &project.config.name;
    let mut text = format!(
        "{name} is deployed, and again whenever it changes. Ctrl-C ends.\n\n  Worker  http://{name}.localhost:{port}/\n  API     http://{address}/client/v4\n"
    );
    if let Some(workflow) = project.config.own_workflows().next() {
        text.push_str(&format!(
            "\nTo start an instance:\n\n  CLOUDFLARE_API_BASE_URL=http://{address}/client/v4 CLOUDFLARE_API_TOKEN=any CLOUDFLARE_ACCOUNT_ID={ACCOUNT} \\\n    npx wrangler workflows trigger {} '{{}}'\n",
            workflow.name
        ));
    }
    text
}

/// Changes of files in some folders.
struct Changes {
    watcher: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
    /// The names that count; all of them while the project does not build, since a file may be missing.
    inputs: Arc<Mutex<Option<BTreeSet<OsString>>>>,
    arrived: mpsc::UnboundedReceiver<()>,
}

impl Changes {
    fn new() -> Result<Self, Failure> {
        let (sender, arrived) = mpsc::unbounded_channel();
        let inputs = Arc::new(Mutex::new(None));
        let counted = Arc::clone(&inputs);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let inputs = counted.lock().unwrap_or_else(PoisonError::into_inner);
            let counts = event.is_ok_and(|event| is_change(&event, inputs.as_ref()));
            if counts {
                // Nobody listens only when the command is about to end.
                let _ = sender.send(());
            }
        });
        Ok(Self {
            watcher: watcher.map_err(|error| cannot_watch(&error))?,
            watched: BTreeSet::new(),
            inputs,
            arrived,
        })
    }

    /// Watches these files in these folders, without those below them. A folder that is gone is left out.
    fn watch(
        &mut self,
        folders: &BTreeSet<PathBuf>,
        inputs: Option<BTreeSet<OsString>>,
    ) -> Result<(), Failure> {
        *self.inputs.lock().unwrap_or_else(PoisonError::into_inner) = inputs;
        for folder in folders.difference(&self.watched.clone()) {
            if folder.is_dir() {
                self.watcher
                    .watch(folder, RecursiveMode::NonRecursive)
                    .map_err(|error| cannot_watch(&error))?;
                self.watched.insert(folder.clone());
            }
        }
        Ok(())
    }

    /// Waits for a change, and then until there is none for a moment.
    async fn next(&mut self) {
        if self.arrived.recv().await.is_none() {
            return std::future::pending().await;
        }
        while let Ok(Some(())) = tokio::time::timeout(QUIET, self.arrived.recv()).await {}
    }
}

fn is_change(event: &notify::Event, inputs: Option<&BTreeSet<OsString>>) -> bool {
    let kind = event.kind.is_create() || event.kind.is_modify() || event.kind.is_remove();
    let is_source = |path: &PathBuf| {
        let is_read = inputs.is_none_or(|names| path.file_name().is_some_and(|name| names.contains(name)));
        let is_kept_out = path
            .iter()
            .any(|part| NOT_SOURCE.iter().any(|name| part == *name));
        is_read && !is_kept_out
    };
    kind && event.paths.iter().any(is_source)
}

fn cannot_watch(error: &notify::Error) -> Failure {
    Failure::new(
        format!("The project's files cannot be watched: {error}."),
        "On Linux the limit is in /proc/sys/fs/inotify/max_user_watches and max_user_instances; raise it, or use cairn run.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{CreateKind, EventKind};

    fn change(path: &str) -> notify::Event {
        notify::Event::new(EventKind::Create(CreateKind::File)).add_path(path.into())
    }

    #[test]
    fn only_what_a_build_reads_counts_once_there_is_one() {
        let read: BTreeSet<OsString> = ["index.ts".into()].into();
        assert!(is_change(&change("/p/src/index.ts"), Some(&read)));
        assert!(!is_change(&change("/p/src/dev.log"), Some(&read)));
        assert!(is_change(&change("/p/src/missing.ts"), None));
        assert!(!is_change(&change("/p/.cairn/index.ts"), None));
    }
}
